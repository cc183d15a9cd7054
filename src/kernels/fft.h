/* SPDX-License-Identifier: MIT
 *
 * Complex FFT of 4,096 points.
 *
 * Radix-4 Stockham (self-sorting, decimation in frequency): six passes between
 * two buffers, each reading and writing contiguous runs. Real and imaginary
 * parts are separate arrays. A stereo frame is one transform: left is the
 * real part, right the imaginary part.
 */
#ifndef SPL_KERNELS_FFT_H
#define SPL_KERNELS_FFT_H

#define SPL_FFT_SIZE 4096

/* Twiddle factors; immutable after spl_fft_tables_init. */
typedef struct spl_fft_tables {
    /* exp(-2 pi i p k / n), k = 1, 2, 3, of the passes over n = 4096, 1024, 256, 64 and 16 points;
     * those of the second pass four times each, one for each of its columns. */
    float re[3][1024 + 1024 + 64 + 16 + 4];
    float im[3][1024 + 1024 + 64 + 16 + 4];
} spl_fft_tables;

void spl_fft_tables_init(spl_fft_tables *ret_tables);

/* X[k] = sum over n of (re[n] + i im[n]) exp(-2 pi i k n / 4096), in place. With re and im exchanged it is the inverse,
 * times 4096. `scratch` holds 2 * 4096 floats. */
typedef void (*spl_fft_fn)(const spl_fft_tables *tables, float *re, float *im, float *scratch);

/* The best kernel for `cpu_flags` (see cpu.h). */
spl_fft_fn spl_fft_kernel(unsigned cpu_flags);

void spl_fft_f32_c(const spl_fft_tables *tables, float *re, float *im, float *scratch);
#if defined(__x86_64__)
void spl_fft_f32_avx2(const spl_fft_tables *tables, float *re, float *im, float *scratch);
#endif

#endif

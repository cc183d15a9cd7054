/* SPDX-License-Identifier: MIT
 *
 * Kernels on one stereo frame and its spectrum.
 *
 * A packed spectrum Z (re[4096], im[4096]) is the FFT of left + i right. The
 * spectra of the two real signals come out of it as
 *   L[k] = (Z[k] + conj Z[N - k]) / 2,   R[k] = (Z[k] - conj Z[N - k]) / 2i
 * and go back in as Z[k] = L[k] + i R[k], Z[N - k] = conj L[k] + i conj R[k].
 * Bins k run from 0 to 2,048.
 */
#ifndef SPL_KERNELS_SPECTRUM_H
#define SPL_KERNELS_SPECTRUM_H

#include "kernels/fft.h"

#include <stddef.h>

#define SPL_BINS (SPL_FFT_SIZE / 2 + 1)

typedef struct spl_spectrum_kernels {
    /* re[n] = stereo[2 n] * window[n], im[n] = stereo[2 n + 1] * window[n]; n < 4096 */
    void (*window)(const float *stereo, const float *window, float *re, float *im);

    /* stereo[2 n] += re[n] * window[n], stereo[2 n + 1] += im[n] * window[n]; n < 4096 */
    void (*window_add)(const float *re, const float *im, const float *window, float *stereo);

    /* |L[k]| and |R[k]| of the first `bins` <= 2048 bins: apart, and interleaved */
    void (*magnitude)(const float *re, const float *im, unsigned bins, float *left, float *right,
                      float *interleaved);

    /* In place, k < bins: values[i][k] = (v_i^exponent + share) / (sum over j of v_j^exponent + epsilon), v_i = values[i][k] >= 0 */
    void (*gains)(float *const *values, unsigned stems, unsigned bins, float exponent, float share,
                  float epsilon);

    /* In place, n < count: values[i][n] = magnitudes[n] * exp(v_i) / sum over j of exp(v_j), v_i = values[i][n] */
    void (*softmax)(float *const *values, unsigned stems, size_t count, const float *magnitudes);

    /* The packed spectrum with L[k] * left[k] and R[k] * right[k]; gains have 2,049 bins. */
    void (*apply)(const float *re, const float *im, const float *left, const float *right,
                  float *ret_re, float *ret_im);
} spl_spectrum_kernels;

/* Fills in the best kernels for `cpu_flags` (see cpu.h). */
void spl_spectrum_kernels_init(spl_spectrum_kernels *kernels, unsigned cpu_flags);

void spl_spectrum_kernels_init_c(spl_spectrum_kernels *kernels);
#if defined(__x86_64__)
void spl_spectrum_kernels_init_avx2(spl_spectrum_kernels *kernels);
#endif

#endif

/* SPDX-License-Identifier: MIT
 *
 * Double-precision spectra of stereo blocks: both real channels share one complex transform of a
 * fixed size.
 *
 * The kernels' single-precision FFT is not accurate enough here, because BSS Eval's distortion
 * filters are computed from nearly singular correlations.
 */
#ifndef SPL_APP_EVALUATE_FFT_H
#define SPL_APP_EVALUATE_FFT_H

#include "base/macros.h"

#define SPL_EVALUATE_FFT_SIZE 16384
#define SPL_EVALUATE_FFT_BINS (SPL_EVALUATE_FFT_SIZE / 2 + 1)

/* exp(-2 pi i k / SPL_EVALUATE_FFT_SIZE) */
typedef struct spl_fft_table {
    double re[SPL_EVALUATE_FFT_SIZE], im[SPL_EVALUATE_FFT_SIZE];
} spl_fft_table;

/* Scratch memory of a transform; one per thread. */
typedef struct spl_fft_scratch {
    double re[2][SPL_EVALUATE_FFT_SIZE], im[2][SPL_EVALUATE_FFT_SIZE];
} spl_fft_scratch;

typedef struct spl_stereo_spectrum {
    double re[2][SPL_EVALUATE_FFT_BINS], im[2][SPL_EVALUATE_FFT_BINS]; /* [channel][bin] */
} spl_stereo_spectrum;

void spl_fft_table_init(spl_fft_table *table);

/* Computes the spectra of scratch->re[0] (left) and scratch->im[0] (right), and destroys both. */
void spl_fft_forward(const spl_fft_table *table, spl_fft_scratch *scratch,
                     spl_stereo_spectrum *ret_spectrum);

/* Computes the inverse into scratch->re[0] (left) and scratch->im[0] (right). */
void spl_fft_inverse(const spl_fft_table *table, const spl_stereo_spectrum *spectrum,
                     spl_fft_scratch *scratch);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Stockham's radix-4 FFT: it needs no reordering, and the inner loops of all passes but the first
 * access contiguous memory.
 */
#include "app/evaluate/fft.h"

#include <math.h>

#define RADIX 4

void spl_fft_table_init(spl_fft_table *table) {
    for (size_t k = 0; k < SPL_EVALUATE_FFT_SIZE; k++) {
        const double angle = -2 * M_PI * (double)k / SPL_EVALUATE_FFT_SIZE;
        table->re[k] = cos(angle);
        table->im[k] = sin(angle);
    }
}

/* One pass over `stride` transforms of length SPL_EVALUATE_FFT_SIZE / stride. */
static void pass(const spl_fft_table *table, size_t stride, const double *restrict in_re,
                 const double *restrict in_im, double *restrict out_re, double *restrict out_im) {
    const size_t quarter = SPL_EVALUATE_FFT_SIZE / RADIX, count = quarter / stride;
    for (size_t p = 0; p < count; p++) {
        const double w1_re = table->re[p * stride], w1_im = table->im[p * stride];
        const double w2_re = table->re[2 * p * stride], w2_im = table->im[2 * p * stride];
        const double w3_re = table->re[3 * p * stride], w3_im = table->im[3 * p * stride];
        const double *a_re = in_re + stride * p, *a_im = in_im + stride * p;
        double *y_re = out_re + RADIX * stride * p, *y_im = out_im + RADIX * stride * p;
        for (size_t q = 0; q < stride; q++) {
            const double ac_re = a_re[q] + a_re[q + 2 * quarter];
            const double ac_im = a_im[q] + a_im[q + 2 * quarter];
            const double a_c_re = a_re[q] - a_re[q + 2 * quarter];
            const double a_c_im = a_im[q] - a_im[q + 2 * quarter];
            const double bd_re = a_re[q + quarter] + a_re[q + 3 * quarter];
            const double bd_im = a_im[q + quarter] + a_im[q + 3 * quarter];
            const double b_d_re = a_re[q + quarter] - a_re[q + 3 * quarter];
            const double b_d_im = a_im[q + quarter] - a_im[q + 3 * quarter];
            const double y1_re = a_c_re + b_d_im, y1_im = a_c_im - b_d_re;
            const double y2_re = ac_re - bd_re, y2_im = ac_im - bd_im;
            const double y3_re = a_c_re - b_d_im, y3_im = a_c_im + b_d_re;
            y_re[q] = ac_re + bd_re;
            y_im[q] = ac_im + bd_im;
            y_re[q + stride] = y1_re * w1_re - y1_im * w1_im;
            y_im[q + stride] = y1_re * w1_im + y1_im * w1_re;
            y_re[q + 2 * stride] = y2_re * w2_re - y2_im * w2_im;
            y_im[q + 2 * stride] = y2_re * w2_im + y2_im * w2_re;
            y_re[q + 3 * stride] = y3_re * w3_re - y3_im * w3_im;
            y_im[q + 3 * stride] = y3_re * w3_im + y3_im * w3_re;
        }
    }
}

/* Transforms re[0] + i im[0]. Returns the index of the buffers that hold the result. */
static size_t transform(const spl_fft_table *table, double re[2][SPL_EVALUATE_FFT_SIZE],
                        double im[2][SPL_EVALUATE_FFT_SIZE]) {
    size_t from = 0;
    for (size_t stride = 1; stride < SPL_EVALUATE_FFT_SIZE; stride *= RADIX, from ^= 1)
        pass(table, stride, re[from], im[from], re[from ^ 1], im[from ^ 1]);
    return from;
}

void spl_fft_forward(const spl_fft_table *table, spl_fft_scratch *scratch,
                     spl_stereo_spectrum *ret_spectrum) {
    const size_t at = transform(table, scratch->re, scratch->im);
    const double *re = scratch->re[at], *im = scratch->im[at];
    for (size_t k = 0; k < SPL_EVALUATE_FFT_BINS; k++) {
        const size_t mirror = (SPL_EVALUATE_FFT_SIZE - k) % SPL_EVALUATE_FFT_SIZE;
        ret_spectrum->re[0][k] = (re[k] + re[mirror]) / 2;
        ret_spectrum->im[0][k] = (im[k] - im[mirror]) / 2;
        ret_spectrum->re[1][k] = (im[k] + im[mirror]) / 2;
        ret_spectrum->im[1][k] = (re[mirror] - re[k]) / 2;
    }
}

void spl_fft_inverse(const spl_fft_table *table, const spl_stereo_spectrum *spectrum,
                     spl_fft_scratch *scratch) {
    /* Swapping real and imaginary parts of input and output turns the forward transform into the
     * inverse. */
    double(*re)[SPL_EVALUATE_FFT_SIZE] = scratch->im, (*im)[SPL_EVALUATE_FFT_SIZE] = scratch->re;
    for (size_t k = 0; k < SPL_EVALUATE_FFT_BINS; k++) {
        const size_t mirror = (SPL_EVALUATE_FFT_SIZE - k) % SPL_EVALUATE_FFT_SIZE;
        scratch->re[0][mirror] = spectrum->re[0][k] + spectrum->im[1][k];
        scratch->im[0][mirror] = spectrum->re[1][k] - spectrum->im[0][k];
        scratch->re[0][k] = spectrum->re[0][k] - spectrum->im[1][k];
        scratch->im[0][k] = spectrum->im[0][k] + spectrum->re[1][k];
    }
    const size_t at = transform(table, re, im);
    for (size_t n = 0; n < SPL_EVALUATE_FFT_SIZE; n++) {
        scratch->re[0][n] = scratch->re[at][n] / SPL_EVALUATE_FFT_SIZE;
        scratch->im[0][n] = scratch->im[at][n] / SPL_EVALUATE_FFT_SIZE;
    }
}

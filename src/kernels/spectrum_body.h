/* SPDX-License-Identifier: MIT
 *
 * The spectrum kernels as plain loops that the compiler vectorises, included once for each
 * instruction set by a file that defines SPL_SPECTRUM_INIT.
 */
#include "kernels/spectrum.h"

#include <math.h>

enum { N = SPL_FFT_SIZE };

static void window_stereo(const float *restrict stereo, const float *restrict window,
                          float *restrict re, float *restrict im) {
    for (unsigned n = 0; n < N; n++) {
        re[n] = stereo[2 * n] * window[n];
        im[n] = stereo[2 * n + 1] * window[n];
    }
}

static void window_add(const float *restrict re, const float *restrict im,
                       const float *restrict window, float *restrict stereo) {
    for (unsigned n = 0; n < N; n++) {
        stereo[2 * n] += re[n] * window[n];
        stereo[2 * n + 1] += im[n] * window[n];
    }
}

static void magnitude(const float *restrict re, const float *restrict im, unsigned bins,
                      float *restrict left, float *restrict right, float *restrict interleaved) {
    left[0] = fabsf(re[0]);
    right[0] = fabsf(im[0]);
    for (unsigned k = 1; k < bins; k++) {
        const float left_re = 0.5f * (re[k] + re[N - k]), left_im = 0.5f * (im[k] - im[N - k]);
        const float right_re = 0.5f * (im[k] + im[N - k]), right_im = 0.5f * (re[N - k] - re[k]);
        left[k] = sqrtf(left_re * left_re + left_im * left_im);
        right[k] = sqrtf(right_re * right_re + right_im * right_im);
    }
    for (unsigned k = 0; k < bins; k++) {
        interleaved[2 * k] = left[k];
        interleaved[2 * k + 1] = right[k];
    }
}

static void gains(const float *const *estimates, unsigned stems, unsigned bins, float exponent,
                  float *const *ret_gains) {
    const float epsilon = 1e-10f, share = 1e-10f / (float)stems;
    enum { BLOCK = 64 };
    for (unsigned first = 0; first < bins; first += BLOCK) {
        const unsigned count = bins - first < BLOCK ? bins - first : BLOCK;
        float sum[BLOCK] = {0};
        for (unsigned i = 0; i < stems; i++) {
            const float *restrict estimate = estimates[i] + first;
            float *restrict power = ret_gains[i] + first;
            for (unsigned k = 0; k < count; k++) {
                if (exponent == 2)
                    power[k] = estimate[k] * estimate[k];
                else if (exponent == 1)
                    power[k] = estimate[k];
                else
                    power[k] = powf(estimate[k], exponent);
                sum[k] += power[k];
            }
        }
        for (unsigned i = 0; i < stems; i++) {
            float *restrict gain = ret_gains[i] + first;
            for (unsigned k = 0; k < count; k++)
                gain[k] = (gain[k] + share) / (sum[k] + epsilon);
        }
    }
}

static void apply(const float *restrict re, const float *restrict im, const float *restrict left,
                  const float *restrict right, float *restrict to_re, float *restrict to_im) {
    to_re[0] = re[0] * left[0];
    to_im[0] = im[0] * right[0];
    to_re[N / 2] = re[N / 2] * left[N / 2];
    to_im[N / 2] = im[N / 2] * right[N / 2];
    for (unsigned k = 1; k < N / 2; k++) {
        const float left_re = 0.5f * left[k] * (re[k] + re[N - k]);
        const float left_im = 0.5f * left[k] * (im[k] - im[N - k]);
        const float right_re = 0.5f * right[k] * (im[k] + im[N - k]);
        const float right_im = 0.5f * right[k] * (re[N - k] - re[k]);
        to_re[k] = left_re - right_im;
        to_im[k] = left_im + right_re;
        to_re[N - k] = left_re + right_im;
        to_im[N - k] = right_re - left_im;
    }
}

void SPL_SPECTRUM_INIT(spl_spectrum_kernels *kernels) {
    *kernels = (spl_spectrum_kernels){
        .window = window_stereo,
        .window_add = window_add,
        .magnitude = magnitude,
        .gains = gains,
        .apply = apply,
    };
}

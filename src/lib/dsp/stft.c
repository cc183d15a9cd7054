/* SPDX-License-Identifier: MIT
 *
 * Windowed transforms of stereo frames.
 */
#include "lib/dsp/stft.h"

#include <math.h>

void spl_stft_init(spl_stft *ret_stft) {
    ret_stft->kernels = spl_kernels_get(spl_cpu_flags());
    spl_fft_tables_init(&ret_stft->tables);
    for (unsigned n = 0; n < SPL_FRAME_LENGTH; n++) {
        const double hann = 0.5 - 0.5 * cos(2 * M_PI * n / SPL_FRAME_LENGTH);
        ret_stft->window[n] = (float)hann;
        ret_stft->inverse_window[n] = (float)(hann * 2 / 3 / SPL_FRAME_LENGTH);
    }
}

void spl_stft_forward(const spl_stft *stft, const float *stereo, float *ret_re, float *ret_im,
                      float *scratch) {
    stft->kernels->window(stereo, stft->window, ret_re, ret_im);
    stft->kernels->fft(&stft->tables, ret_re, ret_im, scratch);
}

void spl_stft_inverse_add(const spl_stft *stft, float *re, float *im, float *stereo,
                          float *scratch) {
    stft->kernels->fft(&stft->tables, im, re, scratch);
    stft->kernels->window_add(re, im, stft->inverse_window, stereo);
}

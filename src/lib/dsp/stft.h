/* SPDX-License-Identifier: MIT
 *
 * Short-time Fourier transform of stereo frames, as in Spleeter: periodic Hann window of 4,096
 * samples, hop of 1,024. The inverse uses the same window times 2/3, with overlap-add.
 */
#ifndef SPL_LIB_DSP_STFT_H
#define SPL_LIB_DSP_STFT_H

#include "base/error.h"
#include "lib/kernels/kernels.h"

#define SPL_FRAME_LENGTH SPL_FFT_SIZE
#define SPL_FRAME_STEP   1024

/* Immutable after spl_stft_init, so any number of threads may use it at once. */
typedef struct spl_stft {
    const spl_kernels *kernels;
    spl_fft_tables tables;
    float window[SPL_FRAME_LENGTH];
    float inverse_window[SPL_FRAME_LENGTH];
} spl_stft;

void spl_stft_init(spl_stft *ret_stft);

/* Computes the packed spectrum (see kernels/kernels.h) of 4,096 interleaved stereo samples.
 * `scratch` holds 2 * 4,096 floats. */
void spl_stft_forward(const spl_stft *stft, const float *stereo, float *ret_re, float *ret_im,
                      float *scratch);

/* Adds the windowed inverse of a packed spectrum to 4,096 interleaved stereo samples. Overwrites re
 * and im. `scratch` holds 2 * 4,096 floats. */
void spl_stft_inverse_add(const spl_stft *stft, float *re, float *im, float *stereo,
                          float *scratch);

#endif

/* SPDX-License-Identifier: MIT
 *
 * The FFT for AVX2 and FMA.
 */
#define SPL_FFT_NAME spl_fft_f32_avx2
#include "kernels/fft_body.h"

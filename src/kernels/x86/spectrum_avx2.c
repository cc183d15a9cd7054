/* SPDX-License-Identifier: MIT
 *
 * The spectrum kernels for AVX2 and FMA.
 */
#define SPL_SPECTRUM_INIT spl_spectrum_kernels_init_avx2
#include "kernels/spectrum_body.h"

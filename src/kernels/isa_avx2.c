/* SPDX-License-Identifier: MIT
 *
 * The kernels for AVX2 and FMA.
 */
#define SPL_ISA avx2
#include "kernels/isa_body.h"

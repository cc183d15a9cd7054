/* SPDX-License-Identifier: MIT
 *
 * The kernels for AVX2 and FMA.
 */
#define SPL_ISA avx2
#include "lib/kernels/isa_body.h"

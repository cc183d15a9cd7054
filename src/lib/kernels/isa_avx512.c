/* SPDX-License-Identifier: MIT
 *
 * The kernels for AVX-512 (x86-64-v4).
 */
#define SPL_ISA avx512
#include "lib/kernels/isa_body.h"

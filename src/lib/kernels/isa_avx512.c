/* SPDX-License-Identifier: MIT
 *
 * The kernels for AVX-512, as x86-64-v4 has it.
 */
#define SPL_ISA avx512
#include "lib/kernels/isa_body.h"

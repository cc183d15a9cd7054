/* SPDX-License-Identifier: MIT
 *
 * The kernels for the compiler's baseline: SSE2 on amd64, NEON on arm64.
 */
#define SPL_ISA generic
#include "lib/kernels/isa_body.h"

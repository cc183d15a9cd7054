/* SPDX-License-Identifier: MIT
 *
 * CPU detection.
 */
#include "kernels/cpu.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <spleeter/spleeter.h>

static atomic_uint allowed = ~0u;

static unsigned detect(void) {
    unsigned flags = 0;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        flags |= SPL_CPU_AVX2;
#endif
    const char *forced = getenv("SPLEETER_CPU");
    if (forced && strcmp(forced, "c") == 0)
        flags = 0;
    return flags;
}

unsigned spl_cpu_flags(void) {
    return detect() & atomic_load(&allowed);
}

void spl_cpu_set_mask(unsigned mask) {
    atomic_store(&allowed, mask);
}

SPL_API const char *spl_cpu_isa(void) {
    return spl_cpu_flags() & SPL_CPU_AVX2 ? "avx2" : "c";
}

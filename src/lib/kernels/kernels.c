/* SPDX-License-Identifier: MIT
 *
 * Run-time selection of the kernels, and their shared tables.
 */
#include "lib/kernels/kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <spleeter/spleeter.h>

unsigned spl_cpu_flags(void) {
    unsigned flags = 0;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        flags |= SPL_CPU_AVX2;
    if (flags && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        flags |= SPL_CPU_AVX512;
#endif
    const char *most = getenv("SPLEETER_CPU");
    if (most && strcmp(most, "generic") == 0)
        return 0;
    if (most && strcmp(most, "avx2") == 0)
        return flags & SPL_CPU_AVX2;
    return flags;
}

const spl_kernels *spl_kernels_get(unsigned cpu_flags) {
#if defined(__x86_64__)
    if (cpu_flags & SPL_CPU_AVX512)
        return &spl_kernels_avx512;
    if (cpu_flags & SPL_CPU_AVX2)
        return &spl_kernels_avx2;
#else
    (void)cpu_flags;
#endif
    return &spl_kernels_generic;
}

SPL_API const char *spl_cpu_isa(void) {
    return spl_kernels_get(spl_cpu_flags())->isa;
}

static void fill(spl_fft_tables *tables, unsigned first, unsigned points) {
    for (unsigned k = 0; k < 7; k++)
        for (unsigned p = 0; p < points / 8; p++) {
            const double angle = -2.0 * M_PI * p * (k + 1) / points;
            tables->re[k][first + p] = (float)cos(angle);
            tables->im[k][first + p] = (float)sin(angle);
        }
}

void spl_fft_tables_init(spl_fft_tables *ret_tables) {
    fill(ret_tables, 0, 4096);
    fill(ret_tables, 512, 512);
    fill(ret_tables, 512 + 64, 64);
}

/* SPDX-License-Identifier: MIT
 *
 * Spectrum kernels: the choice, and the portable ones.
 */
#define SPL_SPECTRUM_INIT spl_spectrum_kernels_init_c
#include "kernels/spectrum_body.h"

#include "kernels/cpu.h"

void spl_spectrum_kernels_init(spl_spectrum_kernels *kernels, unsigned cpu_flags) {
    spl_spectrum_kernels_init_c(kernels);
#if defined(__x86_64__)
    if (cpu_flags & SPL_CPU_AVX2)
        spl_spectrum_kernels_init_avx2(kernels);
#else
    (void)cpu_flags;
#endif
}

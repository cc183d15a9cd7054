/* SPDX-License-Identifier: MIT
 *
 * FFT: tables, the choice of the kernel, and the portable one.
 */
#define SPL_FFT_NAME spl_fft_f32_c
#include "kernels/fft_body.h"

#include "kernels/cpu.h"

#include <math.h>

static void fill(spl_fft_tables *tables, unsigned first, unsigned points, unsigned copies) {
    for (unsigned k = 0; k < 3; k++)
        for (unsigned p = 0; p < points / 4; p++)
            for (unsigned copy = 0; copy < copies; copy++) {
                const double angle = -2.0 * M_PI * p * (k + 1) / points;
                tables->re[k][first + p * copies + copy] = (float)cos(angle);
                tables->im[k][first + p * copies + copy] = (float)sin(angle);
            }
}

void spl_fft_tables_init(spl_fft_tables *ret_tables) {
    fill(ret_tables, 0, 4096, 1);
    fill(ret_tables, 1024, 1024, 4);
    fill(ret_tables, 2048, 256, 1);
    fill(ret_tables, 2048 + 64, 64, 1);
    fill(ret_tables, 2048 + 64 + 16, 16, 1);
}

spl_fft_fn spl_fft_kernel(unsigned cpu_flags) {
#if defined(__x86_64__)
    if (cpu_flags & SPL_CPU_AVX2)
        return spl_fft_f32_avx2;
#else
    (void)cpu_flags;
#endif
    return spl_fft_f32_c;
}

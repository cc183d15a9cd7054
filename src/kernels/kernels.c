/* SPDX-License-Identifier: MIT
 *
 * The choice of the kernels, and the tables that they share.
 */
#include "kernels/kernels.h"

#include "kernels/winograd_points.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <spleeter/spleeter.h>

unsigned spl_cpu_flags(void) {
    const char *forced = getenv("SPLEETER_CPU");
    if (forced && strcmp(forced, "generic") == 0)
        return 0;
    unsigned flags = 0;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        flags |= SPL_CPU_AVX2;
#endif
    return flags;
}

const spl_kernels *spl_kernels_get(unsigned cpu_flags) {
#if defined(__x86_64__)
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

/* Row i takes the kernel's polynomial at the finite point p_i, over the product of the differences of p_i and the other
 * finite points; the last row its leading coefficient. For 2x2 outputs the products are 1, 2 and 2. */
#define AA (SPL_WINOGRAD_A * SPL_WINOGRAD_A)
#define BB (SPL_WINOGRAD_B * SPL_WINOGRAD_B)
#define POINT_ROW(p, product)                                                                      \
    { 1 / (product), (p) / (product), (p) * (p) / (product) }
static const double kernel_rows_4[6][3] = {
    {1 / (AA * BB), 0, 0},
    POINT_ROW(SPL_WINOGRAD_A, 2 * AA * (AA - BB)),
    POINT_ROW(-SPL_WINOGRAD_A, 2 * AA * (AA - BB)),
    POINT_ROW(SPL_WINOGRAD_B, 2 * BB * (BB - AA)),
    POINT_ROW(-SPL_WINOGRAD_B, 2 * BB * (BB - AA)),
    {0, 0, 1},
};
static const double kernel_rows_2[4][3] = {
    {1, 0, 0}, POINT_ROW(1.0, 2.0), POINT_ROW(-1.0, 2.0), {0, 0, 1}};

void spl_winograd_kernels(unsigned tile, float (*kernels)[SPL_PANEL],
                          float (*ret_points)[SPL_PANEL]) {
    const double(*rows)[3] = tile == 4 ? kernel_rows_4 : kernel_rows_2;
    const unsigned n = tile + 2;
    double half[6][3][SPL_PANEL];
    for (unsigned i = 0; i < n; i++)
        for (unsigned c = 0; c < 3; c++)
            for (unsigned o = 0; o < SPL_PANEL; o++)
                half[i][c][o] = rows[i][0] * (double)kernels[c][o] +
                                rows[i][1] * (double)kernels[3 + c][o] +
                                rows[i][2] * (double)kernels[6 + c][o];
    for (unsigned i = 0; i < n; i++)
        for (unsigned j = 0; j < n; j++)
            for (unsigned o = 0; o < SPL_PANEL; o++)
                ret_points[n * i + j][o] =
                    (float)(rows[j][0] * half[i][0][o] + rows[j][1] * half[i][1][o] +
                            rows[j][2] * half[i][2][o]);
}

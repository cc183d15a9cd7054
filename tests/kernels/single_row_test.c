/* SPDX-License-Identifier: MIT
 *
 * One row of a transposed convolution with one output channel.
 */
#include "base/macros.h"
#include "kernels_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* Each output is the sum over the taps that reach it. */
static void single_row_follows_definition(void **state) {
    (void)state;
    for (size_t t = 0; t < table_count; t++)
        for (unsigned channels = 1; channels <= 34; channels += 11)
            for (unsigned width = 32; width <= 96; width += 32) {
                const size_t step = width + 2 + channels % 3, count = channels * step;
                float *rows[3], *kernel = buffer_new((size_t)SPL_SINGLE_TAPS * channels);
                float *packed = buffer_new((size_t)SPL_SINGLE_TAPS * channels), *to = packed;
                for (unsigned r = 0; r < 3; r++)
                    rows[r] = buffer_new(count);
                /* `kernel` is [channel][5][5]. */
                for (unsigned c = 0; c < channels; c++)
                    for (int r = 0; r < 3; r++)
                        for (int k = 0; k < 3; k++)
                            for (int i = r == 2; i < 2; i++)
                                for (int j = k == 2; j < 2; j++)
                                    *to++ = kernel[c * SPL_SINGLE_TAPS +
                                                   (unsigned)((i + 3 - 2 * r) * 5 + j + 3 - 2 * k)];
                float *out[2] = {buffer_new(2 * width), buffer_new(2 * width)};
                const spl_single_row row = {
                    .input = {rows[0] + 1, rows[1] + 1, rows[2] + 1},
                    .channel_step = (ptrdiff_t)step,
                    .channels = channels,
                    .width = width,
                    .weights = packed,
                    .ahead = packed,
                    .activation = (spl_activation)(channels % 3),
                    .bias = 0.25f,
                    .scale = 1.5f,
                    .shift = -0.5f,
                    .out = {out[0], out[1]},
                };
                tables[t]->single_row(&row);
                for (int i = 0; i < 2; i++)
                    for (int x = 0; x < 2 * (int)width; x++) {
                        double sum = 0.25;
                        for (unsigned c = 0; c < channels; c++)
                            for (int r = 0; r < 3; r++)
                                for (int k = 0; k < 3; k++) {
                                    const int tap_row = i + 3 - 2 * r, tap = x % 2 + 3 - 2 * k;
                                    if (tap_row >= 0 && tap >= 0)
                                        sum += (double)kernel[c * SPL_SINGLE_TAPS +
                                                              (unsigned)(tap_row * 5 + tap)] *
                                               (double)rows[r][c * step + (unsigned)(x / 2 + k)];
                                }
                        assert_near("single", out[i][x], activate(row.activation, sum) * 1.5 - 0.5,
                                    2e-5);
                    }
                for (unsigned r = 0; r < 3; r++)
                    buffer_free(rows[r], count);
                buffer_free(kernel, (size_t)SPL_SINGLE_TAPS * channels);
                buffer_free(packed, (size_t)SPL_SINGLE_TAPS * channels);
                buffer_free(out[0], 2 * width);
                buffer_free(out[1], 2 * width);
            }
}

int main(void) {
    kernels_find();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(single_row_follows_definition),
    };
    return cmocka_run_group_tests_name("single_row", tests, NULL, NULL);
}

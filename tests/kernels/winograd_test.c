/* SPDX-License-Identifier: MIT
 *
 * Convolutions by Winograd's algorithm: input, weights, product and output.
 */
#include "base/macros.h"
#include "kernels_fixture.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* Passes a group of tiles through all stages, with kernels of 2 or 3 taps in each direction, and
 * compares the result with the convolution. The output tiles lie side by side; the last one is
 * `last_width` wide. */
static void check_winograd(const spl_kernels *kernels, unsigned tiles, unsigned channels,
                           unsigned row_taps, unsigned column_taps, unsigned height,
                           unsigned last_width, spl_finish_order order) {
    enum {
        PANEL = SPL_PANEL,
        GROUP = SPL_WINOGRAD_GROUP,
        MAX = 48,
        SIDE = SPL_WINOGRAD_SIDE,
        ELEMENTS = SPL_WINOGRAD_ELEMENTS
    };
    const size_t row_step = 9 * channels, column_step = channels + 3;
    const size_t pixel_count = (SIDE - 1) * (row_step + column_step) + channels;
    const size_t input_step = GROUP * channels + 16, input_count = ELEMENTS * input_step;
    const size_t output_step = GROUP * PANEL + 16, output_count = ELEMENTS * output_step;
    const size_t weights_step = (size_t)channels * PANEL + 16;
    const size_t out_row = (4 * (size_t)tiles + 1) * PANEL, out_count = 4 * out_row - PANEL;
    float *pixels[SPL_WINOGRAD_GROUP], *input = buffer_new(input_count),
                                       *output = buffer_new(output_count);
    float *weights = buffer_new(ELEMENTS * weights_step), *bias = buffer_new(PANEL);
    float *scale = buffer_new(PANEL), *shift = buffer_new(PANEL);
    static double kernel[MAX][PANEL][9];

    spl_winograd_input in = {
        .tiles = tiles,
        .row_step = (ptrdiff_t)row_step,
        .column_step = (ptrdiff_t)column_step,
        .channels = channels,
        .rows = SIDE - (row_taps == 2),
        .columns = SIDE - (column_taps == 2),
        .transformed = input,
        .element_step = (ptrdiff_t)input_step,
    };
    for (unsigned i = 0; i < tiles; i++)
        in.pixels[i] = pixels[i] = buffer_new(pixel_count);
    kernels->winograd_input(&in);

    const size_t taps_count = (size_t)channels * row_taps * column_taps * PANEL;
    float *taps = buffer_new(taps_count), *next = taps;
    memset(kernel, 0, sizeof(kernel));
    for (unsigned c = 0; c < channels; c++)
        for (unsigned r = 0; r < row_taps; r++)
            for (unsigned k = 0; k < column_taps; k++)
                for (unsigned o = 0; o < PANEL; o++)
                    kernel[c][o][3 * r + k] = (double)*next++;
    for (unsigned row = 0; row < in.rows; row++)
        kernels->winograd_weights(&(spl_winograd_weights){
            .row = row,
            .tap_rows = row_taps,
            .tap_columns = column_taps,
            .channels = channels,
            .taps = taps,
            .transformed = weights + SIDE * row * weights_step,
            .element_step = weights_step,
            .last = weights + (SIDE * row + SIDE - 1) * weights_step,
        });
    buffer_free(taps, taps_count);
    kernels->winograd_product(&(spl_winograd_product){
        .elements = ELEMENTS,
        .panels = 1,
        .groups = 1,
        .rows = channels / 16,
        .run = 16,
        .input = input,
        .input_step = input_step,
        .row_step = (ptrdiff_t)(16 * GROUP),
        .weights = weights,
        .weights_step = weights_step,
        .ahead = weights,
        .ahead_elements = 1,
        .output = output,
        .output_step = output_step,
    });

    float *raw = buffer_new(out_count), *out = buffer_new(out_count);
    float *before = buffer_new(out_count);
    memcpy(before, raw, out_count * sizeof(float));
    const spl_winograd_output to = {
        .tiles = tiles,
        .products = output,
        .element_step = (ptrdiff_t)output_step,
        .rows = in.rows,
        .columns = in.columns,
        .height = height,
        .width = 4 * (tiles - 1) + last_width,
        .finish = {.order = order,
                   .activation = SPL_ACTIVATION_ELU,
                   .bias = bias,
                   .scale = scale,
                   .shift = shift,
                   .channels = PANEL,
                   .raw = raw,
                   .raw_step = PANEL,
                   .out = out,
                   .out_step = PANEL},
        .raw_row_step = (ptrdiff_t)out_row,
        .out_row_step = (ptrdiff_t)out_row,
    };
    kernels->winograd_output(&to);
    for (unsigned y = 0; y < 4; y++)
        for (unsigned x = 0; x < 4 * tiles; x++)
            for (unsigned o = 0; o < PANEL; o++) {
                const size_t at = y * out_row + x * PANEL + o;
                if (y >= height || x >= to.width) {
                    assert_true(raw[at] == before[at]);
                    continue;
                }
                double sum = 0, magnitude = 1;
                for (unsigned c = 0; c < channels; c++)
                    for (unsigned tap = 0; tap < 9; tap++) {
                        const double product =
                            kernel[c][o][tap] *
                            (double)pixels[x / 4][(y + tap / 3) * row_step +
                                                  (x % 4 + tap % 3) * column_step + c];
                        sum += product;
                        magnitude += fabs(product);
                    }
                const double bound = 16 * (double)FLT_EPSILON * magnitude;
                assert_near("raw", raw[at], sum + (double)bias[o], bound);
                if (order != SPL_FINISH_RAW)
                    assert_near("out", out[at], finished(&to.finish, o, sum), bound);
            }
    for (unsigned i = 0; i < tiles; i++)
        buffer_free(pixels[i], pixel_count);
    buffer_free(raw, out_count);
    buffer_free(out, out_count);
    buffer_free(before, out_count);
    buffer_free(input, input_count);
    buffer_free(output, output_count);
    buffer_free(weights, ELEMENTS * weights_step);
    buffer_free(bias, PANEL);
    buffer_free(scale, PANEL);
    buffer_free(shift, PANEL);
}

static void winograd_is_convolution(void **state) {
    (void)state;
    for (size_t t = 0; t < table_count; t++)
        for (unsigned channels = 16; channels <= 48; channels += 16)
            for (unsigned taps = 0; taps < 4; taps++)
                for (unsigned size = 0; size < 16; size++)
                    check_winograd(tables[t], 1 + (size + taps) % SPL_WINOGRAD_GROUP, channels,
                                   2 + taps / 2, 2 + taps % 2, 1 + size / 4, 1 + size % 4,
                                   (spl_finish_order)(channels / 16 % 3));
}

/* Groups and panels that are multiplied together give the same bytes as each alone, and a sum
 * computed in parts the same bytes as the whole. */
static void winograd_product_does_not_depend_on_parts(void **state) {
    (void)state;
    enum { GROUPS = 5, RUN = 32, PANELS = 2 };
    const size_t step = (size_t)SPL_WINOGRAD_GROUP * RUN, input_count = GROUPS * step;
    const size_t weights_step = (size_t)RUN * SPL_PANEL, weights_count = PANELS * weights_step;
    const size_t alone_count = (size_t)SPL_WINOGRAD_GROUP * SPL_PANEL;
    for (size_t t = 0; t < table_count; t++)
        for (unsigned groups = 1; groups <= GROUPS; groups++) {
            const size_t panel_count = groups * alone_count, together_count = PANELS * panel_count;
            float *input = buffer_new(input_count), *weights = buffer_new(weights_count);
            float *together = buffer_new(together_count), *alone = buffer_new(alone_count);
            spl_winograd_product product = {
                .elements = 1,
                .panels = PANELS,
                .groups = groups,
                .input = input,
                .group_step = (ptrdiff_t)step,
                .rows = 1,
                .run = RUN,
                .weights = weights,
                .weights_panel_step = weights_step,
                .ahead = weights,
                .ahead_elements = 1,
                .output = together,
                .output_panel_step = panel_count,
            };
            tables[t]->winograd_product(&product);
            product.panels = 1;
            product.groups = 1;
            product.output = alone;
            for (unsigned i = 0; i < PANELS * groups; i++) {
                product.input = input + i % groups * step;
                product.weights = weights + i / groups * weights_step;
                tables[t]->winograd_product(&product);
                assert_memory_equal(together + i * alone_count, alone, alone_count * sizeof(float));
            }
            product.input = input;
            product.weights = weights;
            product.run = RUN / 2;
            tables[t]->winograd_product(&product);
            product.input += SPL_WINOGRAD_GROUP * RUN / 2;
            product.weights += RUN / 2 * SPL_PANEL;
            product.add = true;
            tables[t]->winograd_product(&product);
            assert_memory_equal(together, alone, alone_count * sizeof(float));
            buffer_free(input, input_count);
            buffer_free(weights, weights_count);
            buffer_free(together, together_count);
            buffer_free(alone, alone_count);
        }
}

int main(void) {
    kernels_find();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(winograd_is_convolution),
        cmocka_unit_test(winograd_product_does_not_depend_on_parts),
    };
    return cmocka_run_group_tests_name("winograd", tests, NULL, NULL);
}

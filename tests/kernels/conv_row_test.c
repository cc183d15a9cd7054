/* SPDX-License-Identifier: MIT
 *
 * One row of a convolution.
 */
#include "base/macros.h"
#include "kernels_fixture.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void check_row(const spl_kernels *kernels, unsigned rows, unsigned run, unsigned step,
                      unsigned width, unsigned channels, spl_finish_order order,
                      spl_activation activation, float special) {
    row_case c = row_case_new(rows, run, step, width, channels);
    c.row.finish.order = order;
    c.row.finish.activation = activation;
    if (special != 0)
        c.input[c.input_count / 2] = special;
    float *before = buffer_new(c.out_count);
    memcpy(before, c.out, c.out_count * sizeof(float));
    kernels->conv_row(&c.row);

    const double tolerance = (double)FLT_EPSILON * (rows * run + 16) * 4;
    for (unsigned x = 0; x < width; x++)
        for (unsigned o = 0; o < channels + 5 && x * (channels + 5) + o < c.out_count; o++) {
            const size_t at = x * (channels + 5) + o;
            if (o >= channels || order == SPL_FINISH_RAW)
                assert_true(c.out[at] == before[at]);
            if (o >= channels)
                continue;
            double sum = 0, magnitude = 0;
            for (unsigned r = 0; r < rows; r++)
                for (unsigned k = 0; k < run; k++) {
                    const double product = (double)c.input[r * c.row.row_stride + x * step + k] *
                                           (double)c.weights[(r * run + k) * SPL_PANEL + o];
                    sum += product;
                    magnitude += fabs(product);
                }
            const double bound = tolerance * (1 + magnitude);
            assert_near("raw", c.raw[at], sum + (double)c.bias[o], bound);
            if (order != SPL_FINISH_RAW)
                assert_near("out", c.out[at], finished(&c.row.finish, o, sum), bound);
        }
    buffer_free(before, c.out_count);
    row_case_free(&c);
}

static void conv_row_follows_definition(void **state) {
    (void)state;
    static const unsigned runs[] = {1, 2, 10, 80, 129};
    for (size_t t = 0; t < table_count; t++) {
        for (unsigned width = 1; width <= 26; width++)
            for (unsigned rows = 1; rows <= 5; rows++)
                for (unsigned r = 0; r < SPL_ARRAY_SIZE(runs); r++)
                    check_row(tables[t], rows, runs[r], runs[r] / 2 + 1, width,
                              1 + (width + rows) % SPL_PANEL, (spl_finish_order)(width % 3),
                              (spl_activation)(rows % 3), 0);
        for (int activation = 0; activation < 3; activation++)
            for (int order = 0; order < 3; order++) {
                check_row(tables[t], 3, 32, 16, 13, 16, (spl_finish_order)order,
                          (spl_activation)activation, 0);
                check_row(tables[t], 3, 32, 16, 13, 16, (spl_finish_order)order,
                          (spl_activation)activation, NAN);
            }
    }
}

/* A row that is computed in two parts has the same bytes as one computed at once. */
static void conv_row_does_not_depend_on_position(void **state) {
    (void)state;
    for (size_t t = 0; t < table_count; t++)
        for (unsigned cut = 1; cut < 31; cut++) {
            row_case c = row_case_new(5, 40, 16, 31, SPL_PANEL);
            c.row.finish.order = SPL_FINISH_NORM_ACT;
            c.row.finish.activation = SPL_ACTIVATION_ELU;
            tables[t]->conv_row(&c.row);
            float *whole = buffer_new(c.out_count);
            memcpy(whole, c.out, c.out_count * sizeof(float));
            spl_conv_row first = c.row, second = c.row;
            first.width = cut;
            second.width = 31 - cut;
            second.input += (ptrdiff_t)cut * c.row.step;
            second.finish.raw += (ptrdiff_t)cut * c.row.finish.raw_step;
            second.finish.out += (ptrdiff_t)cut * c.row.finish.out_step;
            tables[t]->conv_row(&first);
            tables[t]->conv_row(&second);
            assert_memory_equal(whole, c.out, c.out_count * sizeof(float));
            buffer_free(whole, c.out_count);
            row_case_free(&c);
        }
}

int main(void) {
    kernels_find();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conv_row_follows_definition),
        cmocka_unit_test(conv_row_does_not_depend_on_position),
    };
    return cmocka_run_group_tests_name("conv_row", tests, NULL, NULL);
}

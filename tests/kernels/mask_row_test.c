/* SPDX-License-Identifier: MIT
 *
 * One row of the last layer.
 */
#include "base/macros.h"
#include "kernels_fixture.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void mask_row_follows_definition(void **state) {
    (void)state;
    for (size_t t = 0; t < table_count; t++)
        for (unsigned width = 16; width <= 80; width++)
            for (unsigned logits = 0; logits < 2; logits++) {
                const size_t stride = width + 9, input_count = 6 * stride + width + 6;
                float *input = buffer_new(input_count), *weights = buffer_new(32);
                float *bias = buffer_new(2), *magnitude = buffer_new(2 * width);
                float *out = buffer_new(2 * width);
                for (size_t i = 0; i < input_count; i++)
                    input[i] *= 20;
                tables[t]->mask_row(&(spl_mask_row){
                    .input = input,
                    .row_stride = (ptrdiff_t)stride,
                    .width = width,
                    .weights = weights,
                    .bias = bias,
                    .magnitude = {logits ? NULL : magnitude, logits ? NULL : magnitude + width},
                    .out = {out, out + width},
                });
                for (unsigned c = 0; c < 2; c++)
                    for (unsigned x = 0; x < width; x++) {
                        double logit = (double)bias[c];
                        for (unsigned r = 0; r < 4; r++)
                            for (unsigned k = 0; k < 4; k++)
                                logit += (double)input[2 * r * stride + x + 2 * k] *
                                         (double)weights[(r * 4 + k) * 2 + c];
                        const double masked = (double)magnitude[c * width + x] / (1 + exp(-logit));
                        assert_near("mask", out[c * width + x], logits ? logit : masked, 2e-5);
                    }
                buffer_free(input, input_count);
                buffer_free(weights, 32);
                buffer_free(bias, 2);
                buffer_free(magnitude, 2 * width);
                buffer_free(out, 2 * width);
            }
}

int main(void) {
    kernels_find();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mask_row_follows_definition),
    };
    return cmocka_run_group_tests_name("mask_row", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * Each stem's share of each bin.
 */
#include "base/macros.h"
#include "kernels_fixture.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void gains_and_softmax_follow_definitions(void **state) {
    (void)state;
    static const double exponents[] = {1, 2, 0.5, 3};
    enum { STEMS = 3, SOFTMAX = SPL_ARRAY_SIZE(exponents) };
    for (size_t t = 0; t < table_count; t++)
        for (unsigned kind = 0; kind <= SOFTMAX; kind++)
            for (unsigned count = 1; count < 600; count += 83) {
                float *values[STEMS], *magnitudes = buffer_new(count);
                double want[STEMS][600];
                for (unsigned i = 0; i < STEMS; i++) {
                    values[i] = buffer_new(count);
                    for (unsigned k = 0; k < count; k++)
                        values[i][k] = kind == SOFTMAX ? 50 * values[i][k]
                                       : k == 0        ? 0
                                                       : fabsf(values[i][k]);
                }
                for (unsigned k = 0; k < count; k++) {
                    double sum = kind == SOFTMAX ? 0 : 1e-10;
                    for (unsigned i = 0; i < STEMS; i++) {
                        const double value = (double)values[i][k];
                        want[i][k] = kind == SOFTMAX ? exp(value) : pow(value, exponents[kind]);
                        sum += want[i][k];
                    }
                    for (unsigned i = 0; i < STEMS; i++)
                        want[i][k] = kind == SOFTMAX ? want[i][k] * (double)magnitudes[k] / sum
                                                     : (want[i][k] + 1e-10 / STEMS) / sum;
                }
                if (kind == SOFTMAX)
                    tables[t]->softmax(values, STEMS, count, magnitudes);
                else
                    tables[t]->gains(values, STEMS, count, (float)exponents[kind], 1e-10f / STEMS,
                                     1e-10f);
                for (unsigned i = 0; i < STEMS; i++) {
                    for (unsigned k = 0; k < count; k++)
                        assert_true(fabs((double)values[i][k] - want[i][k]) < 1e-6);
                    buffer_free(values[i], count);
                }
                buffer_free(magnitudes, count);
            }
}

int main(void) {
    kernels_find();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gains_and_softmax_follow_definitions),
    };
    return cmocka_run_group_tests_name("gains", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * How the wall clock follows the machine's clock.
 */
#include "base/clock.h"

#include "base/macros.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { STEP_MS = 250, START = 1000000 };

/* Lets `seconds` pass on a machine whose clock is `ahead_ms` ahead of the first reading. Fails if
 * the clock goes back, or runs faster or slower than by half. */
static int64_t pass(spl_clock *clock, int64_t *steady_ms, int64_t ahead_ms, int64_t seconds) {
    int64_t before = spl_clock_follow(clock, *steady_ms, START + *steady_ms + ahead_ms);
    for (int64_t passed = 0; passed < 1000 * seconds; passed += STEP_MS) {
        *steady_ms += STEP_MS;
        const int64_t now = spl_clock_follow(clock, *steady_ms, START + *steady_ms + ahead_ms);
        assert_in_range(now - before, STEP_MS / 2, STEP_MS * 3 / 2);
        before = now;
    }
    return before - START - *steady_ms;
}

static void it_runs_with_the_machine(void **state) {
    (void)state;
    spl_clock clock = {0};
    int64_t steady_ms = 50;
    assert_int_equal(pass(&clock, &steady_ms, 0, 100), 0);
}

static void small_corrections_are_spread(void **state) {
    (void)state;
    for (int64_t ahead_ms = -10000; ahead_ms <= 10000; ahead_ms += 2500) {
        spl_clock clock = {0};
        int64_t steady_ms = 50;
        pass(&clock, &steady_ms, 0, 5);
        assert_int_equal(pass(&clock, &steady_ms, ahead_ms, 2 * llabs(ahead_ms) / 1000 + 2),
                         ahead_ms);
    }
}

/* A process that reads the clock rarely gets no more than the correction. */
static void long_pauses(void **state) {
    (void)state;
    spl_clock clock = {0};
    assert_int_equal(spl_clock_follow(&clock, 0, START), START);
    assert_int_equal(spl_clock_follow(&clock, 2000, START + 2000 + 4000), START + 2000);
    assert_int_equal(spl_clock_follow(&clock, 3600000, START + 3600000 + 4000),
                     START + 3600000 + 4000);
}

static void large_corrections_are_followed(void **state) {
    (void)state;
    static const int64_t steps_ms[] = {10001, -10001, 3600000, -3600000, INT64_C(1) << 41};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(steps_ms); i++) {
        spl_clock clock = {0};
        const int64_t early = START + 1500 + steps_ms[i];
        spl_clock_follow(&clock, 0, START);
        assert_int_equal(spl_clock_follow(&clock, 500, START + 500 + steps_ms[i]), START + 500);
        assert_int_equal(spl_clock_follow(&clock, 1500, early), early);
        assert_int_equal(spl_clock_follow(&clock, 1700, early + 200), early + 200);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_runs_with_the_machine),
        cmocka_unit_test(small_corrections_are_spread),
        cmocka_unit_test(long_pauses),
        cmocka_unit_test(large_corrections_are_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

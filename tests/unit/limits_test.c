/* SPDX-License-Identifier: MIT
 *
 * The number of connections where few processes and threads are allowed, on a machine of two CPUs.
 */
#include "base/pool.h"
#include "base/processes.h"
#include "service/http/connection/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static uint64_t processes;

uint64_t __wrap_spl_processes_max(void);
uint64_t __wrap_spl_processes_max(void) {
    return processes;
}

unsigned __wrap_spl_cpu_count(void);
unsigned __wrap_spl_cpu_count(void) {
    return 2;
}

static void threads_limit_connections(void **state) {
    (void)state;
    static const struct {
        uint64_t processes;
        unsigned wanted, connections; /* 0: refused */
        const char *words;
    } cases[] = {
        {UINT64_MAX, 100, 100, NULL},
        {267, 100, 100, NULL},
        {266, 100, 99, NULL},
        {222, 100, 64, NULL},
        {162, 16, 16, NULL},
        {161, 16, 0, "161, is too low for 1 workers and 16 conn"},
        {221, 100, 0, "raise it to 222 (ulimit -u"},
    };
    for (size_t i = 0; i < SPL_ARRAY_SIZE(cases); i++) {
        const spl_settings settings = {.connections = cases[i].wanted, .workers = 1, .threads = 1};
        unsigned connections = 0;
        spl_error error = {0};
        processes = cases[i].processes;
        const int status = spl_connections_fit(&settings, &connections, &error);
        assert_int_equal(status, cases[i].words ? SPL_E_ARGUMENT : 0);
        assert_int_equal(connections, cases[i].connections);
        if (cases[i].words && !strstr(error.message, cases[i].words))
            fail_msg("%s", error.message);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(threads_limit_connections)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * The thread pool: every task of every loop runs exactly once, even while threads are spared.
 */
#include "base/pool.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>

#include <cmocka.h>

enum { TASKS_MAX = 100, LOOPS = 3000 };

typedef struct loop {
    unsigned threads;
    atomic_uint runs[TASKS_MAX];
    atomic_bool wrong_thread;
} loop;

static void count_task(void *user, size_t task, unsigned thread) {
    loop *l = user;
    atomic_fetch_add(&l->runs[task], 1);
    if (thread >= l->threads)
        atomic_store(&l->wrong_thread, true);
}

static void run_loops(spl_pool *pool) {
    static loop l;
    for (size_t i = 0; i < LOOPS; i++) {
        const size_t tasks = i * 7 % (TASKS_MAX + 1);
        memset(&l, 0, sizeof(l));
        l.threads = spl_pool_threads(pool);
        spl_pool_run(pool, tasks, count_task, &l);
        for (size_t task = 0; task < TASKS_MAX; task++)
            assert_int_equal(atomic_load(&l.runs[task]), task < tasks);
        assert_false(atomic_load(&l.wrong_thread));
    }
}

static void every_task_runs_once(void **state) {
    (void)state;
    for (unsigned threads = 1; threads <= 5; threads++) {
        spl_pool *pool;
        assert_int_equal(spl_pool_new(threads, &pool, NULL), 0);
        assert_int_equal(spl_pool_threads(pool), threads);
        run_loops(pool);
        spl_pool_free(pool);
    }
}

typedef struct sparing {
    spl_pool *pool;
    atomic_bool end;
} sparing;

static void *spare_in_turn(void *user) {
    sparing *s = user;
    for (unsigned spared = 0; !atomic_load(&s->end); spared = (spared + 1) % 6)
        spl_pool_spare(s->pool, spared);
    return NULL;
}

static void spared_threads_leave_no_task_behind(void **state) {
    (void)state;
    for (unsigned threads = 1; threads <= 4; threads++) {
        sparing s = {0};
        pthread_t other;
        assert_int_equal(spl_pool_new(threads, &s.pool, NULL), 0);
        assert_int_equal(pthread_create(&other, NULL, spare_in_turn, &s), 0);
        run_loops(s.pool);
        atomic_store(&s.end, true);
        pthread_join(other, NULL);
        spl_pool_free(s.pool);
    }
}

/* With all other threads spared, the caller's thread runs every task. */
static void only_the_callers_thread_is_left(void **state) {
    (void)state;
    static loop l;
    spl_pool *pool;
    assert_int_equal(spl_pool_new(4, &pool, NULL), 0);
    spl_pool_spare(pool, 99);
    l.threads = 1;
    spl_pool_run(pool, TASKS_MAX, count_task, &l);
    assert_false(atomic_load(&l.wrong_thread));
    spl_pool_free(pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_runs_once),
        cmocka_unit_test(spared_threads_leave_no_task_behind),
        cmocka_unit_test(only_the_callers_thread_is_left),
    };
    return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}

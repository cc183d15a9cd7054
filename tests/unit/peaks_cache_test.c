/* SPDX-License-Identifier: MIT
 *
 * Peaks are computed once for all waiting clients. The computation stops when none waits, and
 * results are cached as far as memory allows.
 */
#include "service/jobs/peaks_cache.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define PEAKS 500

/* A thread that requests peaks. */
typedef struct client {
    spl_peaks_cache *cache;
    const char *file;
    atomic_bool gone;      /* its client has disconnected */
    atomic_bool *released; /* the computation waits until it is true; NULL: no wait */
    atomic_uint *made;     /* number of computations started */
    bool fails;
    int status;
    spl_problem problem;
    spl_peaks_entry *entry;
    pthread_t thread;
} client;

static void pause_briefly(void) {
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static int is_gone(void *user) {
    const client *self = user;
    return atomic_load(&self->gone);
}

static int make(void *user, spl_peaks_entry *entry, spl_peaks *ret_peaks,
                spl_problem *ret_problem) {
    const client *self = user;
    atomic_fetch_add(self->made, 1);
    while (self->released && !atomic_load(self->released)) {
        if (spl_peaks_unwanted(entry))
            return spl_refuse(ret_problem, SPL_PROBLEM_UNAVAILABLE, "unwanted");
        pause_briefly();
    }
    if (self->fails)
        return spl_refuse(ret_problem, SPL_PROBLEM_INTERNAL, "broken");
    *ret_peaks = (spl_peaks){64, PEAKS, malloc(2 * PEAKS), 44100};
    assert_non_null(ret_peaks->data);
    memset(ret_peaks->data, self->file[0], 2 * PEAKS);
    return 0;
}

static void *run(void *user) {
    client *self = user;
    const spl_peaks_maker maker = {make, is_gone, self};
    self->status =
        spl_peaks_cache_take(self->cache, self->file, &maker, &self->entry, &self->problem);
    return NULL;
}

static void start(client *self) {
    assert_int_equal(pthread_create(&self->thread, NULL, run, self), 0);
}

static void wait_for_count(const atomic_uint *count, unsigned expected) {
    const double deadline_s = spl_now_s() + 60;
    while (atomic_load(count) != expected) {
        assert_true(spl_now_s() < deadline_s);
        pause_briefly();
    }
}

static int end(client *self) {
    pthread_join(self->thread, NULL);
    return self->status;
}

/* Takes and releases an entry; returns the total number of computations so far. */
static unsigned ask(spl_peaks_cache *cache, const char *file, atomic_uint *made) {
    client self = {.cache = cache, .file = file, .made = made};
    run(&self);
    assert_int_equal(self.status, 0);
    assert_int_equal(spl_peaks_cache_get(self.entry)->data[PEAKS], file[0]);
    spl_peaks_cache_release(cache, self.entry);
    return atomic_load(made);
}

static void computes_once(void **state) {
    (void)state;
    spl_peaks_cache cache;
    spl_peaks_cache_init(&cache, SIZE_MAX);
    atomic_bool released = false;
    atomic_uint made = 0;
    client askers[4];
    for (size_t i = 0; i < SPL_ARRAY_SIZE(askers); i++) {
        askers[i] = (client){.cache = &cache, .file = "a", .released = &released, .made = &made};
        start(&askers[i]);
        wait_for_count(&made, 1);
    }
    atomic_store(&released, true);
    for (size_t i = 0; i < SPL_ARRAY_SIZE(askers); i++) {
        assert_int_equal(end(&askers[i]), 0);
        spl_peaks_cache_release(&cache, askers[i].entry);
    }
    assert_int_equal(ask(&cache, "a", &made), 1);
    spl_peaks_cache_destroy(&cache);
}

static void stops_when_the_client_disconnects(void **state) {
    (void)state;
    spl_peaks_cache cache;
    spl_peaks_cache_init(&cache, SIZE_MAX);
    atomic_bool released = false;
    atomic_uint made = 0;
    client first = {.cache = &cache, .file = "a", .released = &released, .made = &made};
    client second = first;
    start(&first);
    wait_for_count(&made, 1);
    atomic_store(&second.gone, true); /* so that it leaves at the first poll */
    start(&second);
    assert_true(end(&second) < 0);
    atomic_store(&first.gone, true);
    assert_true(end(&first) < 0);
    assert_int_equal(first.problem.code, SPL_PROBLEM_UNAVAILABLE);
    assert_int_equal(ask(&cache, "a", &made), 2);
    spl_peaks_cache_destroy(&cache);
}

static void a_failure_is_reported_and_not_kept(void **state) {
    (void)state;
    spl_peaks_cache cache;
    spl_peaks_cache_init(&cache, SIZE_MAX);
    atomic_uint made = 0;
    client self = {.cache = &cache, .file = "a", .made = &made, .fails = true};
    run(&self);
    assert_true(self.status < 0);
    assert_int_equal(self.problem.code, SPL_PROBLEM_INTERNAL);
    assert_int_equal(ask(&cache, "a", &made), 2);
    spl_peaks_cache_destroy(&cache);
}

static void forgets_what_was_not_used_for_longest(void **state) {
    (void)state;
    spl_peaks_cache cache;
    spl_peaks_cache_init(&cache, (size_t)2 * 2 * PEAKS);
    atomic_uint made = 0;
    assert_int_equal(ask(&cache, "a", &made), 1);
    assert_int_equal(ask(&cache, "b", &made), 2);
    assert_int_equal(ask(&cache, "a", &made), 2);
    assert_int_equal(ask(&cache, "c", &made), 3);
    assert_int_equal(ask(&cache, "a", &made), 3);
    assert_int_equal(ask(&cache, "b", &made), 4);
    spl_peaks_cache_destroy(&cache);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(computes_once),
        cmocka_unit_test(stops_when_the_client_disconnects),
        cmocka_unit_test(a_failure_is_reported_and_not_kept),
        cmocka_unit_test(forgets_what_was_not_used_for_longest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

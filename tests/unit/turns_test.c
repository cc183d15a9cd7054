/* SPDX-License-Identifier: MIT
 *
 * Slots shared by keys: no key gets more than its share, waiters are served in turn, and every wait
 * ends.
 */
#include "base/turns.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define WAIT_MS 120000

/* A thread that waits for a turn. */
typedef struct client {
    spl_turns *turns;
    const char *key;
    unsigned wait_ms;
    atomic_int gone; /* returned by `canceled` */
    int status;
    unsigned slot;
    pthread_t thread;
} client;

static int is_gone(void *user) {
    return atomic_load((atomic_int *)user);
}

static void *run(void *user) {
    client *self = user;
    const spl_turn_wait wait = {self->key, self->wait_ms, is_gone, &self->gone};
    self->status = spl_turns_take(self->turns, &wait, &self->slot);
    return NULL;
}

/* Starts a client and returns once it waits. */
static void start(client *self, spl_turns *turns, const char *key, unsigned wait_ms) {
    *self = (client){.turns = turns, .key = key, .wait_ms = wait_ms};
    const unsigned before = spl_turns_waiting(turns);
    assert_int_equal(pthread_create(&self->thread, NULL, run, self), 0);
    const double deadline_s = spl_now_s() + 60;
    while (spl_turns_waiting(turns) == before) {
        assert_true(spl_now_s() < deadline_s);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

static int end(client *self) {
    pthread_join(self->thread, NULL);
    return self->status;
}

static unsigned take(spl_turns *turns, const char *key) {
    unsigned slot = 99;
    assert_int_equal(spl_turns_take(turns, &(spl_turn_wait){.key = key, .ms = WAIT_MS}, &slot), 0);
    return slot;
}

static int try_take(spl_turns *turns, const char *key) {
    unsigned slot;
    return spl_turns_take(turns, &(spl_turn_wait){.key = key}, &slot);
}

static void one_key_holds_no_more_than_its_share(void **state) {
    (void)state;
    spl_turns turns;
    spl_turns_init(&turns, 4, 2);
    const unsigned first = take(&turns, "alice");
    take(&turns, "alice");
    assert_int_equal(try_take(&turns, "alice"), SPL_E_LIMIT);
    take(&turns, "bob");
    spl_turns_end(&turns, first);
    take(&turns, "alice");
    spl_turns_destroy(&turns);
}

static void waiting_keys_take_turns(void **state) {
    (void)state;
    spl_turns turns;
    spl_turns_init(&turns, 1, 1);
    client alice[3], bob;
    unsigned slot = take(&turns, "alice");
    for (size_t i = 0; i < SPL_ARRAY_SIZE(alice); i++)
        start(&alice[i], &turns, "alice", WAIT_MS);
    start(&bob, &turns, "bob", WAIT_MS);

    client *const order[] = {&bob, &alice[0], &alice[1], &alice[2]};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(order); i++) {
        spl_turns_end(&turns, slot);
        assert_int_equal(end(order[i]), 0);
        slot = order[i]->slot;
        assert_int_equal(spl_turns_waiting(&turns), SPL_ARRAY_SIZE(order) - 1 - i);
    }
    spl_turns_end(&turns, slot);
    spl_turns_destroy(&turns);
}

static void who_holds_fewest_comes_first(void **state) {
    (void)state;
    spl_turns turns;
    spl_turns_init(&turns, 3, 2);
    client alice, bob;
    take(&turns, "alice");
    take(&turns, "carol");
    const unsigned slot = take(&turns, "carol");
    start(&alice, &turns, "alice", WAIT_MS);
    start(&bob, &turns, "bob", WAIT_MS);
    spl_turns_end(&turns, slot);
    assert_int_equal(end(&bob), 0);
    spl_turns_end(&turns, bob.slot);
    assert_int_equal(end(&alice), 0);
    spl_turns_destroy(&turns);
}

static void no_wait_is_without_an_end(void **state) {
    (void)state;
    spl_turns turns;
    spl_turns_init(&turns, 1, 1);
    client late, leaves, stopped;
    const unsigned slot = take(&turns, "alice");
    start(&leaves, &turns, "bob", WAIT_MS);
    start(&late, &turns, "bob", 300);
    start(&stopped, &turns, "carol", WAIT_MS);
    atomic_store(&leaves.gone, 1);
    assert_int_equal(end(&leaves), SPL_E_CANCELED);
    assert_int_equal(end(&late), SPL_E_LIMIT);
    spl_turns_stop(&turns);
    assert_int_equal(end(&stopped), SPL_E_CANCELED);
    spl_turns_end(&turns, slot);
    assert_int_equal(try_take(&turns, "dave"), SPL_E_CANCELED);
    spl_turns_destroy(&turns);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_key_holds_no_more_than_its_share),
        cmocka_unit_test(waiting_keys_take_turns),
        cmocka_unit_test(who_holds_fewest_comes_first),
        cmocka_unit_test(no_wait_is_without_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * Slots and the list of waiters, under one lock. A slot keeps the key of its last holder; nothing
 * else is remembered of a key.
 */
#include "base/turns.h"

#include "base/clock.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define POLL_MS 250

typedef struct spl_turn_waiter {
    struct spl_turn_waiter *next;
    const char *key;
    pthread_cond_t granted;
    int slot; /* -1: none yet */
} turn_waiter;

void spl_turns_init(spl_turns *turns, unsigned slots, unsigned per_key) {
    assert(slots >= 1 && slots <= SPL_TURNS_SLOTS_MAX && per_key >= 1);
    *turns = (spl_turns){.slot_count = slots, .per_key = per_key};
    pthread_mutex_init(&turns->lock, NULL);
}

void spl_turns_destroy(spl_turns *turns) {
    assert(!turns->first);
    pthread_mutex_destroy(&turns->lock);
}

/* The number of slots that the key holds, and its last turn (0: none remembered). */
static unsigned count_held(const spl_turns *turns, const char *key, uint64_t *ret_turn) {
    unsigned held = 0;
    *ret_turn = 0;
    for (unsigned i = 0; i < turns->slot_count; i++) {
        if (strcmp(turns->slots[i].key, key) != 0)
            continue;
        held += turns->slots[i].held;
        *ret_turn = SPL_MAX(*ret_turn, turns->slots[i].turn);
    }
    return held;
}

/* The free slot with the oldest last turn, or -1. This keeps recent keys remembered longest. */
static int find_free(const spl_turns *turns) {
    int found = -1;
    for (unsigned i = 0; i < turns->slot_count; i++) {
        if (!turns->slots[i].held && (found < 0 || turns->slots[i].turn < turns->slots[found].turn))
            found = (int)i;
    }
    return found;
}

static turn_waiter *find_next(const spl_turns *turns) {
    turn_waiter *best = NULL;
    unsigned best_held = turns->per_key;
    uint64_t best_turn = 0;
    for (turn_waiter *waiter = turns->first; waiter; waiter = waiter->next) {
        uint64_t turn;
        const unsigned held = count_held(turns, waiter->key, &turn);
        if (held < best_held || (best && held == best_held && turn < best_turn)) {
            best = waiter;
            best_held = held;
            best_turn = turn;
        }
    }
    return best;
}

static void leave_list(spl_turns *turns, const turn_waiter *waiter) {
    turn_waiter **at = &turns->first;
    while (*at && *at != waiter)
        at = &(*at)->next;
    if (*at)
        *at = waiter->next;
}

/* Grants free slots to waiters. */
static void grant(spl_turns *turns) {
    turn_waiter *waiter;
    int slot;
    while ((slot = find_free(turns)) >= 0 && (waiter = find_next(turns))) {
        snprintf(turns->slots[slot].key, sizeof(turns->slots[slot].key), "%s", waiter->key);
        turns->slots[slot].turn = ++turns->turn;
        turns->slots[slot].held = true;
        waiter->slot = slot;
        leave_list(turns, waiter);
        pthread_cond_signal(&waiter->granted);
    }
}

static void append(spl_turns *turns, turn_waiter *waiter) {
    turn_waiter **at = &turns->first;
    while (*at)
        at = &(*at)->next;
    *at = waiter;
}

/* Waits, with the lock held, until the waiter has a slot; otherwise returns LIMIT or CANCELED. */
static int wait_for_slot(spl_turns *turns, turn_waiter *waiter, const spl_turn_wait *wait) {
    const double until_s = spl_now_s() + 1e-3 * wait->ms;
    while (waiter->slot < 0) {
        if (turns->stopped)
            return SPL_E_CANCELED;
        const double left_s = until_s - spl_now_s();
        if (left_s <= 0)
            return SPL_E_LIMIT;
        const struct timespec next_poll =
            spl_clock_in(1 + (uint64_t)SPL_MIN(POLL_MS, 1e3 * left_s));
        pthread_cond_timedwait(&waiter->granted, &turns->lock, &next_poll);
        if (waiter->slot >= 0 || !wait->canceled)
            continue;
        pthread_mutex_unlock(&turns->lock);
        const int canceled = wait->canceled(wait->user);
        pthread_mutex_lock(&turns->lock);
        if (canceled && waiter->slot < 0)
            return SPL_E_CANCELED;
    }
    return 0;
}

int spl_turns_take(spl_turns *turns, const spl_turn_wait *wait, unsigned *ret_slot) {
    turn_waiter waiter = {.key = wait->key, .slot = -1};
    spl_clock_cond_init(&waiter.granted);

    pthread_mutex_lock(&turns->lock);
    append(turns, &waiter);
    if (!turns->stopped)
        grant(turns);
    const int status = wait_for_slot(turns, &waiter, wait);
    if (status < 0)
        leave_list(turns, &waiter);
    pthread_mutex_unlock(&turns->lock);
    pthread_cond_destroy(&waiter.granted);
    if (status == 0)
        *ret_slot = (unsigned)waiter.slot;
    return status;
}

void spl_turns_end(spl_turns *turns, unsigned slot) {
    pthread_mutex_lock(&turns->lock);
    turns->slots[slot].held = false;
    if (!turns->stopped)
        grant(turns);
    pthread_mutex_unlock(&turns->lock);
}

void spl_turns_stop(spl_turns *turns) {
    pthread_mutex_lock(&turns->lock);
    turns->stopped = true;
    for (turn_waiter *waiter = turns->first; waiter; waiter = waiter->next)
        pthread_cond_signal(&waiter->granted);
    pthread_mutex_unlock(&turns->lock);
}

unsigned spl_turns_waiting(spl_turns *turns) {
    unsigned count = 0;
    pthread_mutex_lock(&turns->lock);
    for (const turn_waiter *waiter = turns->first; waiter; waiter = waiter->next)
        count++;
    pthread_mutex_unlock(&turns->lock);
    return count;
}

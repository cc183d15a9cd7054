/* SPDX-License-Identifier: MIT
 *
 * A fixed number of slots that clients share fairly. One key holds at most its share of them. A
 * free slot goes to the waiting key that holds the fewest, among equals to the one whose last turn
 * is longest ago, and within a key to the one that came first. Thread-safe.
 */
#ifndef SPL_SERVICE_JOBS_TURNS_H
#define SPL_SERVICE_JOBS_TURNS_H

#include "base/error.h"

#include <pthread.h>

#define SPL_TURNS_SLOTS_MAX 16
#define SPL_TURNS_KEY_SIZE  64

struct spl_turn_waiter;

typedef struct spl_turns {
    unsigned slot_count, per_key;
    pthread_mutex_t lock; /* of what follows */
    struct {
        char key[SPL_TURNS_KEY_SIZE]; /* that holds it, or held it last; "" nobody yet */
        uint64_t turn;                /* when it was taken, in turns */
        bool held;
    } slots[SPL_TURNS_SLOTS_MAX];
    uint64_t turn;
    struct spl_turn_waiter *first; /* in the order in which they came */
    bool stopped;
} spl_turns;

/* How long a thread waits for its turn. */
typedef struct spl_turn_wait {
    const char *key;
    unsigned ms; /* at most */
    int (*canceled)(
        void *user); /* asked several times a second; non-zero ends the wait. May be NULL. */
    void *user;
} spl_turn_wait;

/* 1 to SPL_TURNS_SLOTS_MAX slots, of which a key holds up to `per_key`. */
void spl_turns_init(spl_turns *turns, unsigned slots, unsigned per_key);
/* Nobody may hold or wait for a slot. */
void spl_turns_destroy(spl_turns *turns);

/* Takes a slot, which spl_turns_end gives back. Errors: LIMIT (none was free in time), CANCELED
 * (also after spl_turns_stop). */
SPL_WARN_UNUSED int spl_turns_take(spl_turns *turns, const spl_turn_wait *wait, unsigned *ret_slot);
void spl_turns_end(spl_turns *turns, unsigned slot);
/* Ends all waits, those to come as well. */
void spl_turns_stop(spl_turns *turns);
/* Threads that wait. */
unsigned spl_turns_waiting(spl_turns *turns);

#endif

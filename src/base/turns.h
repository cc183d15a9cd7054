/* SPDX-License-Identifier: MIT
 *
 * A fixed number of slots that clients share fairly. One key holds at most its share of them. A
 * free slot goes to the waiting key that holds the fewest slots, among equals to the one whose last
 * turn is longest ago, and within a key to the longest waiter. Thread-safe.
 */
#ifndef SPL_BASE_TURNS_H
#define SPL_BASE_TURNS_H

#include "base/error.h"

#include <pthread.h>

#define SPL_TURNS_SLOTS_MAX 32
#define SPL_TURNS_KEY_SIZE  64

struct spl_turn_waiter;

typedef struct spl_turns {
    unsigned slot_count, per_key;
    pthread_mutex_t lock; /* protects the members below */
    struct {
        char key[SPL_TURNS_KEY_SIZE]; /* the current or last holder; "": none yet */
        uint64_t turn;                /* sequence number of the turn in which it was taken */
        bool held;
    } slots[SPL_TURNS_SLOTS_MAX];
    uint64_t turn;
    struct spl_turn_waiter *first; /* in order of arrival */
    bool stopped;
} spl_turns;

/* The parameters of a thread's wait for its turn. */
typedef struct spl_turn_wait {
    const char *key;
    unsigned ms; /* maximum wait */
    /* Polled several times a second; non-zero ends the wait. May be NULL. */
    int (*canceled)(void *user);
    void *user;
} spl_turn_wait;

/* `slots` is 1 to SPL_TURNS_SLOTS_MAX; a key holds up to `per_key` of them. */
void spl_turns_init(spl_turns *turns, unsigned slots, unsigned per_key);
/* No thread may hold a slot or wait for one. */
void spl_turns_destroy(spl_turns *turns);

/* Takes a slot; return it with spl_turns_end. Errors: LIMIT (none was free in time), CANCELED (also
 * after spl_turns_stop). */
SPL_WARN_UNUSED int spl_turns_take(spl_turns *turns, const spl_turn_wait *wait, unsigned *ret_slot);
void spl_turns_end(spl_turns *turns, unsigned slot);
/* Ends all current and future waits. */
void spl_turns_stop(spl_turns *turns);
/* The number of waiting threads. */
unsigned spl_turns_waiting(spl_turns *turns);

#endif

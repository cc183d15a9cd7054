/* SPDX-License-Identifier: MIT
 *
 * A counter with a condition variable, which notifies threads of this process of changes. A waiting
 * thread reads the counter, examines the data, and waits until the counter differs. A thread that
 * makes a change increments the counter once the change is visible, so no change is missed.
 */
#ifndef SPL_SERVICE_STORE_SIGNALS_H
#define SPL_SERVICE_STORE_SIGNALS_H

#include <pthread.h>
#include <stdint.h>

typedef struct spl_signal {
    pthread_mutex_t mutex;
    pthread_cond_t condition; /* on CLOCK_MONOTONIC */
    uint64_t count;
} spl_signal;

void spl_signal_init(spl_signal *signal);
void spl_signal_destroy(spl_signal *signal);

void spl_signal_raise(spl_signal *signal);
uint64_t spl_signal_count(spl_signal *signal);
/* Returns when the counter differs from `seen`, or after `timeout_ms`. */
void spl_signal_wait(spl_signal *signal, uint64_t seen, unsigned timeout_ms);

#endif

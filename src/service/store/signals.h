/* SPDX-License-Identifier: MIT
 *
 * How threads of one process learn that something has changed: a counter and a condition variable.
 * Who waits reads the counter, looks at the data, and waits for the counter to move on; who changes
 * moves it after the change is visible. So no change is missed.
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
/* Returns when the counter is not `seen`, or after `timeout_ms`. */
void spl_signal_wait(spl_signal *signal, uint64_t seen, unsigned timeout_ms);

#endif

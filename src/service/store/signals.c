/* SPDX-License-Identifier: MIT
 *
 * A counter with a condition variable.
 */
#include "service/store/signals.h"

#include "base/clock.h"

#include <errno.h>
#include <time.h>

void spl_signal_init(spl_signal *signal) {
    spl_clock_cond_init(&signal->condition);
    pthread_mutex_init(&signal->mutex, NULL);
    signal->count = 0;
}

void spl_signal_destroy(spl_signal *signal) {
    pthread_cond_destroy(&signal->condition);
    pthread_mutex_destroy(&signal->mutex);
}

void spl_signal_raise(spl_signal *signal) {
    pthread_mutex_lock(&signal->mutex);
    signal->count++;
    pthread_cond_broadcast(&signal->condition);
    pthread_mutex_unlock(&signal->mutex);
}

uint64_t spl_signal_count(spl_signal *signal) {
    pthread_mutex_lock(&signal->mutex);
    uint64_t count = signal->count;
    pthread_mutex_unlock(&signal->mutex);
    return count;
}

void spl_signal_wait(spl_signal *signal, uint64_t seen, unsigned timeout_ms) {
    const struct timespec until = spl_clock_in(timeout_ms);
    pthread_mutex_lock(&signal->mutex);
    int waited = 0;
    while (signal->count == seen && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&signal->condition, &signal->mutex, &until);
    pthread_mutex_unlock(&signal->mutex);
}

/* SPDX-License-Identifier: MIT
 *
 * The wall clock of this process: CLOCK_BOOTTIME, compared with CLOCK_REALTIME once a second.
 */
#include "base/clock.h"

#include "base/macros.h"

#include <pthread.h>
#include <stdio.h>

/* The time between two comparisons with CLOCK_REALTIME. */
#define READ_MS 1000

static int64_t read_ms(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void spl_clock_cond_init(pthread_cond_t *cond) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attributes);
    pthread_condattr_destroy(&attributes);
}

int64_t spl_steady_ms(void) {
    return read_ms(CLOCK_BOOTTIME);
}

int64_t spl_clock_follow(spl_clock *clock, int64_t steady_ms, int64_t machine_ms) {
    if (!clock->started)
        *clock = (spl_clock){true, steady_ms, machine_ms, 0};
    const int64_t elapsed_ms = steady_ms - clock->steady_ms;
    const int64_t most_ms = elapsed_ms / 2;
    int64_t wall_ms =
        clock->wall_ms + elapsed_ms + SPL_MAX(SPL_MIN(clock->correction_ms, most_ms), -most_ms);
    if (elapsed_ms < READ_MS)
        return wall_ms;
    int64_t correction_ms = machine_ms - wall_ms;
    if (llabs(correction_ms) > SPL_CLOCK_SPREAD_MS) {
        wall_ms = machine_ms;
        correction_ms = 0;
    }
    *clock = (spl_clock){true, steady_ms, wall_ms, correction_ms};
    return wall_ms;
}

int64_t spl_wall_ms(void) {
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static spl_clock clock;
    pthread_mutex_lock(&mutex);
    const int64_t wall_ms = spl_clock_follow(&clock, spl_steady_ms(), read_ms(CLOCK_REALTIME));
    pthread_mutex_unlock(&mutex);
    return wall_ms;
}

void spl_time_text(int64_t wall_ms, char ret_text[25]) {
    const time_t seconds = (time_t)(wall_ms / 1000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    char date[20];
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(ret_text, 25, "%s.%03uZ", date, (unsigned)(wall_ms % 1000) % 1000);
}

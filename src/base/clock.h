/* SPDX-License-Identifier: MIT
 *
 * A monotonic clock, and the wall clock of this process.
 */
#ifndef SPL_BASE_CLOCK_H
#define SPL_BASE_CLOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* Seconds since an arbitrary moment in the past. */
static inline double spl_now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Returns the CLOCK_MONOTONIC time `ms` milliseconds from now, as the deadline of a wait. */
static inline struct timespec spl_clock_in(uint64_t ms) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    const uint64_t sum_ns = (uint64_t)time.tv_nsec + ms % 1000 * 1000000;
    time.tv_sec += (time_t)(ms / 1000 + sum_ns / 1000000000);
    time.tv_nsec = (long)(sum_ns % 1000000000);
    return time;
}

/* Initializes a condition for pthread_cond_timedwait with deadlines of spl_clock_in. */
void spl_clock_cond_init(pthread_cond_t *cond);

/* Milliseconds since an arbitrary moment in the past, including those in which the machine was
 * suspended. */
int64_t spl_steady_ms(void);

/* Milliseconds since 1970, for expiries, leases and times of events. Follows CLOCK_REALTIME. A step
 * of that clock by up to SPL_CLOCK_SPREAD_MS is spread over twice its length, without going back,
 * so that it ends no lease. A larger step is followed within a second, because the machine's clock
 * was wrong before. Thread-safe. */
int64_t spl_wall_ms(void);

#define SPL_CLOCK_SPREAD_MS 10000

/* The state of the wall clock; zeroed at first. */
typedef struct spl_clock {
    bool started;
    int64_t steady_ms, wall_ms; /* when the machine's clock was read last */
    int64_t correction_ms;      /* to be spread from then on */
} spl_clock;

/* Returns what spl_wall_ms returns if spl_steady_ms is `steady_ms` and CLOCK_REALTIME is
 * `machine_ms`. */
int64_t spl_clock_follow(spl_clock *clock, int64_t steady_ms, int64_t machine_ms);

/* Formats `wall_ms` (milliseconds since 1970, up to the year 9999) as RFC 3339 in UTC:
 * "2026-01-31T23:59:59.999Z". */
void spl_time_text(int64_t wall_ms, char ret_text[25]);

/* Adds the seconds since *since to *sum, and sets *since to now. */
static inline void spl_clock_lap(double *since, double *sum) {
    const double now = spl_now_s();
    *sum += now - *since;
    *since = now;
}

#endif

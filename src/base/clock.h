/* SPDX-License-Identifier: MIT
 *
 * Monotonic clocks.
 */
#ifndef SPL_BASE_CLOCK_H
#define SPL_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Seconds since an arbitrary moment in the past. */
static inline double spl_now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* The time by CLOCK_MONOTONIC in `ms` milliseconds, for waits with a deadline. */
static inline struct timespec spl_clock_in(uint64_t ms) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    const uint64_t sum_ns = (uint64_t)time.tv_nsec + ms % 1000 * 1000000;
    time.tv_sec += (time_t)(ms / 1000 + sum_ns / 1000000000);
    time.tv_nsec = (long)(sum_ns % 1000000000);
    return time;
}

/* Milliseconds since 1970, monotonic: the wall clock at the first call plus the time elapsed since.
 * Steps of the wall clock therefore end no lease early. Thread-safe. */
int64_t spl_wall_ms(void);

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

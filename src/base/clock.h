/* SPDX-License-Identifier: MIT
 *
 * Time that only goes forward.
 */
#ifndef SPL_BASE_CLOCK_H
#define SPL_BASE_CLOCK_H

#include <time.h>

/* Seconds since some moment in the past. */
static inline double spl_now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Adds the seconds since *since to *sum, and sets *since to now. */
static inline void spl_clock_lap(double *since, double *sum) {
    const double now = spl_now_s();
    *sum += now - *since;
    *since = now;
}

#endif

/* SPDX-License-Identifier: MIT
 *
 * Rates by name in a table of fixed size: requests of keys, failed attempts from addresses.
 */
#ifndef SPL_SERVICE_AUTH_RATE_H
#define SPL_SERVICE_AUTH_RATE_H

#include "base/error.h"

/* The values of the RateLimit headers (draft-ietf-httpapi-ratelimit-headers). */
typedef struct spl_rate {
    unsigned limit, remaining, reset_s;
} spl_rate;

typedef struct spl_rate_table spl_rate_table;

/* Holds `capacity` names, rounded up to a multiple of 8. Beyond that, the names that were idle
 * longest are evicted and start anew. */
SPL_WARN_UNUSED int spl_rate_table_new(size_t capacity, spl_rate_table **ret_table,
                                       spl_error *ret_error);
void spl_rate_table_free(spl_rate_table *table);

/* Takes one of the `per_minute` requests that `name` may make in any minute, in a burst or spread
 * out. `now_s` must not decrease. When none is left, returns false and takes nothing; *ret_wait_s
 * is the time until the next one. *ret_rate and *ret_wait_s (0 on success) are always written.
 * Thread-safe. */
bool spl_rate_take(spl_rate_table *table, const char *name, unsigned per_minute, double now_s,
                   spl_rate *ret_rate, unsigned *ret_wait_s);

#endif

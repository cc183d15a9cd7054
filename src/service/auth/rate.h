/* SPDX-License-Identifier: MIT
 *
 * Rates of named things in a table of fixed size: keys' requests, addresses' failed attempts.
 */
#ifndef SPL_SERVICE_AUTH_RATE_H
#define SPL_SERVICE_AUTH_RATE_H

#include "service/auth/auth.h"

typedef struct spl_rate_table spl_rate_table;

/* Room for `capacity` names (rounded up to a multiple of 8); when there are more, those that were
 * quiet longest are forgotten, and start anew. */
SPL_WARN_UNUSED int spl_rate_table_new(size_t capacity, spl_rate_table **ret_table,
                                       spl_error *ret_error);
void spl_rate_table_free(spl_rate_table *table);

/* Takes one of the `per_minute` that `name` may have in any minute, all at once if it likes;
 * `now_s` goes forward only. When there is none, returns false, takes nothing, and *ret_wait_s is
 * when there will be. *ret_rate and *ret_wait_s (0 when true) are always written. Thread-safe. */
bool spl_rate_take(spl_rate_table *table, const char *name, unsigned per_minute, double now_s,
                   spl_rate *ret_rate, unsigned *ret_wait_s);
/* The same without taking. */
bool spl_rate_ask(spl_rate_table *table, const char *name, unsigned per_minute, double now_s,
                  spl_rate *ret_rate, unsigned *ret_wait_s);

#endif

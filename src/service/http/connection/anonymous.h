/* SPDX-License-Identifier: MIT
 *
 * Limits the log lines of requests that have no valid credential or exceed their rate. Each line of
 * log or audit log that such a request causes is charged to two budgets: that of its address, and
 * one shared by all addresses. Lines beyond a budget are only counted; the count is logged once a
 * minute.
 */
#ifndef SPL_SERVICE_HTTP_CONNECTION_ANONYMOUS_H
#define SPL_SERVICE_HTTP_CONNECTION_ANONYMOUS_H

#include "service/observe/audit.h"

typedef enum spl_anonymous_line {
    SPL_ANONYMOUS_REQUEST, /* log: "http.request" */
    SPL_ANONYMOUS_REFUSAL, /* audit log: "auth.refused" */
    SPL_ANONYMOUS_READ,    /* audit log: "file.read", by a link */
    SPL_ANONYMOUS_LINES,
} spl_anonymous_line;

typedef struct spl_anonymous spl_anonymous;

/* `audit` must outlive the object. */
SPL_WARN_UNUSED int spl_anonymous_new(spl_audit *audit, spl_anonymous **ret_anonymous,
                                      spl_error *ret_error);
/* Logs the pending counts. */
void spl_anonymous_free(spl_anonymous *anonymous);

/* Returns true if `address` may cause one more line; otherwise counts the line. `now_s` is
 * spl_now_s(). Thread-safe. */
bool spl_anonymous_may_write(spl_anonymous *anonymous, spl_anonymous_line line, const char *address,
                             double now_s);
/* Logs each count that started at least a minute before `now_s` (spl_now_s()). Call it every few
 * seconds. Thread-safe. */
void spl_anonymous_report(spl_anonymous *anonymous, double now_s);

#endif

/* SPDX-License-Identifier: MIT
 *
 * What requests without a valid credential, or past their rate, may write. Each line of log or
 * audit log that such a request causes is taken from two budgets, one of its address and one of all
 * together. What goes beyond is counted, and told in one line a minute.
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

/* `audit` must outlive it. */
SPL_WARN_UNUSED int spl_anonymous_new(spl_audit *audit, spl_anonymous **ret_anonymous,
                                      spl_error *ret_error);
/* Tells what was counted. */
void spl_anonymous_free(spl_anonymous *anonymous);

/* Whether `address` may cause one more line; otherwise it is counted. Thread-safe. */
bool spl_anonymous_may_write(spl_anonymous *anonymous, spl_anonymous_line line, const char *address,
                             double now_s);
/* Tells what was counted more than a minute before `now_s` (spl_now_s()). To be called every few
 * seconds. Thread-safe. */
void spl_anonymous_tell(spl_anonymous *anonymous, double now_s);

#endif

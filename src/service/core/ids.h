/* SPDX-License-Identifier: MIT
 *
 * Ids: of requests, and W3C Trace Context (traceparent), https://www.w3.org/TR/trace-context/.
 */
#ifndef SPL_SERVICE_CORE_IDS_H
#define SPL_SERVICE_CORE_IDS_H

#include "base/error.h"

/* A UUID version 7 (RFC 9562): sorts by time. */
void spl_uuid_make(char ret_text[37]);
bool spl_uuid_valid(const char *text);

/* The client's X-Request-Id when it is 1 to 63 letters, digits, '-', '_' or '.', or else a new one.
 */
void spl_request_id_choose(const char *header, char ret_id[64]);

/* Takes over a valid traceparent (its trace id and flags, with a new span id), or starts one. */
typedef struct spl_trace {
    char trace_id[33];
    char parent[56];
} spl_trace; /* parent: the traceparent to pass on */
void spl_trace_start(const char *traceparent, spl_trace *ret_trace);

#endif

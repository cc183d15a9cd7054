/* SPDX-License-Identifier: MIT
 *
 * Request ids, UUIDs and W3C Trace Context (traceparent), https://www.w3.org/TR/trace-context/.
 */
#ifndef SPL_SERVICE_CORE_IDS_H
#define SPL_SERVICE_CORE_IDS_H

#include "base/error.h"

/* Makes a UUID version 7 (RFC 9562); these sort by creation time. */
void spl_uuid_make(char ret_text[37]);
bool spl_uuid_valid(const char *text);

/* Takes the client's X-Request-Id when it is 1 to 63 letters, digits, '-', '_' or '.', and makes a
 * new id otherwise. `header` may be NULL. */
void spl_request_id_choose(const char *header, char ret_id[64]);

typedef struct spl_trace {
    char trace_id[33];
    char parent[56]; /* the traceparent to pass on */
} spl_trace;
/* Continues a valid traceparent (its trace id and flags, with a new span id) or starts a new one.
 * `traceparent` may be NULL. */
void spl_trace_start(const char *traceparent, spl_trace *ret_trace);

#endif

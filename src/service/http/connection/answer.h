/* SPDX-License-Identifier: MIT
 *
 * Sends answers: JSON, problem documents (RFC 9457), or a response that a route has made. Adds the
 * headers that all answers have.
 */
#ifndef SPL_SERVICE_HTTP_CONNECTION_ANSWER_H
#define SPL_SERVICE_HTTP_CONNECTION_ANSWER_H

#include "service/http/connection/request.h"

/* A header that one route adds to its answers. */
typedef struct spl_answer_header {
    const char *name, *value; /* a NULL name ends the list */
} spl_answer_header;

/* Takes ownership of `json`, also on failure; NULL means that memory ran out. `headers` may be
 * NULL. Problem: UNAVAILABLE. */
SPL_WARN_UNUSED int spl_answer_json(spl_request *request, unsigned status, json_t *json,
                                    const spl_answer_header *headers, spl_problem *ret_problem);
/* `text` must live as long as the program. Problem: UNAVAILABLE. */
SPL_WARN_UNUSED int spl_answer_constant(spl_request *request, const char *type, const char *text,
                                        size_t size, spl_problem *ret_problem);
/* Sends an answer without a body. `headers` may be NULL. Problem: UNAVAILABLE. */
SPL_WARN_UNUSED int spl_answer_empty(spl_request *request, unsigned status,
                                     const spl_answer_header *headers, spl_problem *ret_problem);
/* Takes ownership of `response`, also on failure; NULL means that memory ran out. `type` and
 * `headers` may be NULL. Problem: UNAVAILABLE. */
SPL_WARN_UNUSED int spl_answer_response(spl_request *request, unsigned status, const char *type,
                                        struct MHD_Response *response,
                                        const spl_answer_header *headers, spl_problem *ret_problem);
/* Queues the problem as the answer. False: that failed, and the connection must be closed. */
bool spl_answer_problem(spl_request *request, const spl_problem *problem);

#endif

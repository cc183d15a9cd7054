/* SPDX-License-Identifier: MIT
 *
 * What goes back: JSON, problem documents (RFC 9457), or a response that a route has made; with the
 * headers that all answers have.
 */
#ifndef SPL_SERVICE_HTTP_CONNECTION_ANSWER_H
#define SPL_SERVICE_HTTP_CONNECTION_ANSWER_H

#include "service/http/connection/request.h"

/* Headers of the answer that one route alone has. */
typedef struct spl_answer_header {
    const char *name, *value; /* name NULL ends a list */
} spl_answer_header;

/* `json` is used up (NULL is out of memory); `headers` may be NULL. Problem: UNAVAILABLE. */
SPL_WARN_UNUSED int spl_answer_json(spl_request *request, unsigned status, json_t *json,
                                    const spl_answer_header *headers, spl_problem *ret_problem);
/* `text` lives as long as the program. */
SPL_WARN_UNUSED int spl_answer_constant(spl_request *request, const char *type, const char *text,
                                        size_t size, spl_problem *ret_problem);
/* No body. */
SPL_WARN_UNUSED int spl_answer_empty(spl_request *request, unsigned status,
                                     spl_problem *ret_problem);
/* `response` is used up (NULL is out of memory). `type` may be NULL. */
SPL_WARN_UNUSED int spl_answer_response(spl_request *request, unsigned status, const char *type,
                                        struct MHD_Response *response,
                                        const spl_answer_header *headers, spl_problem *ret_problem);
/* Queues the problem; false when that is impossible, and the connection must be closed. */
bool spl_answer_problem(spl_request *request, const spl_problem *problem);

#endif

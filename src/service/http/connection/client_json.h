/* SPDX-License-Identifier: MIT
 *
 * Parses JSON from clients within limits.
 */
#ifndef SPL_SERVICE_HTTP_CONNECTION_CLIENT_JSON_H
#define SPL_SERVICE_HTTP_CONNECTION_CLIENT_JSON_H

#include "service/core/problem.h"

#include <jansson.h>

#define SPL_CLIENT_JSON_DEPTH_MAX  32
#define SPL_CLIENT_JSON_VALUES_MAX 10000 /* more than metadata can hold */

/* Parses a value of any type. `field` names the form field that holds it; NULL means that it is a
 * body. *ret_value is the caller's. Problems: INVALID (nested too deep, too many values, or a field
 * that is not JSON), BAD_REQUEST (a body that is not JSON), UNAVAILABLE. */
SPL_WARN_UNUSED int spl_client_json_parse(const char *text, size_t size, const char *field,
                                          json_t **ret_value, spl_problem *ret_problem);

#endif

/* SPDX-License-Identifier: MIT
 *
 * The callbacks of libmicrohttpd: for the request line, the headers, each piece of the body, and
 * the end. They become the three steps of a route: start (the headers are complete, the client is
 * identified), body, answer. A step that refuses the request produces a problem document. All steps
 * run on the connection's thread and may block.
 */
#ifndef SPL_SERVICE_HTTP_CONNECTION_CALLBACKS_H
#define SPL_SERVICE_HTTP_CONNECTION_CALLBACKS_H

#include "service/http/connection/request.h"

#include <stdarg.h>

/* `user` is the spl_http. */
void *spl_request_begin(void *user, const char *target, struct MHD_Connection *connection);
enum MHD_Result spl_request_handle(void *user, struct MHD_Connection *connection, const char *url,
                                   const char *method, const char *version, const char *data,
                                   size_t *size, void **state);
void spl_request_end(void *user, struct MHD_Connection *connection, void **state,
                     enum MHD_RequestTerminationCode why);
/* Returns whether libmicrohttpd (1.0.0 or later) itself refuses what spl_framing_contiguous
 * detects. */
bool spl_library_can_be_strict(void);
/* Passes libmicrohttpd's messages to the log. */
void spl_request_library_log(void *user, const char *format, va_list arguments);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Whom a request comes from when there are proxies. Of a proxy's headers, X-Forwarded-For and
 * X-Forwarded-Proto are read, and no others.
 */
#ifndef SPL_SERVICE_HTTP_CONNECTION_CLIENT_H
#define SPL_SERVICE_HTTP_CONNECTION_CLIENT_H

#include "service/http/connection/framing.h"

#include <sys/socket.h>

/* Trusted proxies in a row at most. */
#define SPL_CLIENT_MAX_HOPS 16

/* The socket's address, or when that is a trusted proxy the right-most address of X-Forwarded-For
 * that is not one. All lines of the header are one list, read from its end; nothing to the left of
 * a malformed entry is believed. Problem: BAD_REQUEST, after SPL_CLIENT_MAX_HOPS trusted proxies.
 */
SPL_WARN_UNUSED int spl_client_address(const struct sockaddr *peer, const spl_header *headers,
                                       size_t count, const char *trusted, char ret_address[64],
                                       spl_problem *ret_problem);

/* Whether a trusted proxy says that its client uses TLS: the last entry of X-Forwarded-Proto is
 * "https". */
bool spl_client_uses_tls(const struct sockaddr *peer, const spl_header *headers, size_t count,
                         const char *trusted);

#endif

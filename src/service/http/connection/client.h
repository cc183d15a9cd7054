/* SPDX-License-Identifier: MIT
 *
 * Finds the client of a request that came through proxies. Of a proxy's headers, only
 * X-Forwarded-For and X-Forwarded-Proto are read.
 */
#ifndef SPL_SERVICE_HTTP_CONNECTION_CLIENT_H
#define SPL_SERVICE_HTTP_CONNECTION_CLIENT_H

#include "service/http/connection/framing.h"

#include <sys/socket.h>

/* The maximum number of trusted proxies in a row. */
#define SPL_CLIENT_MAX_HOPS 16

/* Writes the socket's address or, if that is a trusted proxy, the right-most address of
 * X-Forwarded-For that is not one. All lines of the header form one list, which is read from its
 * end; a malformed entry and everything to its left are ignored. Problem: BAD_REQUEST if the list
 * goes on after SPL_CLIENT_MAX_HOPS trusted proxies. */
SPL_WARN_UNUSED int spl_client_address(const struct sockaddr *peer, const spl_header *headers,
                                       size_t count, const char *trusted, char ret_address[64],
                                       spl_problem *ret_problem);

/* Returns true if a trusted proxy reports that its client uses TLS: the last entry of
 * X-Forwarded-Proto is "https". */
bool spl_client_uses_tls(const struct sockaddr *peer, const spl_header *headers, size_t count,
                         const char *trusted);

#endif

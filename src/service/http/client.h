/* SPDX-License-Identifier: MIT
 *
 * Whom a request comes from when there are proxies.
 */
#ifndef SPL_SERVICE_HTTP_CLIENT_H
#define SPL_SERVICE_HTTP_CLIENT_H

#include <sys/socket.h>

/* The socket's address, or when that is a trusted proxy the right-most address of X-Forwarded-For (may be NULL) that is not one. What is left
 * of a malformed entry is not believed. */
void spl_client_address(const struct sockaddr *peer, const char *forwarded, const char *trusted,
                        char ret_address[64]);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Provides the listening socket: systemd's, or a new one.
 */
#ifndef SPL_SERVICE_HTTP_CONNECTION_LISTEN_H
#define SPL_SERVICE_HTTP_CONNECTION_LISTEN_H

#include "service/core/settings.h"

/* Where a socket listens. With a socket of systemd's this is not SPLEETER_BIND. */
typedef struct spl_listen_address {
    char host[64]; /* numeric; "": a Unix socket */
    unsigned port; /* 0: a Unix socket */
} spl_listen_address;

/* *ret_fd is the caller's. In development only loopback and Unix sockets are accepted. Errors:
 * ARGUMENT (the address is invalid or not allowed, or systemd's socket does not listen), IO,
 * PERMISSION. */
SPL_WARN_UNUSED int spl_listen(const spl_settings *settings, int *ret_fd,
                               spl_listen_address *ret_address, spl_error *ret_error);

#endif

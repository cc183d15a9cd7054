/* SPDX-License-Identifier: MIT
 *
 * Provides the listening socket: systemd's, or a new one.
 */
#ifndef SPL_SERVICE_HTTP_CONNECTION_LISTEN_H
#define SPL_SERVICE_HTTP_CONNECTION_LISTEN_H

#include "service/core/settings.h"

/* *ret_fd is the caller's; *ret_port is 0 for a Unix socket. Errors: ARGUMENT (the address is
 * invalid, or systemd's socket does not listen), IO, PERMISSION. */
SPL_WARN_UNUSED int spl_listen(const spl_settings *settings, int *ret_fd, unsigned *ret_port,
                               spl_error *ret_error);

#endif

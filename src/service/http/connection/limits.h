/* SPDX-License-Identifier: MIT
 *
 * How many connections the descriptors and threads of the process allow.
 */
#ifndef SPL_SERVICE_HTTP_CONNECTION_LIMITS_H
#define SPL_SERVICE_HTTP_CONNECTION_LIMITS_H

#include "service/core/settings.h"

/* Raises the limit of descriptors as far as allowed. *ret_connections: how many connections fit
 * beside the running jobs, at most SPLEETER_CONNECTIONS. Error: ARGUMENT if they are too few to
 * serve several clients. */
SPL_WARN_UNUSED int spl_connections_fit(const spl_settings *settings, unsigned *ret_connections,
                                        spl_error *ret_error);

#endif

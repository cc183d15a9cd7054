/* SPDX-License-Identifier: MIT
 *
 * `spleeterd health`: checks whether the service with these settings is alive.
 */
#ifndef SPL_SERVICE_HEALTH_H
#define SPL_SERVICE_HEALTH_H

#include "service/core/settings.h"

/* Returns 0 when GET /health responds with 200 within five seconds. The service's certificate is
 * not verified because it need not name the loopback address. Errors: IO, MEMORY. */
SPL_WARN_UNUSED int spl_service_health(const spl_settings *settings, spl_error *ret_error);

#endif

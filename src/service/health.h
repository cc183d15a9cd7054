/* SPDX-License-Identifier: MIT
 *
 * `spleeterd health`: asks the service of these settings whether it is alive.
 */
#ifndef SPL_SERVICE_HEALTH_H
#define SPL_SERVICE_HEALTH_H

#include "service/core/settings.h"

/* 0 when GET /health answers 200 within a few seconds; IO otherwise. The service's certificate is
 * not looked at: it need not name this machine's loopback address. */
SPL_WARN_UNUSED int spl_service_health(const spl_settings *settings, spl_error *ret_error);

#endif

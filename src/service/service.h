/* SPDX-License-Identifier: MIT
 *
 * `spleeterd serve` and `spleeterd worker`: opens the modules and runs until a signal ends the
 * process. SIGTERM and SIGINT drain; SIGHUP reloads the keys and reopens the log file.
 */
#ifndef SPL_SERVICE_SERVICE_H
#define SPL_SERVICE_SERVICE_H

#include "service/core/settings.h"

typedef enum spl_service_role {
    SPL_SERVES, /* the API, and jobs unless settings->workers is 0 */
    SPL_WORKS,  /* jobs of the shared store; of the API only health, readiness and metrics */
} spl_service_role;

/* Runs until a signal ends it. Call it with signals unblocked and no other thread running. Errors:
 * whatever prevented the start. */
SPL_WARN_UNUSED int spl_service_run(const spl_settings *settings, spl_service_role role,
                                    spl_error *ret_error);

#endif

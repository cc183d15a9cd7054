/* SPDX-License-Identifier: MIT
 *
 * `spleeterd serve` and `spleeterd worker`: puts the rooms together, and lives by signals: SIGTERM
 * and SIGINT drain, SIGHUP reloads keys and log file.
 */
#ifndef SPL_SERVICE_SERVICE_H
#define SPL_SERVICE_SERVICE_H

#include "service/core/settings.h"

typedef enum spl_service_role {
    SPL_SERVES, /* the API, and jobs when settings->workers is not 0 */
    SPL_WORKS,  /* jobs of the shared store; of the API health, readiness and metrics */
} spl_service_role;

/* Runs until a signal ends it. Needs signals unblocked and no other thread. Errors: whatever kept
 * it from starting. */
SPL_WARN_UNUSED int spl_service_run(const spl_settings *settings, spl_service_role role,
                                    spl_error *ret_error);

#endif

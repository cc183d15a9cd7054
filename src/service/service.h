/* SPDX-License-Identifier: MIT
 *
 * `spleeterd serve`: puts the rooms together, and lives by signals: SIGTERM and SIGINT drain, SIGHUP reloads keys and log file.
 */
#ifndef SPL_SERVICE_SERVICE_H
#define SPL_SERVICE_SERVICE_H

#include "service/settings.h"

/* Runs until a signal ends it. Needs signals unblocked and no other thread. Errors: whatever kept it from starting. */
SPL_WARN_UNUSED int spl_service_run(const spl_settings *settings, spl_error *ret_error);

#endif

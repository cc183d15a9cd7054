/* SPDX-License-Identifier: MIT
 *
 * `spleeterd config check`: reports what would keep the service from starting or the first job from
 * succeeding.
 */
#ifndef SPL_SERVICE_CHECK_H
#define SPL_SERVICE_CHECK_H

#include "service/core/settings.h"

/* Reports every local problem: unreadable files, an unusable data folder, a missing model or
 * helper, too low a limit of open files. `warn` gets what the service starts with, but clients may
 * refuse: an expired certificate. Changes nothing but the soft limit of open files. */
void spl_service_check_local(const spl_settings *settings, spl_settings_report *report,
                             spl_settings_report *warn, void *user);

/* Reports problems with other programs and machines: the port, database, storage, virus scanner and
 * the issuer's keys. Takes at most ten seconds. */
void spl_service_check_remote(const spl_settings *settings, spl_settings_report *report,
                              void *user);

#endif

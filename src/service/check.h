/* SPDX-License-Identifier: MIT
 *
 * `spleeterd config check`: what would keep the service from starting, or a first job from
 * succeeding.
 */
#ifndef SPL_SERVICE_CHECK_H
#define SPL_SERVICE_CHECK_H

#include "service/core/settings.h"

/* Tells all of it: files that cannot be read, a data folder that cannot be used, a model or the
 * codec helper that is not there. Changes nothing. */
void spl_service_check_here(const spl_settings *settings, spl_settings_tell *tell, void *user);

/* The same for what other programs and machines do: the port, database, storage, virus scanner and
 * the issuer's keys. Takes ten seconds at most. */
void spl_service_check_away(const spl_settings *settings, spl_settings_tell *tell, void *user);

#endif

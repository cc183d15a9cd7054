/* SPDX-License-Identifier: MIT
 *
 * The thread that expires jobs, and the cleanup before it starts. `user` is the spl_jobs.
 */
#ifndef SPL_SERVICE_JOBS_JANITOR_H
#define SPL_SERVICE_JOBS_JANITOR_H

#include "service/jobs/state.h"

void *spl_janitor_run(void *user);
/* Removes files that an earlier process left behind. */
SPL_WARN_UNUSED int spl_janitor_clean_up(spl_jobs *jobs, spl_error *ret_error);

#endif

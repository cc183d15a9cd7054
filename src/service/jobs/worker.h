/* SPDX-License-Identifier: MIT
 *
 * The threads that separate. `user` is the spl_jobs.
 */
#ifndef SPL_SERVICE_JOBS_WORKER_H
#define SPL_SERVICE_JOBS_WORKER_H

#include "service/jobs/state.h"

void *spl_worker_run(void *user);

#endif

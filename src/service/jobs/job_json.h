/* SPDX-License-Identifier: MIT
 *
 * A job as clients see it.
 */
#ifndef SPL_SERVICE_JOBS_JOB_JSON_H
#define SPL_SERVICE_JOBS_JOB_JSON_H

#include "service/jobs/state.h"

/* The job's public JSON (jobs.h), owned by the caller; `with_queue` adds the position in the queue
 * from the store. NULL: out of memory. */
json_t *spl_job_json(spl_jobs *jobs, const spl_job *job, bool with_queue);
/* A JSON number, or null if `value` is not finite. */
json_t *spl_json_number(double value);

#endif

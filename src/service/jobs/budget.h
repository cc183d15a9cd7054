/* SPDX-License-Identifier: MIT
 *
 * The budget of a running job: what its owner may store, and what the disk has left.
 */
#ifndef SPL_SERVICE_JOBS_BUDGET_H
#define SPL_SERVICE_JOBS_BUDGET_H

#include "service/jobs/state.h"

typedef struct spl_job_budget {
    spl_jobs *jobs;
    const spl_job *job;
    uint64_t stored_bytes; /* what its outputs count towards the owner's storage */
    uint64_t row_bytes;    /* of them in the database */
    uint64_t held_bytes;   /* what it wrote so far */
    spl_space_grant space;
} spl_job_budget;
/* Fails with NO_SPACE if the disk lacks what a claimed job is expected to write, or wrote in an
 * earlier attempt. Errors also: IO. */
SPL_WARN_UNUSED int spl_job_budget_open(spl_jobs *jobs, const spl_job *job, size_t output_count,
                                        spl_job_budget *ret_budget, spl_error *ret_error);
/* As spl_budget.allow (app/pipeline). A job that writes more than expected needs free storage of
 * its owner and disk space for it. Errors: LIMIT (the owner may not store so much), NO_SPACE,
 * CANCELED (lease lost), and those of the store. */
SPL_WARN_UNUSED int spl_job_budget_allow(spl_job_budget *budget, uint64_t held_bytes,
                                         uint64_t next_bytes, spl_error *ret_error);
/* Returns the unused disk space. May be called again, and on a zeroed budget. */
void spl_job_budget_close(spl_job_budget *budget);

#endif

/* SPDX-License-Identifier: MIT
 *
 * The budget of a running job: what its owner may store, and what the disk has left.
 */
#include "service/jobs/budget.h"
#include "service/jobs/state.h"

/* A job that writes more than expected requests this much storage in advance. */
#define EXTEND_BYTES ((uint64_t)16 << 20)

/* Each output takes up to a block more than its size. */
#define BLOCK_BYTES ((uint64_t)4096)

int spl_job_budget_open(spl_jobs *jobs, const spl_job *job, size_t output_count,
                        spl_job_budget *ret_budget, spl_error *ret_error) {
    spl_job_budget budget = {
        .jobs = jobs,
        .job = job,
        .stored_bytes = job->stored_bytes - SPL_MIN(job->stored_bytes, job->input_bytes),
        .row_bytes = output_count * SPL_OUTPUT_ROW_BYTES,
        .space = {.space = jobs->space, .use = SPL_SPACE_FINISH},
    };
    int status =
        spl_space_check(&budget.space, budget.stored_bytes + output_count * BLOCK_BYTES, ret_error);
    if (status == 0)
        *ret_budget = budget;
    return status;
}

int spl_job_budget_allow(spl_job_budget *budget, uint64_t held_bytes, uint64_t next_bytes,
                         spl_error *ret_error) {
    const uint64_t bytes = budget->row_bytes + held_bytes + next_bytes;
    if (bytes > budget->stored_bytes) {
        int status =
            SPL_STORE(budget->jobs, extend, budget->job->id, budget->job->fence, bytes,
                      bytes + SPL_MAX(bytes / 4, EXTEND_BYTES), &budget->stored_bytes, ret_error);
        if (status < 0)
            return status;
    }
    if (held_bytes > budget->held_bytes)
        spl_space_spend(&budget->space, held_bytes - budget->held_bytes);
    budget->held_bytes = held_bytes;
    return spl_space_take(&budget->space, next_bytes, ret_error);
}

void spl_job_budget_close(spl_job_budget *budget) {
    spl_space_release(&budget->space);
}

/* SPDX-License-Identifier: MIT
 *
 * The janitor: what an earlier process left, what has expired, and whether jobs can be taken.
 */
#include "base/clock.h"
#include "service/jobs/room.h"
#include "service/observe/metrics.h"

#define PERIOD_MS      5000
#define EXPIRE_AT_ONCE 64

/* Rows of expired jobs are kept for so long, so that clients learn what became of them. */
#define EXPIRED_KEEP_MS (INT64_C(7) * 24 * 3600 * 1000)

static int remove_orphan(void *user, const char *job) {
    spl_jobs *jobs = user;
    spl_error error;
    bool holds;
    int status = SPL_STORE(jobs, holds_files, job, &holds, &error);
    if (status == 0 && !holds) {
        spl_log(SPL_LOG_INFO, "job.orphan_removed", SPL_TEXT("id", job));
        status = SPL_BLOBS(jobs, remove_job, job, &error);
    }
    if (status < 0)
        spl_jobs_log_failure(SPL_LOG_ERROR, "janitor.failed", &error);
    return status;
}

int spl_janitor_clean_up(spl_jobs *jobs, spl_error *ret_error) {
    if (jobs->store->shared) /* others are at work */
        return 0;
    uint64_t rescued;
    int status = SPL_STORE(jobs, rescue, spl_jobs_now_ms(jobs), &rescued, ret_error);
    if (status < 0)
        return status;
    if (rescued > 0)
        spl_log(SPL_LOG_WARNING, "jobs.rescued", SPL_INTEGER("count", rescued));
    return SPL_BLOBS(jobs, list_jobs, remove_orphan, jobs, ret_error);
}

/* Returns how many jobs expired now. */
static size_t expire(spl_jobs *jobs) {
    char(*ids)[SPL_ID_SIZE];
    size_t count;
    spl_error error;
    if (SPL_STORE(jobs, expire, spl_jobs_now_ms(jobs), EXPIRED_KEEP_MS, EXPIRE_AT_ONCE, &ids,
                  &count, &error) < 0) {
        spl_jobs_log_failure(SPL_LOG_ERROR, "janitor.failed", &error);
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        if (SPL_BLOBS(jobs, remove_job, ids[i], &error) < 0)
            spl_jobs_log_failure(SPL_LOG_ERROR, "janitor.failed", &error);
        spl_log(SPL_LOG_INFO, "job.expired", SPL_TEXT("id", ids[i]));
    }
    free(ids);
    return count;
}

static void renew_keys(spl_jobs *jobs) {
    spl_error error;
    if (SPL_STORE(jobs, idempotency_renew, spl_jobs_now_ms(jobs), &error) < 0)
        spl_jobs_log_failure(SPL_LOG_ERROR, "janitor.failed", &error);
}

void *spl_janitor_run(void *user) {
    spl_jobs *jobs = user;
    while (!atomic_load(&jobs->draining)) {
        if (!jobs->only_works)
            renew_keys(jobs);
        while (!jobs->only_works && expire(jobs) == EXPIRE_AT_ONCE)
            continue;
        spl_problem problem;
        spl_metrics_set(SPL_GAUGE_READY, spl_jobs_ready(jobs, &problem) == 0);
        spl_jobs_pause(jobs, PERIOD_MS);
    }
    return NULL;
}

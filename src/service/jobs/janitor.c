/* SPDX-License-Identifier: MIT
 *
 * The janitor: removes files that an earlier process left, expires jobs, and measures readiness.
 */
#include "service/jobs/janitor.h"
#include "base/clock.h"
#include "service/core/ids.h"
#include "service/jobs/state.h"
#include "service/observe/metrics.h"

#define PERIOD_MS      5000
#define EXPIRE_AT_ONCE 64

/* How long quarantined files of unknown jobs are kept, and how often they are reviewed. */
#define QUARANTINE_KEEP_S (7 * 24 * 3600)
#define REVIEW_S          3600

/* How long rows of expired jobs are kept, so that clients can see that they expired. */
#define EXPIRED_KEEP_MS (INT64_C(7) * 24 * 3600 * 1000)

typedef struct cleaning {
    spl_jobs *jobs;
    uint64_t quarantined;
    spl_error *ret_error;
} cleaning;

/* Removes the blobs of a job if the store has it as one without files. Quarantines them if the
 * store does not have the job: it may be an older or a different database. */
static int clean_job(void *user, const char *job) {
    cleaning *own = user;
    spl_error error;
    bool holds = true;
    if (!spl_uuid_valid(job)) /* not one of our folders */
        return 0;
    int status = SPL_STORE(own->jobs, holds_files, job, &holds, &error);
    if (status < 0 && status != SPL_E_NOT_FOUND) {
        if (own->ret_error)
            *own->ret_error = error;
        return status;
    }
    if (status == SPL_E_NOT_FOUND) {
        status = SPL_BLOBS(own->jobs, quarantine, job, &error);
        own->quarantined += status == 0;
    } else if (!holds) {
        spl_log(SPL_LOG_INFO, "job.orphan_removed", SPL_TEXT("id", job));
        status = SPL_BLOBS(own->jobs, remove_job, job, &own->jobs->stop, &error);
    }
    if (status < 0) /* must not prevent the start */
        spl_jobs_log_failure(SPL_LOG_ERROR, "janitor.failed", &error);
    return 0;
}

/* spl_blobs_functions.review_quarantine.judge */
static int is_known(void *user, const char *job) {
    spl_jobs *jobs = user;
    bool holds = false;
    spl_error error;
    int status = SPL_STORE(jobs, holds_files, job, &holds, &error);
    if (status < 0 && status != SPL_E_NOT_FOUND) {
        spl_jobs_log_failure(SPL_LOG_ERROR, "janitor.failed", &error);
        return status;
    }
    if (holds)
        spl_log(SPL_LOG_INFO, "job.taken_back", SPL_TEXT("id", job));
    return holds;
}

static void review_quarantine(spl_jobs *jobs) {
    spl_error error;
    if (SPL_BLOBS(jobs, review_quarantine, is_known, jobs, QUARANTINE_KEEP_S, &error) < 0)
        spl_jobs_log_failure(SPL_LOG_ERROR, "janitor.failed", &error);
}

int spl_janitor_clean_up(spl_jobs *jobs, spl_error *ret_error) {
    if (jobs->store->shared) /* other processes may be using the files */
        return 0;
    uint64_t rescued;
    int status = SPL_STORE(jobs, rescue, spl_jobs_now_ms(jobs), &rescued, ret_error);
    if (status < 0)
        return status;
    if (rescued > 0)
        spl_log(SPL_LOG_WARNING, "jobs.rescued", SPL_INTEGER("count", rescued));
    review_quarantine(jobs);
    cleaning own = {.jobs = jobs, .ret_error = ret_error};
    status = SPL_BLOBS(jobs, list_jobs, clean_job, &own, ret_error);
    if (own.quarantined > 0)
        spl_log(SPL_LOG_WARNING, "jobs.quarantined", SPL_INTEGER("count", own.quarantined),
                SPL_TEXT("detail",
                         "the database does not know the jobs of these files; they are "
                         "in blobs/" SPL_BLOBS_QUARANTINE " for a week (docs/guides/backup.md)"));
    return status;
}

/* Returns whether there is more to do. */
static bool expire(spl_jobs *jobs) {
    char(*ids)[SPL_ID_SIZE];
    size_t count;
    bool more;
    spl_error error;
    if (SPL_STORE(jobs, expire, spl_jobs_now_ms(jobs), EXPIRED_KEEP_MS, EXPIRE_AT_ONCE, &ids,
                  &count, &more, &error) < 0) {
        spl_jobs_log_failure(SPL_LOG_ERROR, "janitor.failed", &error);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (SPL_BLOBS(jobs, remove_job, ids[i], &jobs->stop, &error) < 0)
            spl_jobs_log_failure(SPL_LOG_ERROR, "janitor.failed", &error);
        spl_log(SPL_LOG_INFO, "job.expired", SPL_TEXT("id", ids[i]));
    }
    free(ids);
    return more;
}

/* Reviews the quarantine every REVIEW_S seconds. Processes with a shared store never fill it. */
static void review_now_and_then(spl_jobs *jobs, double *reviewed_s) {
    if (jobs->store->shared || spl_now_s() - *reviewed_s < REVIEW_S)
        return;
    *reviewed_s = spl_now_s();
    review_quarantine(jobs);
}

static void renew_keys(spl_jobs *jobs) {
    spl_error error;
    if (SPL_STORE(jobs, idempotency_renew, spl_jobs_now_ms(jobs), &error) < 0)
        spl_jobs_log_failure(SPL_LOG_ERROR, "janitor.failed", &error);
}

void *spl_janitor_run(void *user) {
    spl_jobs *jobs = user;
    double reviewed_s = spl_now_s();
    while (!atomic_load(&jobs->draining)) {
        review_now_and_then(jobs, &reviewed_s);
        if (!jobs->only_works)
            renew_keys(jobs);
        while (!jobs->only_works && !atomic_load(&jobs->draining) && expire(jobs))
            continue;
        spl_problem problem;
        spl_metrics_set(SPL_GAUGE_READY, spl_jobs_ready(jobs, &problem) == 0);
        spl_jobs_pause(jobs, PERIOD_MS);
    }
    return NULL;
}

/* SPDX-License-Identifier: MIT
 *
 * Whether jobs can be accepted, and the gauges of the queue and the disk.
 */
#include "app/pipeline/pipeline.h"
#include "base/descriptors.h"
#include "base/pool.h"
#include "service/jobs/state.h"
#include "service/observe/metrics.h"
#include "service/scan/clamd.h"

/* The writer of an output has a file and its folder. */
unsigned spl_jobs_descriptors(const spl_settings *settings) {
    return settings->workers * (SPL_RUN_DESCRIPTORS_MAX + SPL_OUTPUTS_MAX) + SPL_DESCRIPTORS_MIN;
}

/* A job has a worker, a heartbeat, the threads of its model, a decoder and encoders. The last term
 * is a model that is being opened. */
unsigned spl_jobs_threads(const spl_settings *settings) {
    const unsigned cpus = spl_cpu_count();
    const unsigned threads =
        settings->threads ? settings->threads : cpus / SPL_MAX(settings->workers, 1u) + 1;
    return settings->workers * (threads + 3 + SPL_ENCODERS_MAX) + cpus;
}

int spl_jobs_ready(spl_jobs *jobs, spl_problem *ret_problem) {
    const spl_settings *settings = jobs->settings;
    if (atomic_load(&jobs->draining))
        return spl_refuse(ret_problem, SPL_PROBLEM_DRAINING, "the service is shutting down");
    if (spl_descriptors_left() < SPL_DESCRIPTORS_MIN)
        return spl_refuse(ret_problem, SPL_PROBLEM_UNAVAILABLE,
                          "the service has too many files and connections open; raise its limit of "
                          "open files (ulimit -n, LimitNOFILE=)");
    bool full;
    spl_models_entry model;
    if (SPL_STORE(jobs, ping, NULL) < 0)
        return spl_refuse(ret_problem, SPL_PROBLEM_UNAVAILABLE, "the database can't be used");
    if (SPL_BLOBS(jobs, check, &jobs->stop, NULL) < 0 ||
        spl_space_is_full(jobs->space, &full, NULL) < 0)
        return spl_refuse(ret_problem, SPL_PROBLEM_UNAVAILABLE, "the storage can't be used");
    if (full)
        return spl_refuse_about(ret_problem, SPL_PROBLEM_UNAVAILABLE, NULL,
                                "SPLEETER_MIN_FREE_DISK_MB",
                                "the disk is full, or has too few inodes");
    if (!jobs->only_works && *settings->clamd && !spl_clamd_alive(settings->clamd))
        return spl_refuse(ret_problem, SPL_PROBLEM_UNAVAILABLE,
                          "the virus scanner does not answer");
    if (spl_models_find(jobs->models, settings->default_model, &model, NULL) < 0)
        return spl_refuse_about(ret_problem, SPL_PROBLEM_UNAVAILABLE, NULL, "SPLEETER_MODEL",
                                "the default model is missing");
    return 0;
}

void spl_jobs_measure(spl_jobs *jobs) {
    spl_store_stats stats;
    uint64_t free_bytes;
    spl_error error;
    if (jobs->only_works) {
        /* the processes that accept jobs measure the queue */
    } else if (SPL_STORE(jobs, stats, &stats, &error) < 0) {
        spl_jobs_log_failure(SPL_LOG_ERROR, "jobs.not_measured", &error);
    } else {
        const int64_t oldest_ms = stats.oldest_queued_ms;
        spl_metrics_set(SPL_GAUGE_QUEUE_DEPTH, (double)stats.queued);
        spl_metrics_set(SPL_GAUGE_QUEUE_OLDEST_SECONDS,
                        oldest_ms ? 1e-3 * (double)(spl_jobs_now_ms(jobs) - oldest_ms) : 0);
        spl_metrics_set(SPL_GAUGE_STORED_BYTES, (double)stats.stored_bytes);
    }
    if (spl_space_free_bytes(jobs->space, &free_bytes, &error) < 0)
        spl_jobs_log_failure(SPL_LOG_ERROR, "jobs.not_measured", &error);
    else
        spl_metrics_set(SPL_GAUGE_DISK_FREE_BYTES, (double)free_bytes);
}

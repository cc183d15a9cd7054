/* SPDX-License-Identifier: MIT
 *
 * The state that the threads and requests of this module share, and functions that all files use.
 * Each file includes this header and those of the files that it calls; includes form no circle
 * (tests/structure).
 *
 *     media.c options.c models.c            parsing and checks of requests
 *     upload.c source.c admission.c         from the first byte to a durable job
 *     worker.c budget.c manifest.c          from the job to its stems
 *     janitor.c webhooks.c                  afterwards
 *     peaks.c peaks_cache.c                 waveform peaks of the stems
 *     job_json.c requests.c readiness.c     the public view of jobs and of the module
 *     start.c                               starts and stops the threads
 */
#ifndef SPL_SERVICE_JOBS_STATE_H
#define SPL_SERVICE_JOBS_STATE_H

#include "base/json.h"
#include "base/turns.h"
#include "service/jobs/jobs.h"
#include "service/jobs/peaks_cache.h"
#include "service/observe/log.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#define SPL_INPUT_BLOB "input"

/* With fewer descriptors left, the service is not ready and claims no job. */
#define SPL_DESCRIPTORS_MIN 64

/* Operations for which requests have to take turns. */
typedef enum spl_turn_kind {
    SPL_TURN_FETCH,  /* fetch a song from its source URL */
    SPL_TURN_SCAN,   /* scan an upload for viruses */
    SPL_TURN_PROBE,  /* probe an upload in a helper */
    SPL_TURN_DECODE, /* decode an output in a helper, for its peaks */
    SPL_TURN_READ,   /* read a WAV output for its peaks */
    SPL_TURN_LIST,   /* list jobs */
    SPL_TURN_KINDS,
} spl_turn_kind;

#define SPL_WEBHOOK_SENDERS 8

/* A webhook that is being delivered; owner "": free slot. */
typedef struct spl_sending {
    char owner[64], host[256];
} spl_sending;

struct spl_jobs {
    const spl_settings *settings;
    spl_store *store;
    spl_space *space;
    spl_blobs *blobs;
    spl_models *models;
    spl_audit *audit;
    spl_auth *auth; /* may be NULL */
    uint8_t secret[32];
    bool only_works;
    char worker[80]; /* the name for claims: "host:pid" */

    atomic_bool draining;  /* no new work is accepted; threads end when their work is done */
    atomic_bool give_back; /* running jobs are returned to the queue */
    spl_blob_wait stop;    /* ends waits for the storage when running jobs are given back */

    spl_turns turns[SPL_TURN_KINDS];
    spl_peaks_cache peaks;

    pthread_mutex_t looking; /* held by the sender that looks for a delivery; taken before `lock` */
    pthread_mutex_t lock;    /* protects the members below */
    pthread_cond_t changed;  /* monotonic clock */
    unsigned working;        /* workers that are running */
    spl_sending sending[SPL_WEBHOOK_SENDERS];
    spl_upload *uploads; /* open uploads */
    /* Smoothed seconds of audio that a worker separates per second; 0: not known yet. */
    double speed;
    pthread_t *threads;
    size_t thread_count;
};

/* Calls a function of the store or the blobs: SPL_STORE(jobs, get, owner, id, &job, &error). */
#define SPL_STORE(jobs, function, ...)                                                             \
    ((jobs)->store->functions->function((jobs)->store, __VA_ARGS__))
#define SPL_BLOBS(jobs, function, ...)                                                             \
    ((jobs)->blobs->functions->function((jobs)->blobs, __VA_ARGS__))

/* Milliseconds since 1970 by the clock that all users of the store share. */
static inline int64_t spl_jobs_now_ms(const spl_jobs *jobs) {
    return jobs->store->functions->now_ms(jobs->store);
}

/* The blob name of an output written under `fence`. In a shared store each claim has its own names,
 * so a worker that lost its lease cannot overwrite files of the current owner. */
static inline void spl_jobs_blob_name(const spl_jobs *jobs, int64_t fence, const char *file,
                                      char ret_name[SPL_BLOB_NAME_MAX + 1]) {
    if (jobs->store->shared)
        snprintf(ret_name, SPL_BLOB_NAME_MAX + 1, "%lld-%s", (long long)fence, file);
    else
        snprintf(ret_name, SPL_BLOB_NAME_MAX + 1, "%s", file);
}

/* Logs a failure with the text of its status and its error message. */
void spl_jobs_log_failure(spl_log_level level, const char *event, const spl_error *error);
/* Logs a failure as an error of the service and converts it to a problem (spl_refuse_error). */
int spl_jobs_refuse_failure(spl_problem *ret_problem, const char *event, const spl_error *error);
/* Waits for up to `ms` or until the service drains; for threads that poll periodically. */
void spl_jobs_pause(spl_jobs *jobs, unsigned ms);

/* Exponential backoff with jitter: `base_ms` doubled `attempt` times, at most `most_ms`, of which a
 * random part between half and all is returned. */
int64_t spl_backoff_ms(int64_t base_ms, unsigned attempt, int64_t most_ms);

/* As spl_turns_take. Problems: UNAVAILABLE (no turn was free in time, or the client has
 * disconnected), DRAINING. */
SPL_WARN_UNUSED int spl_jobs_take_turn(spl_jobs *jobs, spl_turn_kind kind,
                                       const spl_turn_wait *wait, unsigned *ret_slot,
                                       spl_problem *ret_problem);
void spl_jobs_end_turn(spl_jobs *jobs, spl_turn_kind kind, unsigned slot);

#endif

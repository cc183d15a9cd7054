/* SPDX-License-Identifier: MIT
 *
 * Declarations shared by the files of this module: the parts of the service and the state of its
 * threads.
 *
 *     media.c options.c models.c digest.c   parsing and checks of requests
 *     upload.c source.c admission.c         from the first byte to a durable job
 *     worker.c budget.c manifest.c          from the job to its stems
 *     janitor.c webhooks.c                  afterwards
 *     peaks.c peaks_cache.c                 waveform peaks of the stems
 *     turns.c                               fair sharing of scarce resources among clients
 *     job_json.c jobs.c                     the public view of jobs
 */
#ifndef SPL_SERVICE_JOBS_INTERNAL_H
#define SPL_SERVICE_JOBS_INTERNAL_H

#include "base/json.h"
#include "service/jobs/jobs.h"
#include "service/jobs/peaks_cache.h"
#include "service/jobs/turns.h"
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
/* Refuses a job because of `limit`: QUEUE_FULL or QUOTA. */
int spl_jobs_refuse_limit(spl_problem *ret_problem, spl_store_limit limit);

/* Waits for up to `ms` or until the service drains; for threads that poll periodically. */
void spl_jobs_pause(spl_jobs *jobs, unsigned ms);

/* Exponential backoff with jitter: `base_ms` doubled `attempt` times, at most `most_ms`, of which a
 * random part between half and all is returned. */
int64_t spl_backoff_ms(int64_t base_ms, unsigned attempt, int64_t most_ms);

/* --- upload.c --- */
struct spl_upload {
    spl_jobs *jobs;
    spl_upload *next; /* in spl_jobs.uploads */
    char owner[64];
    uint64_t room_bytes;     /* left in the owner's quota when the upload was opened */
    uint64_t reserved_bytes; /* part of room_bytes; protected by the lock of `jobs` */
    char *name;              /* sanitized, for display; NULL: none */
    char *type;              /* as declared; NULL: none */
    spl_blob_writer writer;
    struct spl_digest *digest;
    uint64_t bytes; /* received */
    spl_space_grant space;
    double started_s;
    char sha256[65]; /* "" until spl_upload_finish */
};
/* Ends the upload and sets `sha256`. May be called again. */
SPL_WARN_UNUSED int spl_upload_finish(spl_upload *upload, spl_problem *ret_problem);

/* --- jobs.c --- */
/* As spl_turns_take. Problems: UNAVAILABLE (no turn was free in time, or the client has
 * disconnected), DRAINING. */
SPL_WARN_UNUSED int spl_jobs_take_turn(spl_jobs *jobs, spl_turn_kind kind,
                                       const spl_turn_wait *wait, unsigned *ret_slot,
                                       spl_problem *ret_problem);
void spl_jobs_end_turn(spl_jobs *jobs, spl_turn_kind kind, unsigned slot);

/* --- source.c --- */
/* Fetches submission->source_url. *ret_upload is owned by the caller. */
SPL_WARN_UNUSED int spl_source_fetch(spl_jobs *jobs, const spl_submission *submission,
                                     spl_upload **ret_upload, spl_problem *ret_problem);

/* --- worker.c, janitor.c, webhooks.c: threads; `user` is the spl_jobs --- */
void *spl_worker_run(void *user);
void *spl_janitor_run(void *user);
void *spl_webhooks_run(void *user);
/* Removes files that an earlier process left behind. */
SPL_WARN_UNUSED int spl_janitor_clean_up(spl_jobs *jobs, spl_error *ret_error);
/* Prepares the delivery of the webhook of `job`, to be stored when the job ends. Returns false if
 * the job has no webhook. The strings belong to the job. */
bool spl_webhook_of(const spl_job *job, spl_delivery *ret_delivery);

/* --- budget.c --- */
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

/* --- manifest.c --- */
/* The input of a job's manifest. */
typedef struct spl_job_manifest_facts {
    const spl_job *job;
    const spl_job_output *outputs;
    size_t output_count;
    const spl_model_info *model;
    const spl_pipeline_result *result;
    const spl_timings *timings;
} spl_job_manifest_facts;
/* The phases of a job's run time besides decoding (timings->read_s). */
static inline double spl_separating_s(const spl_timings *timings) {
    return timings->forward_s + timings->networks_s + timings->masks_s + timings->inverse_s;
}
static inline double spl_encoding_s(const spl_timings *timings, const spl_pipeline_result *result) {
    return SPL_MAX(result->seconds - timings->read_s - spl_separating_s(timings), 0);
}
/* JSON text, owned by the caller. */
SPL_WARN_UNUSED int spl_job_manifest_write(const spl_job_manifest_facts *facts, char **ret_text,
                                           spl_error *ret_error);

/* --- job_json.c --- */
/* The job's public JSON (jobs.h), owned by the caller; `with_queue` adds the position in the queue
 * from the store. NULL: out of memory. */
json_t *spl_job_json(spl_jobs *jobs, const spl_job *job, bool with_queue);
/* A JSON number, or null if `value` is not finite. */
json_t *spl_json_number(double value);

#endif

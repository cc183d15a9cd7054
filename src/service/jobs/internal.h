/* SPDX-License-Identifier: MIT
 *
 * What the files of this room share: the parts of the service, and the state of its threads.
 *
 *     media.c options.c models.c digest.c   what is understood of a request
 *     upload.c source.c admission.c         from the first byte to a durable job
 *     worker.c manifest.c                   from the job to its stems
 *     janitor.c webhooks.c                  afterwards
 *     peaks.c peaks_cache.c                 pictures of the stems
 *     turns.c                               how clients share what is scarce
 *     job_json.c jobs.c                     what clients see
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

/* What requests have to take turns for. */
typedef enum spl_turn_kind {
    SPL_TURN_FETCH,  /* a song from its source URL */
    SPL_TURN_SCAN,   /* of an upload for viruses */
    SPL_TURN_PROBE,  /* of an upload by a helper */
    SPL_TURN_DECODE, /* of an output by a helper, for its peaks */
    SPL_TURN_READ,   /* of a WAV output for its peaks */
    SPL_TURN_KINDS,
} spl_turn_kind;

#define SPL_WEBHOOK_SENDERS 8

/* A webhook that is being delivered; owner "": none. */
typedef struct spl_sending {
    char owner[64], host[256];
} spl_sending;

struct spl_jobs {
    const spl_settings *settings;
    spl_store *store;
    spl_blobs *blobs;
    spl_models *models;
    spl_audit *audit;
    spl_auth *auth; /* may be NULL */
    uint8_t secret[32];
    bool only_works;
    char worker[80]; /* what claims are made as: "host:pid" */

    atomic_bool draining;  /* nothing new is taken, threads end when they are done */
    atomic_bool give_back; /* running jobs go back to the queue */

    spl_turns turns[SPL_TURN_KINDS];
    spl_peaks_cache peaks;

    pthread_mutex_t looking; /* held by the sender that looks for a webhook; taken before `lock` */
    pthread_mutex_t lock;    /* of what follows */
    pthread_cond_t changed;  /* monotonic clock */
    unsigned working;        /* workers that live */
    spl_sending sending[SPL_WEBHOOK_SENDERS];
    spl_upload *uploads; /* that are open */
    double speed;        /* seconds of audio a worker separates in a second, lately; 0: not known */
    pthread_t *threads;
    size_t thread_count;
};

/* A function of the store or the blobs: SPL_STORE(jobs, get, owner, id, &job, &error). */
#define SPL_STORE(jobs, function, ...)                                                             \
    ((jobs)->store->functions->function((jobs)->store, __VA_ARGS__))
#define SPL_BLOBS(jobs, function, ...)                                                             \
    ((jobs)->blobs->functions->function((jobs)->blobs, __VA_ARGS__))

/* Milliseconds since 1970 by the clock of all who use the store. */
static inline int64_t spl_jobs_now_ms(const spl_jobs *jobs) {
    return jobs->store->functions->now_ms(jobs->store);
}

/* The blob of an output that was made under `fence`. In a shared store each claim has names of its
 * own, so that what a worker writes who has lost its job is in nobody's way. */
static inline void spl_jobs_blob_name(const spl_jobs *jobs, int64_t fence, const char *file,
                                      char ret_name[SPL_BLOB_NAME_MAX + 1]) {
    if (jobs->store->shared)
        snprintf(ret_name, SPL_BLOB_NAME_MAX + 1, "%lld-%s", (long long)fence, file);
    else
        snprintf(ret_name, SPL_BLOB_NAME_MAX + 1, "%s", file);
}

/* Logs a failure with what the library says of it. */
void spl_jobs_log_failure(spl_log_level level, const char *event, const spl_error *error);
/* Logs it as an error of the service, and turns it into a problem (spl_refuse_error). */
int spl_jobs_refuse_failure(spl_problem *ret_problem, const char *event, const spl_error *error);
/* The limit that keeps a job out: QUEUE_FULL or QUOTA. */
int spl_jobs_refuse_limit(spl_problem *ret_problem, spl_store_limit limit);

/* Waits on `changed` for up to `ms`, or until nothing new is taken; for threads that look around
 * now and then. */
void spl_jobs_pause(spl_jobs *jobs, unsigned ms);

/* `base_ms` doubled `attempt` times, at most `most_ms`, and of that a random part between a half
 * and all. */
int64_t spl_backoff_ms(int64_t base_ms, unsigned attempt, int64_t most_ms);

/* --- upload.c --- */
struct spl_upload {
    spl_jobs *jobs;
    spl_upload *next; /* of spl_jobs.uploads */
    char owner[64];
    uint64_t room_bytes;     /* what the owner's quota had left when it was opened */
    uint64_t reserved_bytes; /* of that room, under the lock of `jobs` */
    char *name;              /* cleaned, for display; NULL: none */
    char *type;              /* as declared; NULL: none */
    spl_blob_writer writer;
    struct spl_digest *digest;
    uint64_t bytes, checked_bytes; /* so far; when the free disk was looked at */
    double started_s;
    char sha256[65]; /* "" until spl_upload_finish */
};
/* No more bytes: makes `sha256`. May be called again. */
SPL_WARN_UNUSED int spl_upload_finish(spl_upload *upload, spl_problem *ret_problem);

/* --- jobs.c --- */
/* As spl_turns_take. Problems: UNAVAILABLE (no turn in time, or the client has gone), DRAINING. */
SPL_WARN_UNUSED int spl_jobs_take_turn(spl_jobs *jobs, spl_turn_kind kind,
                                       const spl_turn_wait *wait, unsigned *ret_slot,
                                       spl_problem *ret_problem);
void spl_jobs_end_turn(spl_jobs *jobs, spl_turn_kind kind, unsigned slot);

/* --- source.c --- */
/* Fetches submission->source_url. *ret_upload is the caller's. */
SPL_WARN_UNUSED int spl_source_fetch(spl_jobs *jobs, const spl_submission *submission,
                                     spl_upload **ret_upload, spl_problem *ret_problem);

/* --- worker.c, janitor.c, webhooks.c: threads; `user` is the spl_jobs --- */
void *spl_worker_run(void *user);
void *spl_janitor_run(void *user);
void *spl_webhooks_run(void *user);
/* Removes what an earlier process left behind. */
SPL_WARN_UNUSED int spl_janitor_clean_up(spl_jobs *jobs, spl_error *ret_error);
/* The delivery of the webhook of `job`, to be stored with its end. false: it has none. Strings are
 * the job's. */
bool spl_webhook_of(const spl_job *job, spl_delivery *ret_delivery);

/* --- manifest.c --- */
/* What the manifest of a job tells. */
typedef struct spl_manifest_facts {
    const spl_job *job;
    const spl_job_output *outputs;
    size_t output_count;
    const spl_model_info *model;
    const spl_pipeline_result *result;
    const spl_timings *timings;
} spl_manifest_facts;
/* Where the time of a job went, beside decoding (timings->read_s). */
static inline double spl_separating_s(const spl_timings *timings) {
    return timings->forward_s + timings->nets_s + timings->masks_s + timings->inverse_s;
}
static inline double spl_encoding_s(const spl_timings *timings, const spl_pipeline_result *result) {
    return SPL_MAX(result->seconds - timings->read_s - spl_separating_s(timings), 0);
}
/* JSON; the caller's. */
SPL_WARN_UNUSED int spl_manifest_write(const spl_manifest_facts *facts, char **ret_text,
                                       spl_error *ret_error);

/* --- job_json.c --- */
/* The job as clients see it (jobs.h); with a look into the store for the queue when `with_queue`.
 * The caller's; NULL: memory. */
json_t *spl_job_json(spl_jobs *jobs, const spl_job *job, bool with_queue);
/* A number, null when it is infinite or not a number. */
json_t *spl_json_number(double value);

#endif

/* SPDX-License-Identifier: MIT
 *
 * The job store: jobs with their state, outputs, idempotency keys and webhook deliveries, behind a
 * table of functions. SQLite is the embedded implementation; PostgreSQL is the one that several
 * processes share. A call makes all changes that belong together, and they are durable when it
 * returns.
 *
 * Times are milliseconds since 1970. The caller passes them in and obtains them from now_ms.
 *
 * A durable change survives a power loss. A call that fails with IO or NO_SPACE is rolled back. If
 * it failed during the flush, however, its change may reappear when the process dies before the
 * next change; in a shared store it may even take effect a moment later. Callers must therefore
 * look up the outcome of such a call. Heartbeats, outputs and rates may become durable only with
 * the next durable change.
 *
 * All functions are thread-safe. An `owner` that is not NULL hides the jobs of other owners: they
 * are NOT_FOUND. Every function can return NOT_FOUND, IO (the database is unusable), NO_SPACE and
 * MEMORY, besides the errors named with it.
 *
 * Life of a job: queued -> running (claimed under a lease, with a fence number that grows with each
 * claim) -> succeeded | failed | canceled -> expired, when its files are deleted. A job goes from
 * running back to queued when its lease expires, for a retry (after a backoff), or when the worker
 * gives it back. A job that has used up its attempts fails with dead_letter set; a job whose worker
 * is lost while a cancel is pending is canceled.
 */
#ifndef SPL_SERVICE_STORE_STORE_H
#define SPL_SERVICE_STORE_STORE_H

#include "base/error.h"

#define SPL_ID_SIZE 37 /* UUID version 7 and NUL */

/* The bytes that a database row counts towards its owner's storage. Each is an upper bound on the
 * row's size, so the storage limit also bounds the database. */
#define SPL_JOB_ROW_BYTES     24576 /* a job with its metadata */
#define SPL_OUTPUT_ROW_BYTES  2048  /* an output, in options, manifest and a row; in stored_bytes */
#define SPL_EXPIRED_ROW_BYTES 8192  /* an expired job */
#define SPL_KEY_ROW_BYTES     4096  /* an idempotency key with its answer */

typedef enum spl_job_state {
    SPL_JOB_QUEUED,
    SPL_JOB_RUNNING,
    SPL_JOB_SUCCEEDED,
    SPL_JOB_FAILED,
    SPL_JOB_CANCELED,
    SPL_JOB_EXPIRED,
} spl_job_state;

const char *spl_job_state_text(spl_job_state state); /* "queued" */
bool spl_job_state_from_text(const char *text, spl_job_state *ret_state);

/* One file of a job. */
typedef struct spl_job_output {
    char name[64];    /* the stem or mix: "vocals" */
    char file[80];    /* the name in URLs and of the blob: "vocals.wav" */
    bool complete;    /* false: still growing */
    uint64_t bytes;   /* of the complete file */
    uint64_t samples; /* per channel */
    uint64_t clipped;
    double peak_dbfs; /* -INFINITY for silence */
    char sha256[65];  /* of the complete file */
} spl_job_output;

/* The struct owns its strings; NULL means not given. */
typedef struct spl_job {
    char id[SPL_ID_SIZE];
    char *owner;
    spl_job_state state;
    int priority;
    int64_t created_ms, started_ms, finished_ms, expires_ms; /* 0: not yet */
    int64_t available_ms;                                    /* a retry waits until then */
    unsigned attempts; /* claims so far, without those given back */
    bool cancel_requested, dead_letter, reused;
    char *options;      /* JSON, canonical (jobs/options.h) */
    char *model;        /* the requested name */
    char *model_sha256; /* at the time of admission */
    char *input_name;   /* the client's file name, for display only */
    char *input_sha256;
    uint64_t input_bytes;
    double input_s; /* seconds of audio, as probed */
    char *cache_key;
    char *metadata; /* the client's JSON, returned unchanged */
    char *webhook_url;
    char *request_id, *traceparent;
    double progress;                 /* 0 to 1 */
    char *error_code, *error_detail; /* if failed: a problem code and a sentence */
    char *warning;                   /* if succeeded: a decoder's warning about the song */
    char *result;                    /* if succeeded: the manifest, JSON; not in lists */
    /* Of the last claim; for a reused result, of the claim that produced it. */
    int64_t fence;
    int64_t version;       /* grows with every change that a client can see */
    uint64_t stored_bytes; /* inputs and outputs: held now, or expected */
    uint64_t storage_max;  /* the owner's storage limit at creation; 0: unknown */
    /* A worker was lost while running this job. The first such attempt does not count against
     * attempts_max. */
    bool suspect;
    spl_job_output *outputs;
    size_t output_count;
} spl_job;

void spl_job_free(spl_job *job); /* frees the fields and zeroes the job */

/* The limit that rejected a creation. */
typedef enum spl_store_limit {
    SPL_LIMIT_NONE,
    SPL_LIMIT_QUEUE,
    SPL_LIMIT_OWNER_JOBS,
    SPL_LIMIT_OWNER_BYTES
} spl_store_limit;

/* A pending webhook delivery, written in the transaction that ends the job. */
typedef struct spl_delivery {
    char id[SPL_ID_SIZE]; /* webhook-id */
    char job[SPL_ID_SIZE];
    char *owner, *url;
    char *payload;     /* NULL: built when sent (the store itself ended the job) */
    unsigned attempts; /* including that of the claim */
    int64_t next_ms;
} spl_delivery;
void spl_delivery_free(spl_delivery *delivery);

typedef struct spl_store_create {
    /* id, owner, priority, created_ms, and options to input_s as above. The state is QUEUED, or
     * SUCCEEDED for a reused result, which also has outputs, result, finished_ms and expires_ms. */
    const spl_job *job;
    size_t queue_max; /* applies to a job that will be queued */
    /* Limit on queued and running jobs. It also applies to a reused result. If the job has a
     * webhook, the owner's pending deliveries count as well. */
    size_t owner_jobs_max;
    uint64_t owner_bytes_max;
    uint64_t output_bytes;            /* what a job that will be queued is expected to write */
    const char *idempotency_key;      /* already reserved; NULL: none */
    const char *fingerprint, *answer; /* stored with the key */
    const spl_delivery *delivery;     /* for a job that has already ended; NULL: no webhook */
} spl_store_create;

typedef struct spl_store_filter {
    const char *owner;
    int states;                                  /* one bit per spl_job_state; 0: all */
    const char *model;                           /* NULL: any */
    int64_t created_after_ms, created_before_ms; /* 0: any */
    const char *before_id; /* the cursor: list older jobs only; NULL: start at the newest */
    size_t limit;          /* 1 to 200 */
    size_t examine_max;    /* at least 1: a page ends after so many jobs, listed or not */
} spl_store_filter;

typedef struct spl_store_claim {
    const char *worker; /* identifies the process, also to people */
    int64_t now_ms, lease_ms;
    unsigned attempts_max;
    int64_t retention_ms; /* of jobs that the claim itself ends */
} spl_store_claim;

/* The outcome that a worker records for a job. */
typedef struct spl_store_finish {
    spl_job_state state; /* SUCCEEDED, FAILED or CANCELED */
    int64_t now_ms, expires_ms;
    const char *warning, *result;
    const char *error_code, *error_detail;
    bool dead_letter;
    uint64_t stored_bytes;
    const spl_delivery *delivery; /* NULL: no webhook */
} spl_store_finish;

typedef enum spl_idempotency {
    SPL_IDEMPOTENCY_NEW,
    SPL_IDEMPOTENCY_BUSY,
    SPL_IDEMPOTENCY_DONE
} spl_idempotency;

typedef struct spl_store_stats {
    uint64_t queued, running;
    int64_t oldest_queued_ms; /* when it was created; 0: none */
    uint64_t stored_bytes;
    uint64_t deliveries;
} spl_store_stats;

/* A file of a job that somebody reads. */
typedef struct spl_store_file {
    const char *job;
    int64_t fence; /* of the claim that wrote or writes it */
    bool held;     /* the job still has it */
} spl_store_file;

typedef struct spl_store spl_store;

/* The functions of an implementation: store->functions->get(store, ...). */
typedef struct spl_store_functions {
    void (*close)(spl_store *store);
    /* The current time, by the clock that all users of the store share. It does not jump while the
     * process runs and uses the same database. */
    int64_t (*now_ms)(spl_store *store);
    int (*ping)(spl_store *store, spl_error *ret_error);

    /* LIMIT: *ret_limit is the limit that was reached. The stored_bytes of a queued job are its
     * input_bytes plus output_bytes; its row also counts towards owner_bytes_max. The outputs of a
     * reused result are copied with it. */
    int (*create)(spl_store *store, const spl_store_create *create, spl_store_limit *ret_limit,
                  spl_error *ret_error);
    int (*get)(spl_store *store, const char *owner, const char *id, spl_job *ret_job,
               spl_error *ret_error);
    /* Newest first. The caller owns the array *ret_jobs and the contents of its jobs. ret_next is
     * the before_id of the next page, or "" if no older jobs remain; a page may be short or empty
     * although there is a next one. */
    int (*list)(spl_store *store, const spl_store_filter *filter, spl_job **ret_jobs,
                size_t *ret_count, char ret_next[SPL_ID_SIZE], spl_error *ret_error);
    /* *ret_before: the number of queued jobs that will be claimed before this one if no more arrive
     * (an estimate when priorities differ). *ret_audio_s: their seconds of audio plus the rest of
     * the running jobs. Both are 0 for a job that is not queued. */
    int (*queue_position)(spl_store *store, const char *id, uint64_t *ret_before,
                          double *ret_audio_s, spl_error *ret_error);
    /* A succeeded job of this owner with the same cache key whose files have not expired.
     * NOT_FOUND: none. */
    int (*find_result)(spl_store *store, const char *owner, const char *cache_key, int64_t now_ms,
                       spl_job *ret_job, spl_error *ret_error);
    int (*queue_length)(spl_store *store, uint64_t *ret_jobs, spl_error *ret_error);
    /* *ret_jobs: queued and running jobs. *ret_bytes: stored_bytes of all jobs, plus their rows. */
    int (*owner_usage)(spl_store *store, const char *owner, uint64_t *ret_jobs, uint64_t *ret_bytes,
                       spl_error *ret_error);

    /* Claims the next available job: highest priority first, then the owner whose last claim is
     * longest ago, then the oldest job. Suspects precede all others and run alone in their process:
     * a process claims one only while it runs nothing else, and claims nothing while it runs one.
     * If the process is lost again, the job at fault is therefore known. All workers of a process
     * use the same `worker` name. Before claiming, the call requeues running jobs whose lease has
     * expired, as suspects. It then ends queued jobs that have used up their attempts (failed,
     * dead_letter, "attempts-exhausted"; counted in *ret_dead) and those with a pending cancel
     * (canceled), each with a delivery if it has a webhook. NOT_FOUND: no job to claim; *ret_dead
     * is set nevertheless. */
    int (*claim)(spl_store *store, const spl_store_claim *claim, spl_job *ret_job,
                 unsigned *ret_dead, spl_error *ret_error);
    /* The next functions take the fence of the claim. CANCELED: the lease is lost (expired, claimed
     * by another worker, or the job was deleted); nothing was changed. */
    int (*heartbeat)(spl_store *store, const char *id, int64_t fence, int64_t now_ms,
                     int64_t lease_ms, double progress, bool *ret_cancel, spl_error *ret_error);
    int (*set_output)(spl_store *store, const char *id, int64_t fence, const spl_job_output *output,
                      spl_error *ret_error);
    /* Counts at least `least_bytes` for the outputs of a running job towards its owner's storage,
     * and up to `best_bytes` if the owner may store that much; never less than before. *ret_bytes
     * is what they count now. LIMIT: the owner may not store `least_bytes`; nothing was changed. */
    int (*extend)(spl_store *store, const char *id, int64_t fence, uint64_t least_bytes,
                  uint64_t best_bytes, uint64_t *ret_bytes, spl_error *ret_error);
    int (*finish)(spl_store *store, const char *id, int64_t fence, const spl_store_finish *finish,
                  spl_error *ret_error);
    /* Requeues the job, available at `available_ms`, and drops its outputs. `counts` is false if
     * the attempt should not count (drain). */
    int (*release)(spl_store *store, const char *id, int64_t fence, int64_t available_ms,
                   bool counts, spl_error *ret_error);
    /* Requeues, as suspects, all jobs that an earlier process was running, and frees the
     * idempotency keys that it reserved without storing an answer. Called at the start of a store
     * that is not shared. */
    int (*rescue)(spl_store *store, int64_t now_ms, uint64_t *ret_jobs, spl_error *ret_error);

    /* Cancels a queued job at once (*ret_now is true). For a running job it sets a flag, which its
     * worker receives with the next heartbeat. ARGUMENT: the job has already ended. */
    int (*cancel)(spl_store *store, const char *owner, const char *id,
                  const spl_store_finish *finish, bool *ret_now, spl_error *ret_error);
    /* Removes the job and fences off its worker, if any. The caller then removes its blobs. */
    int (*remove)(spl_store *store, const char *owner, const char *id, spl_error *ret_error);
    /* Expires up to `limit` ended jobs whose expires_ms has passed, drops their metadata and
     * returns their ids; the caller removes their blobs. It also deletes the rows of jobs that
     * expired more than `keep_ms` ago, idempotency keys of that age, turns of owners without jobs,
     * and ended sessions that have expired, up to `limit` of each. *ret_more: a limit was reached,
     * so there may be more to do. */
    int (*expire)(spl_store *store, int64_t now_ms, int64_t keep_ms, size_t limit,
                  char (**ret_ids)[SPL_ID_SIZE], size_t *ret_count, bool *ret_more,
                  spl_error *ret_error);
    /* Whether the job's files must be kept (it has not expired); for the cleanup after a crash.
     * NOT_FOUND: the store has no such job, so the owner of the files is unknown. */
    int (*holds_files)(spl_store *store, const char *id, bool *ret_holds, spl_error *ret_error);

    /* Sets `held` of each file: its job runs or has succeeded, with this fence. */
    int (*check_files)(spl_store *store, spl_store_file *files, size_t count, spl_error *ret_error);

    /* Reserves (owner, key) for this process. DONE: *ret_fingerprint and *ret_answer are the stored
     * values, which the caller owns. BUSY: another request has reserved the key and not answered
     * yet; the key is free once its process has not renewed it for a minute. */
    int (*idempotency_reserve)(spl_store *store, const char *owner, const char *key, int64_t now_ms,
                               spl_idempotency *ret_state, char **ret_fingerprint,
                               char **ret_answer, spl_error *ret_error);
    /* Frees a reserved key after a failure. */
    int (*idempotency_release)(spl_store *store, const char *owner, const char *key,
                               spl_error *ret_error);
    /* Extends the reservations of this process that have no answer yet by a minute. Call it every
     * few seconds. */
    int (*idempotency_renew)(spl_store *store, int64_t now_ms, spl_error *ret_error);

    /* Shared stores only: takes one of the requests per minute that `name` is allowed. A request is
     * regained after `one_us`; all are at *ret_full_us. Times in microseconds. */
    int (*take_rate)(spl_store *store, const char *name, int64_t one_us, int64_t now_us,
                     bool *ret_granted, int64_t *ret_full_us, spl_error *ret_error);

    /* Records that a browser's session ended before `expires_ms`, when it would have expired.
     * Ending a session twice is not an error. */
    int (*end_session)(spl_store *store, const char *id, int64_t expires_ms, spl_error *ret_error);
    int (*session_ended)(spl_store *store, const char *id, bool *ret_ended, spl_error *ret_error);

    /* Claims the next due delivery for `lease_ms` and counts an attempt, which a crash of the
     * process therefore uses up. Skips the owners in `busy_owners`, a list in which each stands
     * between newlines ("\nkey:a\nkey:b\n"; "": none), and deliveries that were deferred for one of
     * `busy_hosts`, a list likewise. NOT_FOUND: none is due; *ret_next_ms is when the next one will
     * be (0: there is none). */
    int (*delivery_claim)(spl_store *store, int64_t now_ms, int64_t lease_ms,
                          const char *busy_owners, const char *busy_hosts,
                          spl_delivery *ret_delivery, int64_t *ret_next_ms, spl_error *ret_error);
    /* Removes a delivery that was delivered or given up. */
    int (*delivery_done)(spl_store *store, const char *id, spl_error *ret_error);
    /* Unless it `counts`, the attempt of the claim is taken back. */
    int (*delivery_retry)(spl_store *store, const char *id, int64_t next_ms, bool counts,
                          spl_error *ret_error);

    /* Puts back a claimed delivery whose host is busy: it is due at `now_ms`, and the attempt of
     * the claim is taken back. */
    int (*delivery_defer)(spl_store *store, const char *id, int64_t now_ms, const char *host,
                          spl_error *ret_error);

    int (*stats)(spl_store *store, spl_store_stats *ret_stats, spl_error *ret_error);

    /* Wait up to `timeout_ms` for a change of the job past `version` (removal included), for new
     * work since a claim found nothing, or for new deliveries likewise. They may return early. Jobs
     * and deliveries that become available merely because time passes (a retry, an expired lease)
     * do not end a wait. For shutdown, `end_waits` ends all waits; later ones last 20 ms at most.
     */
    void (*wait_job)(spl_store *store, const char *id, int64_t version, unsigned timeout_ms);
    void (*wait_queue)(spl_store *store, unsigned timeout_ms);
    void (*wait_delivery)(spl_store *store, unsigned timeout_ms);
    void (*end_waits)(spl_store *store);
} spl_store_functions;

struct spl_store {
    const spl_store_functions *functions;
    bool shared; /* by several processes */
};

/* Opens DATA_DIR/jobs.db, and creates it if it is missing. Older schemas are upgraded. Errors also:
 * UNSUPPORTED (a newer schema), FORMAT (not such a database). */
SPL_WARN_UNUSED int spl_store_open_sqlite(const char *data_dir, spl_store **ret_store,
                                          spl_error *ret_error);

typedef struct spl_store_postgres {
    const char *url; /* postgresql://...; of several hosts, the one that accepts writes is used */
    unsigned connections; /* at most; opened on demand */
    /* Receives changes by other processes at once; without it, waits for them last until their
     * timeout. */
    bool listens;
} spl_store_postgres;

/* Connects and upgrades the tables under a lock. Errors also: UNSUPPORTED (newer tables). Every
 * function of the store fails with IO when the database does not answer within 4 seconds; lost
 * connections are replaced automatically. */
SPL_WARN_UNUSED int spl_store_open_postgres(const spl_store_postgres *options,
                                            spl_store **ret_store, spl_error *ret_error);

/* Whether the database answers. Changes nothing. Errors: IO. */
SPL_WARN_UNUSED int spl_store_probe_postgres(const char *url, spl_error *ret_error);

#endif

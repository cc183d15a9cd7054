/* SPDX-License-Identifier: MIT
 *
 * The job store: jobs with their state, outputs, idempotency keys and webhook deliveries. One table
 * of functions; SQLite is the embedded implementation, PostgreSQL the one that several processes
 * share. Everything that must happen together happens in one call, and is durable when it returns.
 *
 * Times are milliseconds since 1970 and come from the caller, who has them from now_ms.
 * Durable means that it survives a power loss. A change whose call failed with IO or NO_SPACE is
 * undone, but one that failed while it was being flushed may come back when the process dies before
 * the next change: what the call would have made must be looked up, not assumed away. In a shared
 * store it may even come true a moment later. Heartbeats, outputs and rates are durable only with
 * what follows them. Functions are thread-safe. An `owner` parameter that is not NULL hides what
 * belongs to others: it is NOT_FOUND. Errors of all: NOT_FOUND, IO (the database can't be used),
 * NO_SPACE, MEMORY, and those named.
 *
 * Life of a job: queued -> running (claimed under a lease, with a fence number that grows with each
 * claim) -> succeeded | failed | canceled; running -> queued when the lease ran out, on a retry
 * (later, backoff) or when a worker gives it back; at last expired, when its files are gone. A job
 * whose attempts are used up is failed with dead_letter set; one that was to be canceled when its
 * worker was lost is canceled.
 */
#ifndef SPL_SERVICE_STORE_STORE_H
#define SPL_SERVICE_STORE_STORE_H

#include "base/error.h"

#define SPL_ID_SIZE 37 /* UUID version 7 and NUL */

/* What rows of the database count as in the storage of their owner: at least what they may take
 * up, so that the database has a limit for each owner. */
#define SPL_JOB_ROW_BYTES     24576 /* of a job whose metadata and manifest are kept */
#define SPL_EXPIRED_ROW_BYTES 8192  /* of an expired job */
#define SPL_KEY_ROW_BYTES     4096  /* of an idempotency key with its answer */

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
    char name[64];    /* of the stem or mix: "vocals" */
    char file[80];    /* "vocals.wav": its name in URLs and its blob's */
    bool complete;    /* false: still growing */
    uint64_t bytes;   /* of the complete file */
    uint64_t samples; /* per channel */
    uint64_t clipped;
    double peak_dbfs; /* -INFINITY for silence */
    char sha256[65];  /* of the complete file */
} spl_job_output;

/* Strings are owned by the struct; NULL means not given. */
typedef struct spl_job {
    char id[SPL_ID_SIZE];
    char *owner;
    spl_job_state state;
    int priority;
    int64_t created_ms, started_ms, finished_ms, expires_ms; /* 0: not yet */
    int64_t available_ms;                                    /* a retry waits until then */
    unsigned attempts; /* claims so far, but for those given back */
    bool cancel_requested, dead_letter, reused;
    char *options;      /* JSON, canonical (jobs/options.h) */
    char *model;        /* name that was asked for */
    char *model_sha256; /* at admission */
    char *input_name;   /* the client's file name, for display only */
    char *input_sha256;
    uint64_t input_bytes;
    double input_s; /* seconds of audio, by the probe */
    char *cache_key;
    char *metadata; /* the client's JSON, echoed */
    char *webhook_url;
    char *request_id, *traceparent;
    double progress;                 /* 0 to 1 */
    char *error_code, *error_detail; /* when failed: a problem code, and a sentence */
    char *result;                    /* when succeeded: the manifest, JSON */
    int64_t fence;         /* of the last claim; of a reused result, of the one that made it */
    int64_t version;       /* grows with each change that a client can see */
    uint64_t stored_bytes; /* inputs and outputs that it holds now, or is expected to make */
    uint64_t storage_max;  /* what its owner might store when it was made; 0: not known */
    bool suspect; /* a worker was lost with it; the first such attempt does not count against
                     attempts_max */
    spl_job_output *outputs;
    size_t output_count;
} spl_job;

void spl_job_free(spl_job *job); /* what it owns; leaves it zeroed */

/* Which limit stopped a creation. */
typedef enum spl_store_limit {
    SPL_LIMIT_NONE,
    SPL_LIMIT_QUEUE,
    SPL_LIMIT_OWNER_JOBS,
    SPL_LIMIT_OWNER_BYTES
} spl_store_limit;

/* A webhook that waits. Written in the transaction that ends the job. */
typedef struct spl_delivery {
    char id[SPL_ID_SIZE]; /* webhook-id */
    char job[SPL_ID_SIZE];
    char *owner, *url;
    char *payload; /* NULL: made when it is sent (a job that the store ended itself) */
    unsigned attempts;
    int64_t next_ms;
} spl_delivery;
void spl_delivery_free(spl_delivery *delivery);

typedef struct spl_store_create {
    const spl_job *job; /* id, owner, priority, created_ms, options ... input_s as above; state
                           QUEUED, or SUCCEEDED for a reused result (then with outputs, result,
                           finished_ms, expires_ms) */
    size_t queue_max;   /* for a job that will be queued */
    /* Queued and running ones. A reused result needs a place among them too, and with a delivery
     * among them and the deliveries that wait. */
    size_t owner_jobs_max;
    uint64_t owner_bytes_max;
    uint64_t output_bytes;            /* that a job that will be queued is expected to make */
    const char *idempotency_key;      /* reserved before; NULL none */
    const char *fingerprint, *answer; /* stored with the key */
    const spl_delivery *delivery;     /* of a job that has ended already; NULL: no webhook */
} spl_store_create;

typedef struct spl_store_filter {
    const char *owner;
    int states;                                  /* bit per spl_job_state; 0: all */
    const char *model;                           /* NULL: any */
    int64_t created_after_ms, created_before_ms; /* 0: any */
    const char *before_id; /* the cursor: jobs older than this one; NULL: from the newest */
    size_t limit;          /* 1 to 200 */
} spl_store_filter;

typedef struct spl_store_claim {
    const char *worker; /* the process; for people, too */
    int64_t now_ms, lease_ms;
    unsigned attempts_max;
    int64_t retention_ms; /* of jobs that are ended because nothing is left to try */
} spl_store_claim;

/* How a worker ends its work on a job. */
typedef struct spl_store_finish {
    spl_job_state state; /* SUCCEEDED, FAILED or CANCELED */
    int64_t now_ms, expires_ms;
    const char *result;
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
    int64_t oldest_queued_ms; /* created; 0: none */
    uint64_t stored_bytes;
    uint64_t deliveries;
} spl_store_stats;

typedef struct spl_store spl_store;

/* All functions of an implementation: store->functions->get(store, ...). */
typedef struct spl_store_functions {
    void (*close)(spl_store *store);
    /* Now, by the clock that all users of the store share; it never jumps while the process runs
     * and talks to the same database. */
    int64_t (*now_ms)(spl_store *store);
    int (*ping)(spl_store *store, spl_error *ret_error);

    /* LIMIT: *ret_limit says which. A queued job's stored_bytes are its input_bytes and
     * output_bytes; towards owner_bytes_max its row counts too. The outputs of a reused result are
     * taken over too. */
    int (*create)(spl_store *store, const spl_store_create *create, spl_store_limit *ret_limit,
                  spl_error *ret_error);
    int (*get)(spl_store *store, const char *owner, const char *id, spl_job *ret_job,
               spl_error *ret_error);
    /* Newest first; *ret_jobs (an array, and what each owns) is the caller's. `*ret_more`: there
     * are older ones. */
    int (*list)(spl_store *store, const spl_store_filter *filter, spl_job **ret_jobs,
                size_t *ret_count, bool *ret_more, spl_error *ret_error);
    /* Queued jobs that will be claimed before this one if nothing else comes (an estimate when
     * priorities differ), and their seconds of audio with what is left of the running ones. Both 0
     * when it is not queued. */
    int (*queue_position)(spl_store *store, const char *id, uint64_t *ret_before,
                          double *ret_audio_s, spl_error *ret_error);
    /* A finished job of this owner with the same cache key whose files are still there. NOT_FOUND:
     * none. */
    int (*find_result)(spl_store *store, const char *owner, const char *cache_key, int64_t now_ms,
                       spl_job *ret_job, spl_error *ret_error);
    int (*queue_length)(spl_store *store, uint64_t *ret_jobs, spl_error *ret_error);
    /* *ret_jobs: queued and running ones. *ret_bytes: stored_bytes of all jobs, and their rows. */
    int (*owner_usage)(spl_store *store, const char *owner, uint64_t *ret_jobs, uint64_t *ret_bytes,
                       spl_error *ret_error);

    /* Takes the next job: among those available, the highest priority, of them the owner whose last
     * claim is longest ago, of them the oldest. Suspects come first, and each has a process to
     * itself: it is claimed by a worker that runs nothing, and nothing is claimed beside it. So
     * when the process is lost again, it is clear with which job. Workers of one process have the
     * same name. Before that, running ones whose lease ran out are queued again, as suspects, and
     * queued ones that used up their attempts become failed, dead_letter, "attempts-exhausted"
     * (*ret_dead counts those), those that were to be canceled canceled, each with a delivery if it
     * has a webhook. NOT_FOUND: nothing to do; *ret_dead is set then too. */
    int (*claim)(spl_store *store, const spl_store_claim *claim, spl_job *ret_job,
                 unsigned *ret_dead, spl_error *ret_error);
    /* The following need the fence of the claim. CANCELED: the job is not this worker's any more
     * (lease ran out, taken, deleted); nothing was changed. */
    int (*heartbeat)(spl_store *store, const char *id, int64_t fence, int64_t now_ms,
                     int64_t lease_ms, double progress, bool *ret_cancel, spl_error *ret_error);
    int (*set_output)(spl_store *store, const char *id, int64_t fence, const spl_job_output *output,
                      spl_error *ret_error);
    /* LIMIT: the job made more than was expected, and more than its owner may store; nothing was
     * changed. */
    int (*finish)(spl_store *store, const char *id, int64_t fence, const spl_store_finish *finish,
                  spl_error *ret_error);
    /* Back to the queue, available at `available_ms`; outputs so far are forgotten. `counts`: false
     * when the attempt is not to count (drain). */
    int (*release)(spl_store *store, const char *id, int64_t fence, int64_t available_ms,
                   bool counts, spl_error *ret_error);
    /* All jobs that workers of an earlier process held are queued again, as suspects. Idempotency
     * keys that it reserved and did not answer are free. At start of a store that is not shared. */
    int (*rescue)(spl_store *store, int64_t now_ms, uint64_t *ret_jobs, spl_error *ret_error);

    /* A queued job is canceled at once (ret_now), a running one is asked to (its worker sees it at
     * the next heartbeat); a finished one: ARGUMENT. */
    int (*cancel)(spl_store *store, const char *owner, const char *id,
                  const spl_store_finish *finish, bool *ret_now, spl_error *ret_error);
    /* Removes the job (a running one is fenced off). The caller then removes its blobs. */
    int (*remove)(spl_store *store, const char *owner, const char *id, spl_error *ret_error);
    /* Makes finished jobs past expires_ms expired, forgets their metadata, and gives up to `limit`
     * of their ids; the caller removes their blobs. Rows of jobs expired more than `keep_ms` ago go
     * away, and so do idempotency keys of that age and ended sessions that have expired, up to
     * `limit` of each. */
    int (*expire)(spl_store *store, int64_t now_ms, int64_t keep_ms, size_t limit,
                  char (**ret_ids)[SPL_ID_SIZE], size_t *ret_count, spl_error *ret_error);
    /* Whether the job has files worth keeping (not expired); for cleaning up after a crash.
     * NOT_FOUND: the store doesn't know it, and can't say whose files they are. */
    int (*holds_files)(spl_store *store, const char *id, bool *ret_holds, spl_error *ret_error);

    /* Reserves (owner, key) for this process. DONE: *ret_fingerprint and *ret_answer (the caller's)
     * are what was stored. BUSY: reserved, not stored yet; after a minute in which its process did
     * not renew it, it is free. */
    int (*idempotency_reserve)(spl_store *store, const char *owner, const char *key, int64_t now_ms,
                               spl_idempotency *ret_state, char **ret_fingerprint,
                               char **ret_answer, spl_error *ret_error);
    int (*idempotency_release)(spl_store *store, const char *owner, const char *key,
                               spl_error *ret_error); /* after a failure, of a reserved one */
    /* Keys that this process reserved and did not answer stay its own for another minute; to be
     * called every few seconds. */
    int (*idempotency_renew)(spl_store *store, int64_t now_ms, spl_error *ret_error);

    /* Of a shared store: takes one of the requests that `name` may have in a minute, each of which
     * takes `one_us` to come back. *ret_full_us is when all will have. Times in microseconds. */
    int (*take_rate)(spl_store *store, const char *name, int64_t one_us, int64_t now_us,
                     bool *ret_granted, int64_t *ret_full_us, spl_error *ret_error);

    /* Notes that a browser's session ended before `expires_ms`, when it would have ended by itself;
     * twice is no error. */
    int (*end_session)(spl_store *store, const char *id, int64_t expires_ms, spl_error *ret_error);
    int (*session_ended)(spl_store *store, const char *id, bool *ret_ended, spl_error *ret_error);

    /* Takes the next delivery that is due, for `lease_ms`, but none of the owners in `busy`, each
     * of which stands between newlines
     * ("\nkey:a\nkey:b\n"; "": none). NOT_FOUND: none; then *ret_next_ms is when the next one is
     * due (0: there is none). */
    int (*delivery_claim)(spl_store *store, int64_t now_ms, int64_t lease_ms, const char *busy,
                          spl_delivery *ret_delivery, int64_t *ret_next_ms, spl_error *ret_error);
    int (*delivery_done)(spl_store *store, const char *id,
                         spl_error *ret_error); /* delivered, or given up */
    /* `counts`: false when the attempt is not to count. */
    int (*delivery_retry)(spl_store *store, const char *id, int64_t next_ms, bool counts,
                          spl_error *ret_error);

    int (*stats)(spl_store *store, spl_store_stats *ret_stats, spl_error *ret_error);

    /* Wait, at most `timeout_ms`, for: a change of the job past `version` (its removal too);
     * something new since a claim found nothing; a delivery likewise. They may return early. What
     * only time makes available (a retry, a lost lease) ends no wait. For shutting down, `wake`
     * returns all of them; from then on none takes longer than 20 ms. */
    void (*wait_job)(spl_store *store, const char *id, int64_t version, unsigned timeout_ms);
    void (*wait_queue)(spl_store *store, unsigned timeout_ms);
    void (*wait_delivery)(spl_store *store, unsigned timeout_ms);
    void (*wake)(spl_store *store);
} spl_store_functions;

struct spl_store {
    const spl_store_functions *functions;
    bool shared; /* by several processes */
};

/* Opens DATA_DIR/jobs.db (made when missing; schema versions move forward only, an unknown newer
 * one is refused: UNSUPPORTED; what is not such a database: FORMAT). */
SPL_WARN_UNUSED int spl_store_open_sqlite(const char *data_dir, spl_store **ret_store,
                                          spl_error *ret_error);

typedef struct spl_store_postgres {
    const char *url; /* postgresql://...; with several hosts, the one that takes writes is found */
    unsigned connections; /* at most; they open when needed */
    bool listens; /* hears at once what other processes change; or else waits end by their timeouts
                   */
} spl_store_postgres;

/* Connects and brings the tables to this version, under a lock; a newer version is refused:
 * UNSUPPORTED. Every function fails with IO when the database gives no answer for 4 seconds;
 * connections are made anew by themselves. */
SPL_WARN_UNUSED int spl_store_open_postgres(const spl_store_postgres *options,
                                            spl_store **ret_store, spl_error *ret_error);

/* Whether the database answers; changes nothing. Errors: IO. */
SPL_WARN_UNUSED int spl_store_ask_postgres(const char *url, spl_error *ret_error);

#endif

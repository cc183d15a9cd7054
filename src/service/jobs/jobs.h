/* SPDX-License-Identifier: MIT
 *
 * Jobs as the HTTP room sees them: uploads, submission, state, files. Behind it: admission (size,
 * type, scan, probe, quotas), the workers, retention and webhooks. Everything is thread-safe;
 * functions may block for the disk, and spl_jobs_submit for scan and probe.
 */
#ifndef SPL_SERVICE_JOBS_JOBS_H
#define SPL_SERVICE_JOBS_JOBS_H

#include "service/auth/auth.h"
#include "service/blobs/blobs.h"
#include "service/core/settings.h"
#include "service/jobs/models.h"
#include "service/jobs/options.h"
#include "service/observe/audit.h"
#include "service/store/store.h"

typedef struct spl_jobs spl_jobs;

typedef struct spl_jobs_parts {
    const spl_settings *settings;
    spl_store *store;
    spl_blobs *blobs;
    spl_models *models;
    spl_audit *audit;
    spl_auth *auth;     /* webhooks end with their client; NULL: they do not */
    uint8_t secret[32]; /* for webhooks */
    bool only_works;    /* webhooks and retention are for others */
} spl_jobs_parts;

/* Cleans up after an earlier process, then starts workers, janitor (retention, leases, gauges) and
 * webhook sender. The parts must outlive it. */
SPL_WARN_UNUSED int spl_jobs_start(const spl_jobs_parts *parts, spl_jobs **ret_jobs,
                                   spl_error *ret_error);
/* No more claims and submissions; running jobs go on for up to `drain_s`, then go back to the queue
 * without using up an attempt. Returns when all threads have ended. */
void spl_jobs_stop(spl_jobs *jobs, unsigned drain_s);
void spl_jobs_free(spl_jobs *jobs);
/* 0 when jobs can be taken: database, disk, scanner and model are there; else a problem that says
 * what is missing. For /ready. */
SPL_WARN_UNUSED int spl_jobs_ready(spl_jobs *jobs, spl_problem *ret_problem);
/* Sets the gauges of the queue and the disk, for /metrics. A failure is logged, and its gauges stay
 * what they were. */
void spl_jobs_measure(spl_jobs *jobs);

/* A file that is coming in. */
typedef struct spl_upload spl_upload;

/* `name`: the client's file name (may be NULL for raw bodies), `type`: the declared media type (may
 * be NULL), `length_bytes`: declared, or -1. Checks what can be known before the first byte:
 * extension and type against SPLEETER_FORMATS and each other, length, free disk, quota, queue.
 * Problems: MEDIA_TYPE, TOO_LARGE, STORAGE_FULL, QUOTA, QUEUE_FULL, DRAINING. */
SPL_WARN_UNUSED int spl_upload_open(spl_jobs *jobs, const spl_principal *principal,
                                    const char *name, const char *type, int64_t length_bytes,
                                    spl_upload **ret_upload, spl_problem *ret_problem);
/* Problems: TOO_LARGE, STORAGE_FULL. */
SPL_WARN_UNUSED int spl_upload_write(spl_upload *upload, const void *data, size_t size,
                                     spl_problem *ret_problem);
void spl_upload_free(spl_upload *upload); /* discards what was not submitted; NULL is allowed */

typedef struct spl_submission {
    const spl_principal *principal;
    const char *address;         /* of the client, for the audit log */
    const json_t *options;       /* object as in options.h; may be NULL */
    const char *metadata;        /* any JSON, of which 16 KiB are taken; may be NULL */
    const char *webhook_url;     /* may be NULL */
    const char *idempotency_key; /* 1 to 255 printable ASCII; may be NULL */
    const char *request_id, *traceparent;
    spl_upload *upload;          /* used up on success; NULL with source_url */
    const char *source_url;      /* fetched before the answer; NULL with upload */
    int (*canceled)(void *user); /* asked while it blocks: the client has gone; may be NULL */
    void *canceled_user;
} spl_submission;

/* Idempotency first: call before the body is read. *ret_state NEW: reserved, end it with submit or
 * spl_jobs_idempotency_release. */
SPL_WARN_UNUSED int spl_jobs_idempotency_reserve(spl_jobs *jobs, const spl_principal *principal,
                                                 const char *key, spl_idempotency *ret_state,
                                                 spl_problem *ret_problem);
void spl_jobs_idempotency_release(spl_jobs *jobs, const spl_principal *principal, const char *key);

/* Options, magic bytes, scan, probe, quotas, then the job is durable. *ret_job is the job's JSON as
 * in spl_jobs_get (the caller's); ret_replayed: it is the stored answer of an earlier request.
 * Problems: INVALID, MEDIA_TYPE, INFECTED, SCAN_UNAVAILABLE, UNREADABLE_AUDIO, TOO_LONG, TOO_LARGE,
 * SOURCE_REFUSED, IDEMPOTENCY_REUSED, QUOTA, QUEUE_FULL, STORAGE_FULL, DRAINING, UNAVAILABLE,
 * INTERNAL. */
SPL_WARN_UNUSED int spl_jobs_submit(spl_jobs *jobs, const spl_submission *submission,
                                    json_t **ret_job, bool *ret_replayed, spl_problem *ret_problem);

/* The job as clients see it: id, status, created/started/finished/expires, model (name, sha256),
 * options, input, queue {position, eta_s}, progress, eta_s, outputs [{name, file, complete, bytes,
 * samples, clipped, peak_dbfs, sha256, url}], error {type, code, detail}, warning, metadata, urls,
 * attempts, reused. `owner` NULL: any (for signed links and webhooks). Problem: NOT_FOUND.
 * *ret_version (may be NULL) for spl_jobs_wait. */
SPL_WARN_UNUSED int spl_jobs_get(spl_jobs *jobs, const char *owner, const char *id,
                                 json_t **ret_job, int64_t *ret_version, spl_problem *ret_problem);
/* Who made the job, an spl_principal.id. Problem: NOT_FOUND. */
SPL_WARN_UNUSED int spl_jobs_owner(spl_jobs *jobs, const char *id, char ret_owner[64],
                                   spl_problem *ret_problem);
/* {"jobs": [...], "next_cursor": "..." or null}. */
SPL_WARN_UNUSED int spl_jobs_list(spl_jobs *jobs, const spl_store_filter *filter, json_t **ret_list,
                                  spl_problem *ret_problem);
/* Waits for a change past `version`, at most `timeout_ms`. */
void spl_jobs_wait(spl_jobs *jobs, const char *id, int64_t version, unsigned timeout_ms);
/* CONFLICT when it has already ended. */
SPL_WARN_UNUSED int spl_jobs_cancel(spl_jobs *jobs, const spl_principal *principal,
                                    const char *address, const char *id, spl_problem *ret_problem);
SPL_WARN_UNUSED int spl_jobs_delete(spl_jobs *jobs, const spl_principal *principal,
                                    const char *address, const char *id, spl_problem *ret_problem);

/* A file of a job: an output by its file name, complete or growing. */
typedef struct spl_job_file {
    spl_blob blob;
    char media_type[64];     /* "audio/flac" */
    char download_name[160]; /* "song - vocals.flac", from the client's name, cleaned */
    char sha256[65];         /* "" while it grows */
} spl_job_file;
/* Problems: NOT_FOUND, CONFLICT (the job has no such file yet, or failed), GONE. */
SPL_WARN_UNUSED int spl_jobs_open_file(spl_jobs *jobs, const char *owner, const char *id,
                                       const char *file, spl_job_file *ret_file,
                                       spl_problem *ret_problem);
/* A URL by which a client gets a complete file from the storage itself, for a few minutes; *ret_url
 * (the caller's) is NULL when it has to come from here. `write_disposition` makes the
 * Content-Disposition. Problem: NOT_FOUND. */
SPL_WARN_UNUSED int
spl_jobs_link_file(spl_jobs *jobs, const char *owner, const char *id, const char *file,
                   void (*write_disposition)(const char *name, char *ret_header, size_t capacity),
                   char **ret_url, spl_problem *ret_problem);
/* Which part of a file's peaks: peak i is of the samples from i * samples_per_peak on. */
typedef struct spl_peaks_query {
    uint64_t samples_per_peak; /* 1 to 2^24 */
    uint64_t first;            /* up to 2^31 */
    uint64_t count;            /* at most; 1 to 2^20 */
} spl_peaks_query;
/* Who asks for something that takes time and so has to wait for its turn. */
typedef struct spl_jobs_asker {
    const char *key;             /* the principal's id: turns are shared fairly among those */
    int (*canceled)(void *user); /* asked while it takes: the client has gone; may be NULL */
    void *user;
} spl_jobs_asker;
/* The least and the greatest sample of each run of samples over all channels, in the format of
 * audiowaveform's data files (version 2, 8 bits, one channel). Of a file that grows: what is there
 * of WAV, CONFLICT for others. *ret_data is the caller's. Problems: CONFLICT, INTERNAL, DRAINING,
 * UNAVAILABLE (also: there was no turn in time, or it took too long). */
SPL_WARN_UNUSED int spl_jobs_peaks(spl_jobs *jobs, const spl_jobs_asker *asker,
                                   const spl_job_file *file, const spl_peaks_query *query,
                                   uint8_t **ret_data, size_t *ret_size, spl_problem *ret_problem);
/* The manifest of a succeeded job. Problems: NOT_FOUND, CONFLICT. */
SPL_WARN_UNUSED int spl_jobs_manifest(spl_jobs *jobs, const char *owner, const char *id,
                                      json_t **ret_manifest, spl_problem *ret_problem);

#endif

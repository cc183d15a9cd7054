/* SPDX-License-Identifier: MIT
 *
 * The interface of the jobs module for the HTTP module: uploads, submission, state and files of
 * jobs. The module implements admission (size, type, scan, probe, quotas), the workers, retention
 * and webhooks. All functions are thread-safe. They may block on disk I/O; spl_jobs_submit also
 * blocks for the scan and the probe.
 */
#ifndef SPL_SERVICE_JOBS_JOBS_H
#define SPL_SERVICE_JOBS_JOBS_H

#include "service/auth/auth.h"
#include "service/blobs/blobs.h"
#include "service/core/settings.h"
#include "service/core/space.h"
#include "service/jobs/models.h"
#include "service/jobs/options.h"
#include "service/observe/audit.h"
#include "service/store/store.h"

typedef struct spl_jobs spl_jobs;

typedef struct spl_jobs_parts {
    const spl_settings *settings;
    spl_store *store;
    spl_space *space; /* of DATA_DIR */
    spl_blobs *blobs;
    spl_models *models;
    spl_audit *audit;
    /* Deliveries of a revoked client are dropped; NULL: they are not checked. */
    spl_auth *auth;
    uint8_t secret[32]; /* signs webhooks */
    bool only_works;    /* other processes send webhooks and enforce retention */
} spl_jobs_parts;

/* Cleans up after an earlier process, then starts the workers, the janitor (retention, leases,
 * gauges) and the webhook senders. The parts must outlive *ret_jobs. */
SPL_WARN_UNUSED int spl_jobs_start(const spl_jobs_parts *parts, spl_jobs **ret_jobs,
                                   spl_error *ret_error);
/* Accepts no more claims or submissions. Running jobs continue for up to `drain_s` seconds and are
 * then returned to the queue without using up an attempt. Returns when all threads have ended. */
void spl_jobs_stop(spl_jobs *jobs, unsigned drain_s);
void spl_jobs_free(spl_jobs *jobs);
/* The descriptors that running jobs may hold, with what has to be left for the service to be
 * ready. */
unsigned spl_jobs_descriptors(const spl_settings *settings);
/* The threads and helper processes that running jobs may have. */
unsigned spl_jobs_threads(const spl_settings *settings);
/* Returns 0 if jobs can be accepted: descriptors, database, disk, scanner and model are available.
 * Otherwise *ret_problem says what is missing. For /ready. */
SPL_WARN_UNUSED int spl_jobs_ready(spl_jobs *jobs, spl_problem *ret_problem);
/* Sets the gauges of the queue and the disk, for /metrics. A failure is logged and leaves its
 * gauges unchanged. */
void spl_jobs_measure(spl_jobs *jobs);

/* A file that is being received. */
typedef struct spl_upload spl_upload;

/* `name` is the client's file name (may be NULL for raw bodies), `type` the declared media type
 * (may be NULL), `length_bytes` the declared length, or the least that it can be, or -1. Makes all
 * checks that need no file content: extension and type against SPLEETER_FORMATS and each other,
 * length, free disk space, quota, queue. Problems: MEDIA_TYPE, TOO_LARGE, STORAGE_FULL, QUOTA,
 * QUEUE_FULL, DRAINING. */
SPL_WARN_UNUSED int spl_upload_open(spl_jobs *jobs, const spl_principal *principal,
                                    const char *name, const char *type, int64_t length_bytes,
                                    spl_upload **ret_upload, spl_problem *ret_problem);
/* Problems: TOO_LARGE, QUOTA, STORAGE_FULL, UNAVAILABLE. */
SPL_WARN_UNUSED int spl_upload_write(spl_upload *upload, const void *data, size_t size,
                                     spl_problem *ret_problem);
/* Discards a file that was not submitted; NULL is allowed. */
void spl_upload_free(spl_upload *upload);

typedef struct spl_submission {
    const spl_principal *principal;
    const char *address;         /* of the client, for the audit log */
    const json_t *options;       /* object as in options.h; may be NULL */
    const char *metadata;        /* any JSON of up to 16 KiB; may be NULL */
    const char *webhook_url;     /* may be NULL */
    const char *idempotency_key; /* 1 to 255 printable ASCII characters; may be NULL */
    const char *request_id, *traceparent;
    spl_upload *upload;     /* consumed on success; NULL with source_url */
    const char *source_url; /* fetched before the response is sent; NULL with upload */
    /* Polled while the submission blocks; non-zero: the client has disconnected, or may not create
     * the job any more. May be NULL. */
    int (*canceled)(void *user);
    void *canceled_user;
} spl_submission;

/* Call it before reading the request body. If *ret_state is NEW, the key is reserved: end the
 * reservation with spl_jobs_submit or spl_jobs_idempotency_release. */
SPL_WARN_UNUSED int spl_jobs_idempotency_reserve(spl_jobs *jobs, const spl_principal *principal,
                                                 const char *key, spl_idempotency *ret_state,
                                                 spl_problem *ret_problem);
void spl_jobs_idempotency_release(spl_jobs *jobs, const spl_principal *principal, const char *key);

/* Checks options, content type, scan, probe and quotas, then stores the job durably. *ret_job is
 * the job's JSON as in spl_jobs_get (owned by the caller). ret_replayed: *ret_job is the stored
 * response to an earlier request. Problems: INVALID, MEDIA_TYPE, INFECTED, SCAN_UNAVAILABLE,
 * UNREADABLE_AUDIO, TOO_LONG, TOO_LARGE, SOURCE_REFUSED, IDEMPOTENCY_REUSED, QUOTA, QUEUE_FULL,
 * STORAGE_FULL, DRAINING, UNAVAILABLE, INTERNAL. */
SPL_WARN_UNUSED int spl_jobs_submit(spl_jobs *jobs, const spl_submission *submission,
                                    json_t **ret_job, bool *ret_replayed, spl_problem *ret_problem);

/* The client of an operation that has to wait for a turn. */
typedef struct spl_jobs_client {
    const char *key; /* the principal's id; turns are shared fairly among keys */
    /* Polled during the operation; non-zero: the client has disconnected. May be NULL. */
    int (*canceled)(void *user);
    void *user;
} spl_jobs_client;

/* The job's public JSON: id, status, created/started/finished/expires, model (name, sha256),
 * options, input, queue {position, eta_s}, progress, eta_s, outputs [{name, file, complete, bytes,
 * samples, clipped, peak_dbfs, sha256, url}], error {type, code, detail}, warning, metadata, urls,
 * attempts, reused, cancel_requested, request_id. `owner` NULL matches any owner (for signed links
 * and webhooks). *ret_version (may be NULL) is for spl_jobs_wait. Problem: NOT_FOUND. */
SPL_WARN_UNUSED int spl_jobs_get(spl_jobs *jobs, const char *owner, const char *id,
                                 json_t **ret_job, int64_t *ret_version, spl_problem *ret_problem);
/* The spl_principal.id of the job's owner. Problem: NOT_FOUND. */
SPL_WARN_UNUSED int spl_jobs_owner(spl_jobs *jobs, const char *id, char ret_owner[64],
                                   spl_problem *ret_problem);
/* {"jobs": [...], "next_cursor": "..." or null}. A page may be short or empty although it has a
 * next_cursor. Sets filter->examine_max. Problems: DRAINING, UNAVAILABLE (no turn was free in
 * time).
 */
SPL_WARN_UNUSED int spl_jobs_list(spl_jobs *jobs, const spl_jobs_client *client,
                                  spl_store_filter *filter, json_t **ret_list,
                                  spl_problem *ret_problem);
/* Waits for a change of the job after `version`, for at most `timeout_ms`. */
void spl_jobs_wait(spl_jobs *jobs, const char *id, int64_t version, unsigned timeout_ms);
/* Problems: NOT_FOUND, CONFLICT (the job has already ended). */
SPL_WARN_UNUSED int spl_jobs_cancel(spl_jobs *jobs, const spl_principal *principal,
                                    const char *address, const char *id, spl_problem *ret_problem);
/* Cancels the queued and running jobs of the clients whose keys the last reload took away
 * (spl_auth_next_revoked). Failures are logged. */
void spl_jobs_cancel_revoked(spl_jobs *jobs);
SPL_WARN_UNUSED int spl_jobs_delete(spl_jobs *jobs, const spl_principal *principal,
                                    const char *address, const char *id, spl_problem *ret_problem);

/* A file of a job: an output by its file name, complete or still growing. */
typedef struct spl_job_file {
    char job[SPL_ID_SIZE], owner[64];
    spl_job_state state; /* of the job: SUCCEEDED or RUNNING */
    int64_t fence;       /* of the worker that wrote or writes it */
    char blob_name[SPL_BLOB_NAME_MAX + 1];
    char media_type[64];     /* "audio/flac" */
    char download_name[160]; /* "song - vocals.flac", from the client's name, sanitized */
    char sha256[65];         /* "" while the file grows */
    spl_blob blob;           /* .fd is -1 until the file is opened; the caller closes it */
} spl_job_file;
/* Reads where a file of a job is. Problems: NOT_FOUND, CONFLICT (the job does not have the file
 * yet, or failed or was canceled), GONE. */
SPL_WARN_UNUSED int spl_jobs_find_file(spl_jobs *jobs, const char *owner, const char *id,
                                       const char *file, spl_job_file *ret_file,
                                       spl_problem *ret_problem);
/* A URL from which a client can download a complete file directly from the storage, valid for a few
 * minutes. `disposition` is the Content-Disposition of that response. *ret_url (owned by the
 * caller) is NULL if this process has to serve the file. */
SPL_WARN_UNUSED int spl_jobs_link_file(spl_jobs *jobs, const spl_job_file *file,
                                       const char *disposition, char **ret_url,
                                       spl_problem *ret_problem);
/* Opens the file that spl_jobs_find_file found. `wait` ends the wait for a remote storage; it may
 * be NULL. Problems: as there, UNAVAILABLE, STORAGE_FULL. */
SPL_WARN_UNUSED int spl_jobs_open_found(spl_jobs *jobs, spl_job_file *file,
                                        const spl_blob_wait *wait, spl_problem *ret_problem);
/* Sets `held` of the files that their jobs still have. Jobs that were deleted, expired, failed or
 * were canceled have none, and a job that runs again has other ones. */
SPL_WARN_UNUSED int spl_jobs_check_files(spl_jobs *jobs, spl_store_file *files, size_t count,
                                         spl_error *ret_error);
/* A range of a file's peaks. Peak i covers the samples from i * samples_per_peak on. */
typedef struct spl_peaks_query {
    uint64_t samples_per_peak; /* 1 to 2^24 */
    uint64_t first;            /* up to 2^31 */
    uint64_t count;            /* maximum; 1 to 2^20 */
} spl_peaks_query;
/* The minimum and maximum sample over all channels of each run of samples, in the data format of
 * audiowaveform (version 2, 8 bits, one channel). For a file that is still growing, WAV gives the
 * peaks available so far; other formats give CONFLICT. *ret_data is owned by the caller. Problems:
 * CONFLICT, INTERNAL, DRAINING, UNAVAILABLE (also when no turn was free in time or the computation
 * took too long). */
SPL_WARN_UNUSED int spl_jobs_peaks(spl_jobs *jobs, const spl_jobs_client *client,
                                   const spl_job_file *file, const spl_peaks_query *query,
                                   uint8_t **ret_data, size_t *ret_size, spl_problem *ret_problem);
/* The manifest of a succeeded job, owned by the caller. Problems: NOT_FOUND, CONFLICT. */
SPL_WARN_UNUSED int spl_jobs_manifest(spl_jobs *jobs, const char *owner, const char *id,
                                      json_t **ret_manifest, spl_problem *ret_problem);

#endif

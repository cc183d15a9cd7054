/* SPDX-License-Identifier: MIT
 *
 * Blobs: the files of jobs, addressed by job id and file name ("input", "vocals.wav"), behind a
 * table of functions. The embedded implementation is a directory (directory.c):
 * DATA_DIR/blobs/JOB/NAME, with unfinished uploads in DATA_DIR/incoming. Several machines share an
 * S3 bucket (s3.c). Implementations remove only files whose names they could have given; foreign
 * files in their folders stay.
 *
 * A blob appears completely or not at all. In a directory, an output that is still being written
 * can be read up to its current size; with S3, an empty file stands for it.
 *
 * The service makes the names: up to 104 letters, digits, '.', '_' and '-', not starting with '.'
 * nor ending in ".part". Other names are refused (ARGUMENT). Files have mode 0600 and are created
 * with O_EXCL and O_NOFOLLOW.
 *
 * All functions are thread-safe. Errors: NO_SPACE, IO, NOT_FOUND, MEMORY, PERMISSION.
 */
#ifndef SPL_SERVICE_BLOBS_BLOBS_H
#define SPL_SERVICE_BLOBS_BLOBS_H

#include "base/error.h"
#include "service/core/space.h"

#define SPL_BLOB_NAME_MAX    104
#define SPL_BLOB_PART_SUFFIX ".part"

typedef struct spl_blobs spl_blobs;

/* A blob that is being written. */
typedef struct spl_blob_writer {
    int fd; /* regular, seekable, readable and writable; owned by the writer */
    void *state;
} spl_blob_writer;

/* Ends the wait for a remote storage early; the call then returns CANCELED. */
typedef struct spl_blob_wait {
    int (*canceled)(void *user); /* polled at least about once a second */
    void *user;
} spl_blob_wait;

static inline bool spl_blob_wait_canceled(const spl_blob_wait *wait) {
    return wait && wait->canceled(wait->user);
}

/* An opened blob. */
typedef struct spl_blob {
    int fd;         /* regular; the caller closes it */
    uint64_t bytes; /* its current size */
    bool complete;  /* false: it may still grow */
} spl_blob;

/* `wait` may be NULL. */
typedef struct spl_blobs_functions {
    void (*close)(spl_blobs *blobs);

    /* Starts an upload, which belongs to no job yet and cannot be read. commit gives it a name. */
    int (*upload)(spl_blobs *blobs, spl_blob_writer *ret_writer, spl_error *ret_error);
    /* Starts an output of a running job, which can be read while it grows. `fence` separates the
     * files of two writing workers; they must check in the job store which of them may commit. */
    int (*output)(spl_blobs *blobs, const char *job, const char *name, int64_t fence,
                  spl_blob_writer *ret_writer, spl_error *ret_error);
    /* Flushes the file to disk and gives it its name, replacing an existing blob. The writer is
     * used up, also on failure. */
    int (*commit)(spl_blobs *blobs, spl_blob_writer *writer, const char *job, const char *name,
                  const spl_blob_wait *wait, spl_error *ret_error);
    /* Safe on a writer that is zeroed (fd -1), committed or discarded. */
    void (*discard)(spl_blobs *blobs, spl_blob_writer *writer);

    /* If there is no complete blob and `fence` > 0, opens the one that the worker with this fence
     * is writing. `reader` is the key whose share a local copy counts for until it is closed; NULL:
     * accepted work, which has no share. Errors also: LIMIT (the reader has too much open). */
    int (*open)(spl_blobs *blobs, const char *job, const char *name, const char *reader,
                int64_t fence, const spl_blob_wait *wait, spl_blob *ret_blob, spl_error *ret_error);
    /* Makes the same content available under another job, without using disk space where the
     * storage supports that. Else the space is taken from `grant`, which may be NULL. */
    int (*copy)(spl_blobs *blobs, const char *from_job, const char *to_job, const char *name,
                spl_space_grant *grant, const spl_blob_wait *wait, spl_error *ret_error);
    /* A missing blob is not an error. */
    int (*remove)(spl_blobs *blobs, const char *job, const char *name, const spl_blob_wait *wait,
                  spl_error *ret_error);
    int (*remove_job)(spl_blobs *blobs, const char *job, const spl_blob_wait *wait,
                      spl_error *ret_error);
    /* Quarantines all blobs of a job: they become unavailable, but are kept for an operator to
     * inspect. S3 leaves them in place. */
    int (*quarantine)(spl_blobs *blobs, const char *job, spl_error *ret_error);
    /* Reviews the quarantined jobs. Restores those for which `judge` returns 1; removes those for
     * which it returns 0 and that were quarantined more than `keep_s` seconds ago; leaves the
     * others and those with a negative result. Continues after a failure and returns the first
     * one. */
    int (*review_quarantine)(spl_blobs *blobs, int (*judge)(void *user, const char *job),
                             void *user, unsigned keep_s, spl_error *ret_error);
    /* Visits the jobs that have blobs, except quarantined ones; for the cleanup after a crash.
     * Stops at the first nonzero result of `visit` and returns it. */
    int (*list_jobs)(spl_blobs *blobs, int (*visit)(void *user, const char *job), void *user,
                     spl_error *ret_error);
    /* Whether the storage is usable. Errors: IO, PERMISSION. */
    int (*check)(spl_blobs *blobs, const spl_blob_wait *wait, spl_error *ret_error);
    /* A URL from which a client gets the complete blob directly from the storage; NULL if it must
     * be read through `open`. `type` and `disposition` are the Content-Type and Content-Disposition
     * of its response. The caller owns *ret_url. */
    int (*link)(spl_blobs *blobs, const char *job, const char *name, const char *type,
                const char *disposition, char **ret_url, spl_error *ret_error);
} spl_blobs_functions;

struct spl_blobs {
    const spl_blobs_functions *functions;
};

/* The folder of quarantined jobs, inside the folder of the jobs. No job has this name. */
#define SPL_BLOBS_QUARANTINE "quarantine"

/* Creates the folders, and removes unfinished uploads and outputs of an earlier process. Only one
 * process may use a folder; the caller holds DATA_DIR/lock. */
SPL_WARN_UNUSED int spl_blobs_open_directory(const char *data_dir, spl_blobs **ret_blobs,
                                             spl_error *ret_error);

/* The strings must outlive the blobs. */
typedef struct spl_blobs_s3 {
    /* Unfinished files are in DATA_DIR/incoming, fetched ones in DATA_DIR/cache. */
    const char *data_dir;
    const char *endpoint;        /* http or https URL without a trailing slash */
    const char *public_endpoint; /* "": no links */
    const char *bucket, *region, *access_key_id, *secret_access_key;
    uint64_t cache_bytes; /* the cache's limit, besides one copy for each reader */
    spl_space *space;     /* for the cache; may be NULL */
} spl_blobs_s3;

/* Stores blobs as objects JOB/NAME in the bucket. Empties the cache. Call spl_outbound_start first.
 * Only one process may use a DATA_DIR. */
SPL_WARN_UNUSED int spl_blobs_open_s3(const spl_blobs_s3 *options, spl_blobs **ret_blobs,
                                      spl_error *ret_error);

/* For implementations: check names. Errors: ARGUMENT. */
SPL_WARN_UNUSED int spl_blob_check_name(const char *name, spl_error *ret_error);
SPL_WARN_UNUSED int spl_blob_check_names(const char *job, const char *name, spl_error *ret_error);

#endif

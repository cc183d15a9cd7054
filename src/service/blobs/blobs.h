/* SPDX-License-Identifier: MIT
 *
 * Blobs: the files of jobs, by job id and file name ("input", "vocals.wav"). One table of
 * functions; a directory (directory.c) is the embedded implementation: DATA_DIR/blobs/JOB/NAME, and
 * unfinished uploads in DATA_DIR/incoming. S3 (s3.c) is the one that several machines share.
 * Implementations remove only what has a name that they give; files that somebody else put into
 * their folders stay.
 *
 * A blob appears whole or not at all; an output that is still being written can be read as far as
 * it has grown where it is written into the directory; with S3, an empty file stands for it. Names
 * are made by the service: up to 104 letters, digits, '.', '_', '-', not starting with '.' nor
 * ending in ".part"; anything else is refused (ARGUMENT). Files are 0600, made with O_EXCL and
 * O_NOFOLLOW. Thread-safe. Errors: NO_SPACE, IO, NOT_FOUND, MEMORY, PERMISSION.
 */
#ifndef SPL_SERVICE_BLOBS_BLOBS_H
#define SPL_SERVICE_BLOBS_BLOBS_H

#include "base/error.h"

#define SPL_BLOB_NAME_MAX    104
#define SPL_BLOB_PART_SUFFIX ".part"

typedef struct spl_blobs spl_blobs;

/* A blob that is being written. */
typedef struct spl_blob_writer {
    int fd; /* regular, seekable, read and write; the writer's */
    void *state;
} spl_blob_writer;

/* What ends the wait for a storage on another machine early: then the call returns CANCELED. */
typedef struct spl_blob_wait {
    int (*canceled)(void *user); /* asked about once a second */
    void *user;
} spl_blob_wait;

static inline bool spl_blob_wait_canceled(const spl_blob_wait *wait) {
    return wait && wait->canceled(wait->user);
}

/* What an opened blob is. */
typedef struct spl_blob {
    int fd;         /* regular; the caller closes it */
    uint64_t bytes; /* so far */
    bool complete;  /* false: it may still grow */
} spl_blob;

/* `wait` may be NULL. */
typedef struct spl_blobs_functions {
    void (*close)(spl_blobs *blobs);

    /* An upload that belongs to no job yet: nobody can read it. commit gives it its place. */
    int (*upload)(spl_blobs *blobs, spl_blob_writer *ret_writer, spl_error *ret_error);
    /* An output of a running job, readable while it grows. `fence` keeps two workers apart while
     * they write; that only the right one commits is up to them, by the job store. */
    int (*output)(spl_blobs *blobs, const char *job, const char *name, int64_t fence,
                  spl_blob_writer *ret_writer, spl_error *ret_error);
    /* Flushes to the disk and gives it its name, replacing what stood there. The writer is used up,
     * also on failure. */
    int (*commit)(spl_blobs *blobs, spl_blob_writer *writer, const char *job, const char *name,
                  const spl_blob_wait *wait, spl_error *ret_error);
    void (*discard)(
        spl_blobs *blobs,
        spl_blob_writer *writer); /* safe on a zeroed (fd -1), committed or discarded one */

    /* `fence` > 0: when there is no complete one, the one that the worker with this fence is
     * writing. */
    int (*open)(spl_blobs *blobs, const char *job, const char *name, int64_t fence,
                const spl_blob_wait *wait, spl_blob *ret_blob, spl_error *ret_error);
    /* The same content under another job, without using up space where the storage can. */
    int (*copy)(spl_blobs *blobs, const char *from_job, const char *to_job, const char *name,
                spl_error *ret_error);
    int (*remove)(spl_blobs *blobs, const char *job, const char *name, const spl_blob_wait *wait,
                  spl_error *ret_error); /* a missing one is no error */
    int (*remove_job)(spl_blobs *blobs, const char *job, spl_error *ret_error);
    /* Takes all blobs of a job out of service without deleting them, for an operator to look at.
     * S3: leaves them where they are. */
    int (*set_aside)(spl_blobs *blobs, const char *job, spl_error *ret_error);
    /* Of the jobs that were set aside, puts back those that `judge` answers 1 for, and removes
     * those that it answers 0 for and that were set aside more than `keep_s` seconds ago; a
     * negative answer leaves the job where it is. Goes on after a failure, and returns the first
     * one. */
    int (*review_aside)(spl_blobs *blobs, int (*judge)(void *user, const char *job), void *user,
                        unsigned keep_s, spl_error *ret_error);
    /* Jobs that have blobs, but not those set aside; for cleaning up after a crash. Stops at the
     * first non-zero answer and returns it. */
    int (*list_jobs)(spl_blobs *blobs, int (*visit)(void *user, const char *job), void *user,
                     spl_error *ret_error);
    /* On this machine's disk. IO too when the storage can't be used. */
    int (*free_bytes)(spl_blobs *blobs, uint64_t *ret_bytes, spl_error *ret_error);
    /* A URL by which a client gets the complete blob from the storage itself; NULL when it has to
     * come from `open`. `type` and `disposition` (Content-Type, Content-Disposition) are what that
     * answers; *ret_url is the caller's. */
    int (*link)(spl_blobs *blobs, const char *job, const char *name, const char *type,
                const char *disposition, char **ret_url, spl_error *ret_error);
} spl_blobs_functions;

struct spl_blobs {
    const spl_blobs_functions *functions;
};

/* The folder of jobs that were set aside, in the folder of the jobs; no job has that name. */
#define SPL_BLOBS_ASIDE "quarantine"

/* Makes the folders, and removes unfinished uploads and outputs of an earlier process. One process
 * a folder: the caller holds DATA_DIR/lock. */
SPL_WARN_UNUSED int spl_blobs_open_directory(const char *data_dir, spl_blobs **ret_blobs,
                                             spl_error *ret_error);

/* Texts must outlive the blobs. */
typedef struct spl_blobs_s3 {
    const char *data_dir; /* DATA_DIR/incoming for what is being written, DATA_DIR/cache for what
                             was fetched */
    const char *endpoint; /* http or https URL without a slash at its end */
    const char *public_endpoint; /* "": no links */
    const char *bucket, *region, *access_key_id, *secret_access_key;
    uint64_t cache_bytes; /* at most, but for what is being read */
} spl_blobs_s3;

/* Objects JOB/NAME in the bucket. Empties the cache. curl_global_init (net/outbound.h) comes first.
 * One process a DATA_DIR. */
SPL_WARN_UNUSED int spl_blobs_open_s3(const spl_blobs_s3 *options, spl_blobs **ret_blobs,
                                      spl_error *ret_error);

/* For implementations: whether it is a name. ARGUMENT. */
SPL_WARN_UNUSED int spl_blob_check_name(const char *name, spl_error *ret_error);
SPL_WARN_UNUSED int spl_blob_check_names(const char *job, const char *name, spl_error *ret_error);

#endif

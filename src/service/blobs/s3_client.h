/* SPDX-License-Identifier: MIT
 *
 * Requests to an S3 server. They are signed (Signature Version 4), carry the SHA-256 of their body,
 * which the server checks, and are retried when the server or the network fails. Buckets are
 * addressed by path. Keys consist of letters, digits, '.', '_', '-' and '/', so they need no
 * escaping.
 *
 * Thread-safe. Functions block; those with a `wait` (may be NULL) return CANCELED when it is
 * canceled. Every function can return IO (no answer, or an invalid one), NOT_FOUND, PERMISSION,
 * NO_SPACE and MEMORY.
 */
#ifndef SPL_SERVICE_BLOBS_S3_CLIENT_H
#define SPL_SERVICE_BLOBS_S3_CLIENT_H

#include "service/blobs/blobs.h"

typedef struct spl_s3_client spl_s3_client;

/* `options` must outlive the client. */
SPL_WARN_UNUSED int spl_s3_client_new(const spl_blobs_s3 *options, spl_s3_client **ret_client,
                                      spl_error *ret_error);
void spl_s3_client_free(spl_s3_client *client);

/* Whether the server answers for the bucket; one try. */
SPL_WARN_UNUSED int spl_s3_probe(spl_s3_client *client, const spl_blob_wait *wait,
                                 spl_error *ret_error);
/* Stores the whole regular file, a large one in parts, together with its SHA-256 as
 * "x-amz-meta-sha256". The object appears completely or not at all. */
SPL_WARN_UNUSED int spl_s3_put(spl_s3_client *client, const char *key, int fd,
                               const spl_blob_wait *wait, spl_error *ret_error);
/* Where the bytes of an object go. */
typedef struct spl_s3_target {
    int fd; /* an empty file, readable */
    /* Writes the next bytes into the file; `position` grows by each `size`. A failure ends the
     * transfer and is returned. */
    int (*put)(void *user, const void *data, size_t size, uint64_t position, spl_error *ret_error);
    void *user;
} spl_s3_target;
/* Fetches an object and checks its SHA-256. Resumes a broken transfer. */
SPL_WARN_UNUSED int spl_s3_get(spl_s3_client *client, const char *key, const spl_s3_target *target,
                               const spl_blob_wait *wait, spl_error *ret_error);
/* Copies an object of up to 5 GiB on the server. */
SPL_WARN_UNUSED int spl_s3_copy(spl_s3_client *client, const char *from_key, const char *to_key,
                                const spl_blob_wait *wait, spl_error *ret_error);
/* A missing object is not an error. */
SPL_WARN_UNUSED int spl_s3_remove(spl_s3_client *client, const char *key, const spl_blob_wait *wait,
                                  spl_error *ret_error);
/* Visits each key that starts with `prefix`, in order, except keys that contain characters which
 * XML escapes or that are longer than 255 bytes. Stops at the first nonzero result of `visit` and
 * returns it. */
SPL_WARN_UNUSED int spl_s3_list(spl_s3_client *client, const char *prefix,
                                int (*visit)(void *user, const char *key), void *user,
                                const spl_blob_wait *wait, spl_error *ret_error);
/* A URL at `endpoint` that gives anybody access to the object for `seconds`. `disposition` and
 * `type` are the Content-Disposition and Content-Type of its response. The caller owns *ret_url.
 * Makes no request. */
SPL_WARN_UNUSED int spl_s3_presign(const spl_s3_client *client, const char *endpoint,
                                   const char *key, const char *type, const char *disposition,
                                   unsigned seconds, char **ret_url, spl_error *ret_error);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Requests to an S3 server: signed (Signature Version 4), each body with its SHA-256, which the
 * server checks, and tried again when the server or the way to it fails. Buckets are addressed by
 * path. Keys are letters, digits, '.', '_', '-' and '/', so nothing needs escaping.
 *
 * Thread-safe; blocks, where a `wait` is given (it may be NULL) until that is canceled: CANCELED.
 * Errors of all: IO (no answer, or one that makes no sense), NOT_FOUND,
 * PERMISSION, NO_SPACE, MEMORY.
 */
#ifndef SPL_SERVICE_BLOBS_S3_CLIENT_H
#define SPL_SERVICE_BLOBS_S3_CLIENT_H

#include "service/blobs/blobs.h"

typedef struct spl_s3_client spl_s3_client;

/* `options` must outlive it. */
SPL_WARN_UNUSED int spl_s3_client_new(const spl_blobs_s3 *options, spl_s3_client **ret_client,
                                      spl_error *ret_error);
void spl_s3_client_free(spl_s3_client *client);

/* One try: whether the server answers for the bucket. */
SPL_WARN_UNUSED int spl_s3_ask(spl_s3_client *client, spl_error *ret_error);
/* Stores the whole regular file, large ones in parts, and with it its SHA-256 as
 * "x-amz-meta-sha256". It is there whole or not at all. */
SPL_WARN_UNUSED int spl_s3_put(spl_s3_client *client, const char *key, int fd,
                               const spl_blob_wait *wait, spl_error *ret_error);
/* Fetches it into the empty file and checks its SHA-256; goes on where a broken transfer stopped.
 */
SPL_WARN_UNUSED int spl_s3_get(spl_s3_client *client, const char *key, int fd,
                               const spl_blob_wait *wait, spl_error *ret_error);
/* On the server, up to 5 GiB. */
SPL_WARN_UNUSED int spl_s3_copy(spl_s3_client *client, const char *from_key, const char *to_key,
                                spl_error *ret_error);
SPL_WARN_UNUSED int spl_s3_remove(spl_s3_client *client, const char *key, const spl_blob_wait *wait,
                                  spl_error *ret_error); /* a missing one is no error */
/* Calls `visit` for each key that starts with `prefix`, in order, until an answer is not 0, which
 * is returned. */
SPL_WARN_UNUSED int spl_s3_list(spl_s3_client *client, const char *prefix,
                                int (*visit)(void *user, const char *key), void *user,
                                spl_error *ret_error);
/* A URL at `endpoint` that gives the object for `seconds` to anybody. `disposition` and `type` are
 * what its answer says; *ret_url is the caller's. No request is made. */
SPL_WARN_UNUSED int spl_s3_presign(const spl_s3_client *client, const char *endpoint,
                                   const char *key, const char *type, const char *disposition,
                                   unsigned seconds, char **ret_url, spl_error *ret_error);

#endif

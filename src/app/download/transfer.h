/* SPDX-License-Identifier: MIT
 *
 * Downloads files over HTTPS and HTTP with libcurl.
 */
#ifndef SPL_APP_DOWNLOAD_TRANSFER_H
#define SPL_APP_DOWNLOAD_TRANSFER_H

#include "base/error.h"

typedef struct spl_transfer {
    const char *url;   /* https or http; https never redirects to http */
    const char *shown; /* the URL for messages, without credentials */
    uint64_t cap_bytes;
    unsigned stall_s;
    void *user;
    /* Non-zero cancels; total_bytes is 0 if unknown. May be NULL. */
    int (*progress)(void *user, uint64_t done_bytes, uint64_t total_bytes);
} spl_transfer;

/* Downloads to memory; *ret_text, of *ret_size bytes, is not terminated and owned by the caller.
 * Errors: NOT_FOUND (404, 410), IO, LIMIT, PERMISSION (redirect from https), CANCELED, MEMORY. */
SPL_WARN_UNUSED int spl_transfer_text(const spl_transfer *transfer, char **ret_text,
                                      size_t *ret_size, spl_error *ret_error);

/* Downloads to the file `path`. A partial download there is resumed if the server confirms that the
 * file is unchanged; `path`.etag stores its version. A broken connection is retried as long as each
 * attempt makes progress, with five attempts at most. On failure, both files are kept. Errors: as
 * above, FORMAT (wrong range), NO_SPACE, PERMISSION. */
SPL_WARN_UNUSED int spl_transfer_file(const spl_transfer *transfer, const char *path,
                                      spl_error *ret_error);

#endif

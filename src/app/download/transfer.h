/* SPDX-License-Identifier: MIT
 *
 * Files over HTTPS and HTTP, with libcurl.
 */
#ifndef SPL_APP_DOWNLOAD_TRANSFER_H
#define SPL_APP_DOWNLOAD_TRANSFER_H

#include "base/error.h"

typedef struct spl_transfer {
    const char *url;   /* https or http; https is not left for http */
    const char *shown; /* the URL for messages, without what is secret in it */
    uint64_t cap_bytes;
    unsigned stall_s;
    void *user;
    int (*progress)(void *user, uint64_t done_bytes,
                    uint64_t total_bytes); /* non-zero cancels; 0 of 0: not known */
} spl_transfer;

/* Downloads to memory; *ret_text is owned by the caller. Errors: NOT_FOUND (404, 410), IO, LIMIT,
 * CANCELED, MEMORY. */
SPL_WARN_UNUSED int spl_transfer_text(const spl_transfer *transfer, char **ret_text,
                                      size_t *ret_size, spl_error *ret_error);

/* Downloads to the file `path`. What is there already is kept, and only the rest is asked for, if
 * the server says that it is still the same file: `path`.etag remembers which one it was. A
 * connection that breaks off is taken up again as long as each gets further, five times at most. On
 * failure the files stay. Errors: as above, NO_SPACE, PERMISSION. */
SPL_WARN_UNUSED int spl_transfer_file(const spl_transfer *transfer, const char *path,
                                      spl_error *ret_error);

#endif

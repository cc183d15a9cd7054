/* SPDX-License-Identifier: MIT
 *
 * SHA-256 of data, whole or in pieces, and of files; hex digits.
 */
#ifndef SPL_BASE_DIGEST_H
#define SPL_BASE_DIGEST_H

#include "base/error.h"

/* Writes 2 * `size` lower-case hex digits and a NUL. */
void spl_hex(const void *bytes, size_t size, char *ret_hex);

/* Sets *ret_hex to the SHA-256 of `size` bytes as 64 hex digits and a NUL. Errors: MEMORY. */
SPL_WARN_UNUSED int spl_sha256_hex(const void *data, size_t size, char ret_hex[65],
                                   spl_error *ret_error);

/* The SHA-256 of data that is added in pieces. Errors of these functions: MEMORY. */
typedef struct spl_digest spl_digest;

/* The caller owns *ret_digest (spl_digest_free). */
SPL_WARN_UNUSED int spl_digest_new(spl_digest **ret_digest, spl_error *ret_error);
SPL_WARN_UNUSED int spl_digest_add(spl_digest *digest, const void *data, size_t size,
                                   spl_error *ret_error);
/* Adds the text with its NUL, so that adjacent texts cannot be confused; NULL counts as "". */
SPL_WARN_UNUSED int spl_digest_add_text(spl_digest *digest, const char *text, spl_error *ret_error);
/* Writes 64 hex digits and a NUL; nothing can be added afterwards. */
SPL_WARN_UNUSED int spl_digest_finish(spl_digest *digest, char ret_hex[65], spl_error *ret_error);
void spl_digest_free(spl_digest *digest); /* NULL is allowed */

static inline void spl_digest_free_p(spl_digest **digest) {
    spl_digest_free(*digest);
}

/* A part of a regular file. */
typedef struct spl_digest_source {
    int fd;           /* its position is neither used nor moved */
    const char *name; /* for messages */
    uint64_t start, bytes;
    int (*canceled)(void *user); /* polled for each block of 256 KiB; may be NULL */
    void *user;
} spl_digest_source;

/* Sets *ret_hex to the SHA-256 of the part. Errors: CANCELED, IO (also if the file is shorter),
 * MEMORY. */
SPL_WARN_UNUSED int spl_digest_file(const spl_digest_source *source, char ret_hex[65],
                                    spl_error *ret_error);

#endif

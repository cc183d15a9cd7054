/* SPDX-License-Identifier: MIT
 *
 * checksum.json of a release: {"4stems": "<64 hex digits>", ...}.
 */
#ifndef SPL_APP_DOWNLOAD_CHECKSUMS_H
#define SPL_APP_DOWNLOAD_CHECKSUMS_H

#include "base/error.h"

#define SPL_CHECKSUMS_MAX_BYTES ((size_t)1 << 16)

/* Finds the SHA-256 of `name` in the text; ret_hex is in lower case. `from` is the file's name for
 * messages. Errors: FORMAT, NOT_FOUND. */
SPL_WARN_UNUSED int spl_checksums_find(const void *text, size_t size, const char *name,
                                       const char *from, char ret_hex[65], spl_error *ret_error);

#endif

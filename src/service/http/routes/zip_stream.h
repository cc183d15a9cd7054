/* SPDX-License-Identifier: MIT
 *
 * A zip archive that is made while it is read: files stored as they are (audio does not get
 * smaller), in constant memory, with zip64 where it is needed. libarchive writes it.
 */
#ifndef SPL_SERVICE_HTTP_ROUTES_ZIP_STREAM_H
#define SPL_SERVICE_HTTP_ROUTES_ZIP_STREAM_H

#include "base/error.h"

#include <sys/types.h>

#define SPL_ZIP_SIZE_UNKNOWN UINT64_MAX

typedef struct spl_zip spl_zip;

/* An empty one. Errors: MEMORY. */
SPL_WARN_UNUSED int spl_zip_new(spl_zip **ret_zip, spl_error *ret_error);
/* Takes over `fd`, a regular file, also on failure. `name`: ASCII. Errors: MEMORY, IO. */
SPL_WARN_UNUSED int spl_zip_add_file(spl_zip *zip, const char *name, int fd, spl_error *ret_error);
/* A small file. The text is copied. */
SPL_WARN_UNUSED int spl_zip_add_text(spl_zip *zip, const char *name, const char *text,
                                     spl_error *ret_error);
/* Of the archive with all that was added; SPL_ZIP_SIZE_UNKNOWN from 4 GiB on, because then zip64's
 * records depend on where each file lies, and when memory runs out. */
uint64_t spl_zip_size(const spl_zip *zip);
/* The next bytes, at least 1; 0 at the end; a negative status when a file could not be read or has
 * changed its size. */
ssize_t spl_zip_read(spl_zip *zip, void *buffer, size_t capacity);
void spl_zip_free(spl_zip *zip);

#endif

/* SPDX-License-Identifier: MIT
 *
 * A zip archive that is generated while it is read, in constant memory and with one descriptor.
 * Files are stored uncompressed, since audio does not get smaller, with zip64 where needed.
 * libarchive writes it.
 */
#ifndef SPL_SERVICE_HTTP_ROUTES_ZIP_STREAM_H
#define SPL_SERVICE_HTTP_ROUTES_ZIP_STREAM_H

#include "base/error.h"

#include <stdint.h>
#include <sys/types.h>

#define SPL_ZIP_SIZE_UNKNOWN UINT64_MAX

typedef struct spl_zip spl_zip;

/* Opens the file `name` when its turn comes. The archive closes *ret_fd, a regular file, before it
 * opens the next one. */
typedef int spl_zip_open(void *user, const char *name, int *ret_fd, spl_error *ret_error);

/* Creates an empty archive. Errors: MEMORY. */
SPL_WARN_UNUSED int spl_zip_new(spl_zip_open *open, void *user, spl_zip **ret_zip,
                                spl_error *ret_error);
/* Adds a file that will have `bytes` bytes. `name` is ASCII. Errors: MEMORY. */
SPL_WARN_UNUSED int spl_zip_add_file(spl_zip *zip, const char *name, uint64_t bytes,
                                     spl_error *ret_error);
/* Adds a small file. The text is copied. Errors: MEMORY. */
SPL_WARN_UNUSED int spl_zip_add_text(spl_zip *zip, const char *name, const char *text,
                                     spl_error *ret_error);
/* Returns the size of the archive with all that was added. It is SPL_ZIP_SIZE_UNKNOWN if memory
 * runs out, and from 4 GiB on, because then the records of zip64 depend on the offset of each
 * file. */
uint64_t spl_zip_size(const spl_zip *zip);
/* Reads the next bytes. Returns at least 1, 0 at the end, or a negative status: of `open`, IO if a
 * file could not be read or does not have its bytes, MEMORY. After a failure, do not read on: the
 * archive is not complete. */
ssize_t spl_zip_read(spl_zip *zip, void *buffer, size_t capacity, spl_error *ret_error);
void spl_zip_free(spl_zip *zip);

#endif

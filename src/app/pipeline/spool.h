/* SPDX-License-Identifier: MIT
 *
 * Spools: unnamed files for temporary data that does not fit in memory.
 */
#ifndef SPL_APP_PIPELINE_SPOOL_H
#define SPL_APP_PIPELINE_SPOOL_H

#include "base/error.h"

/* Opens an empty, unnamed file in `folder` for reading and writing. The kernel deletes it when the
 * descriptor is closed, even if the program crashes. *ret_fd is owned by the caller. Errors: IO,
 * NO_SPACE, PERMISSION, NOT_FOUND (no such folder), MEMORY. */
SPL_WARN_UNUSED int spl_spool_open(const char *folder, int *ret_fd, spl_error *ret_error);

/* Reads `count` sample values from the spool `fd`, starting with number `first`. `name` is for the
 * message. Errors: IO. */
SPL_WARN_UNUSED int spl_spool_read(int fd, float *ret_values, size_t count, uint64_t first,
                                   const char *name, spl_error *ret_error);

#endif

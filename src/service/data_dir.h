/* SPDX-License-Identifier: MIT
 *
 * Files of the data folder that the start uses and `config check` examines.
 */
#ifndef SPL_SERVICE_DATA_DIR_H
#define SPL_SERVICE_DATA_DIR_H

#include "base/error.h"

/* Opens DATA_DIR/lock, which a running service has locked (flock); `make` creates it. Errors:
 * NOT_FOUND (without `make`), FORMAT (not a regular file), IO, PERMISSION, MEMORY. */
SPL_WARN_UNUSED int spl_data_dir_open_lock(const char *data_dir, bool make, int *ret_fd,
                                           spl_error *ret_error);

/* Fails if DATA_DIR/jobs.db is not a regular file, or if it is missing or empty but there are files
 * of jobs: a new database would not list these jobs. Errors: FORMAT, NOT_FOUND, MEMORY. */
SPL_WARN_UNUSED int spl_data_dir_check_database(const char *data_dir, spl_error *ret_error);

#endif

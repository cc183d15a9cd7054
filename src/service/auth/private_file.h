/* SPDX-License-Identifier: MIT
 *
 * Files of the data folder that only the service's user may read: keys and secrets.
 */
#ifndef SPL_SERVICE_AUTH_PRIVATE_FILE_H
#define SPL_SERVICE_AUTH_PRIVATE_FILE_H

#include "base/error.h"

/* Creates the folder (0700) if it is missing, and waits until no other process changes files in it.
 * Closing *ret_fd releases the lock. Errors: PERMISSION (others may change what the folder holds),
 * IO, MEMORY. */
SPL_WARN_UNUSED int spl_private_lock(const char *folder, int *ret_fd, spl_error *ret_error);

/* Replaces the file FOLDER/NAME atomically, with mode 0600. */
SPL_WARN_UNUSED int spl_private_write(const char *folder, const char *name, const void *data,
                                      size_t size, spl_error *ret_error);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Spools: files without a name, for data that is too much for memory and needed for a while only.
 */
#ifndef SPL_APP_PIPELINE_SPOOL_H
#define SPL_APP_PIPELINE_SPOOL_H

#include "base/error.h"

/* Opens an empty file for reading and writing in `folder`, that no path leads to and that is gone
 * when the descriptor is closed, however the program ends. *ret_fd is owned by the caller. */
SPL_WARN_UNUSED int spl_spool_open(const char *folder, int *ret_fd, spl_error *ret_error);

#endif

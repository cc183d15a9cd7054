/* SPDX-License-Identifier: MIT
 *
 * Visits the files of a folder and of the folders below it.
 */
#ifndef SPL_APP_AUDIO_WALK_H
#define SPL_APP_AUDIO_WALK_H

#include "base/error.h"

#include <fts.h>

#define SPL_WALK_SKIP 1

/* Visits an entry, whose path begins with the `root_length` bytes of the root. Returns 0,
 * SPL_WALK_SKIP to leave out what is below the entry, or a negative status, which ends the walk. */
typedef int (*spl_walk_visit)(void *user, const FTSENT *entry, size_t root_length,
                              spl_error *ret_error);

/* Visits `folder` and everything below it in the order of names. Follows symbolic links, except to
 * a folder that is being visited. The root is `folder` without trailing slashes. A folder that
 * cannot be read is visited as FTS_DNR. Errors: those of `visit`, IO, MEMORY. */
SPL_WARN_UNUSED int spl_walk(const char *folder, spl_walk_visit visit, void *user,
                             spl_error *ret_error);

#endif

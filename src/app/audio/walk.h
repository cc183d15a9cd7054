/* SPDX-License-Identifier: MIT
 *
 * Walks through a folder of songs.
 */
#ifndef SPL_APP_AUDIO_WALK_H
#define SPL_APP_AUDIO_WALK_H

#include "base/error.h"

#include <fts.h>

#define SPL_WALK_SKIP 1

/* Visits an entry. `root_length` is the length of the root at the beginning of entry->fts_path.
 * Returns 0, SPL_WALK_SKIP to leave out what is below the entry, or a negative status. */
typedef int (*spl_walk_visit)(void *user, const FTSENT *entry, size_t root_length,
                              spl_error *ret_error);

/* Visits `folder` and everything below it in the order of names. Follows symbolic links, but none
 * that leads back. The root is `folder` without trailing slashes. Errors: those of `visit`, IO,
 * MEMORY. */
SPL_WARN_UNUSED int spl_walk(const char *folder, spl_walk_visit visit, void *user,
                             spl_error *ret_error);

#endif

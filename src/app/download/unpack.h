/* SPDX-License-Identifier: MIT
 *
 * Unpacks the archive of a release: a TensorFlow checkpoint in a tar.gz.
 */
#ifndef SPL_APP_DOWNLOAD_UNPACK_H
#define SPL_APP_DOWNLOAD_UNPACK_H

#include "base/error.h"

/* Unpacks the files of a checkpoint (checkpoint, *.index, *.data-*) from the tar.gz in `fd`, read
 * from its file position, into the existing folder `folder`. Other members, and all members in
 * folders, are skipped. Links and duplicates of these names, sparse files, and excessive sizes are
 * errors. `name` is for messages. Files unpacked before a failure are kept. Errors: FORMAT, LIMIT,
 * IO, NO_SPACE, PERMISSION, MEMORY. */
SPL_WARN_UNUSED int spl_archive_unpack(int fd, const char *name, const char *folder,
                                       spl_error *ret_error);

#endif

/* SPDX-License-Identifier: MIT
 *
 * The archive of a release: a TensorFlow checkpoint in a tar.gz.
 */
#ifndef SPL_APP_DOWNLOAD_UNPACK_H
#define SPL_APP_DOWNLOAD_UNPACK_H

#include "base/error.h"

/* Unpacks the files of a checkpoint (checkpoint, *.index, *.data-*) from the tar.gz in `fd`, read
 * from its file position, into the existing folder `folder`. Nothing else is unpacked, and no file
 * is written but under these plain names: members in folders are left out; links of these names,
 * names that come twice, and sizes beyond what a model can have are refused. `name` is for
 * messages. What was unpacked before a failure stays. Errors: FORMAT, LIMIT, IO, NO_SPACE,
 * PERMISSION, MEMORY. */
SPL_WARN_UNUSED int spl_archive_unpack(int fd, const char *name, const char *folder,
                                       spl_error *ret_error);

#endif

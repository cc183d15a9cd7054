/* SPDX-License-Identifier: MIT
 *
 * Uses O_TMPFILE, or on file systems without it a file that is unlinked immediately.
 */
#include "app/pipeline/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

int spl_spool_open(const char *folder, int *ret_fd, spl_error *ret_error) {
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {
        SPL_CLEANUP(spl_free_p) char *path = NULL;
        if (asprintf(&path, "%s/.spleeterd.XXXXXX", folder) < 0)
            return spl_fail_memory(ret_error);
        fd = mkostemp(path, O_CLOEXEC);
        if (fd >= 0)
            unlink(path);
    }
    if (fd < 0)
        return spl_fail_errno(ret_error, errno, "cannot make a temporary file in %s", folder);
    *ret_fd = fd;
    return 0;
}

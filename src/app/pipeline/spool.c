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

int spl_spool_read(int fd, float *ret_values, size_t count, uint64_t first, const char *name,
                   spl_error *ret_error) {
    char *bytes = (char *)ret_values;
    size_t size = count * sizeof(float);
    off_t position = (off_t)(first * sizeof(float));
    while (size > 0) {
        ssize_t got = pread(fd, bytes, size, position);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return spl_fail_errno(ret_error, got < 0 ? errno : EIO, "cannot read %s", name);
        bytes += got;
        size -= (size_t)got;
        position += got;
    }
    return 0;
}

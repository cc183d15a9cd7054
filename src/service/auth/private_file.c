/* SPDX-License-Identifier: MIT
 *
 * Private files are written to a temporary file with mode 0600, then renamed. A lock on the folder
 * itself serializes the writers.
 */
#include "service/auth/private_file.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

int spl_private_lock(const char *folder, int *ret_fd, spl_error *ret_error) {
    if (mkdir(folder, 0700) < 0 && errno != EEXIST)
        return spl_fail_errno(ret_error, errno, "cannot make the folder %s", folder);
    const int status = spl_folder_check(folder, ret_error);
    if (status < 0)
        return status;
    SPL_CLEANUP(spl_close_p) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return spl_fail_errno(ret_error, errno, "cannot open %s", folder);
    int locked;
    do {
        locked = flock(fd, LOCK_EX);
    } while (locked < 0 && errno == EINTR);
    if (locked < 0)
        return spl_fail_errno(ret_error, errno, "cannot lock %s", folder);
    *ret_fd = spl_steal_fd(&fd);
    return 0;
}

int spl_private_write(const char *folder, const char *name, const void *data, size_t size,
                      spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char *path = NULL;
    if (asprintf(&path, "%s/%s", folder, name) < 0)
        return spl_fail_memory(ret_error);
    SPL_CLEANUP(spl_output_file_discard) spl_output_file file = SPL_OUTPUT_FILE_INIT;
    int status = spl_output_file_open(path, &file, ret_error);
    if (status == 0 && fchmod(file.fd, 0600) < 0)
        status = spl_fail_errno(ret_error, errno, "cannot make %s private", path);
    if (status == 0)
        status = spl_write_all(file.fd, data, size, path, ret_error);
    return status < 0 ? status : spl_output_file_commit(&file, ret_error);
}

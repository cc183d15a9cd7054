/* SPDX-License-Identifier: MIT
 *
 * Examines files of the data folder.
 */
#include "service/data_dir.h"

#include "service/core/ids.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

int spl_data_dir_open_lock(const char *data_dir, bool make, int *ret_fd, spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char *path = NULL;
    if (asprintf(&path, "%s/lock", data_dir) < 0)
        return spl_fail_memory(ret_error);
    struct stat status;
    SPL_CLEANUP(spl_close_p)
    int fd = open(path, O_RDWR | (make ? O_CREAT : 0) | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd < 0)
        return spl_fail_errno(ret_error, errno, "cannot open %s", path);
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
        return spl_fail(ret_error, SPL_E_FORMAT, "%s is not a regular file", path);
    *ret_fd = spl_steal_fd(&fd);
    return 0;
}

static bool has_jobs(const char *blobs) {
    DIR *listing = opendir(blobs);
    const struct dirent *entry = NULL;
    while (listing && (entry = readdir(listing)) && !spl_uuid_valid(entry->d_name))
        continue;
    if (listing)
        closedir(listing);
    return entry != NULL;
}

int spl_data_dir_check_database(const char *data_dir, spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char *database = NULL, *blobs = NULL;
    if (asprintf(&database, "%s/jobs.db", data_dir) < 0 ||
        asprintf(&blobs, "%s/blobs", data_dir) < 0)
        return spl_fail_memory(ret_error);
    struct stat file = {0};
    const bool missing = lstat(database, &file) < 0 && errno == ENOENT;
    if (!missing && file.st_mode && !S_ISREG(file.st_mode))
        return spl_fail(ret_error, SPL_E_FORMAT,
                        "the job database %s is not a regular file; move it away, or put the "
                        "database back from the backup (docs/guides/backup.md)",
                        database);
    if (!(missing || (S_ISREG(file.st_mode) && file.st_size == 0)) || !has_jobs(blobs))
        return 0;
    return spl_fail(ret_error, SPL_E_NOT_FOUND,
                    "the job database %s is %s, but %s has the files of jobs; put the database "
                    "back from the backup (docs/guides/backup.md), or move the folder blobs away "
                    "to start without these jobs",
                    database, missing ? "missing" : "empty", blobs);
}

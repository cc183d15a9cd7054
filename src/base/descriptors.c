/* SPDX-License-Identifier: MIT
 *
 * Counts the open descriptors in /proc/self/fd. Since Linux 6.2 the size of that folder is their
 * number; before, its entries have to be counted.
 */
#include "base/descriptors.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER "/proc/self/fd"

static rlim_t count_entries(void) {
    DIR *folder = opendir(FOLDER);
    if (!folder)
        return RLIM_INFINITY;
    rlim_t count = 0;
    for (const struct dirent *entry; (entry = readdir(folder));)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count - 1; /* without the folder's own */
}

size_t spl_descriptors_left(void) {
    struct stat folder;
    struct rlimit limit;
    const int one = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (one < 0 || close(one) < 0 || getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 0;
    const bool sized = stat(FOLDER, &folder) == 0 && folder.st_size > 0;
    const rlim_t open_now = sized ? (rlim_t)folder.st_size : count_entries();
    return limit.rlim_cur > open_now ? (size_t)(limit.rlim_cur - open_now) : 0;
}

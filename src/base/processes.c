/* SPDX-License-Identifier: MIT
 *
 * A process may exceed neither the limit of its control group nor that of a group around it. In a
 * container, /proc/self/cgroup can name a folder outside the mounted hierarchy, whose root is then
 * the group of the container.
 */
#include "base/processes.h"

#include "base/error.h"

#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static uint64_t read_limit(const char *folder) {
    char path[PATH_MAX];
    uint64_t limit = UINT64_MAX;
    if (snprintf(path, sizeof(path), "%s/pids.max", folder) >= (int)sizeof(path))
        return limit;
    FILE *file = fopen(path, "re");
    if (!file)
        return limit;
    if (fscanf(file, "%" SCNu64, &limit) != 1) /* "max" */
        limit = UINT64_MAX;
    fclose(file);
    return limit;
}

/* The least limit of `group` and the groups around it. */
static uint64_t read_groups(const char *root, const char *group) {
    char folder[PATH_MAX];
    uint64_t least = UINT64_MAX;
    if (snprintf(folder, sizeof(folder), "%s%s", root, group) >= (int)sizeof(folder))
        return least;
    for (;;) {
        const uint64_t limit = read_limit(folder);
        least = SPL_MIN(least, limit);
        if (strlen(folder) <= strlen(root))
            return least;
        *strrchr(folder, '/') = '\0';
    }
}

/* Whether the list, such as "cpu,pids", contains the controller pids. */
static bool has_pids(const char *controllers) {
    const char *at = strstr(controllers, "pids");
    return at && (at == controllers || at[-1] == ',') && (at[4] == '\0' || at[4] == ',');
}

uint64_t spl_processes_cgroup_max(const char *list, const char *mount) {
    uint64_t least = UINT64_MAX;
    FILE *file = fopen(list, "re");
    if (!file)
        return least;
    char line[PATH_MAX]; /* "0::/group", or in version 1 "8:pids:/group" */
    while (fgets(line, sizeof(line), file)) {
        char *rest = line, root[PATH_MAX];
        strsep(&rest, ":");
        const char *controllers = strsep(&rest, ":");
        if (!rest || *rest != '/' || (*controllers && !has_pids(controllers)) ||
            snprintf(root, sizeof(root), "%s%s%s", mount, *controllers ? "/" : "", controllers) >=
                (int)sizeof(root))
            continue;
        rest[strcspn(rest, "\n")] = '\0';
        const uint64_t limit = read_groups(root, rest);
        least = SPL_MIN(least, limit);
    }
    fclose(file);
    return least;
}

uint64_t spl_processes_max(void) {
    struct rlimit limit;
    const uint64_t groups = spl_processes_cgroup_max("/proc/self/cgroup", "/sys/fs/cgroup");
    /* The limit of the user does not apply to root. */
    if (getuid() == 0 || getrlimit(RLIMIT_NPROC, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
        return groups;
    return SPL_MIN(groups, (uint64_t)limit.rlim_cur);
}

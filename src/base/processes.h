/* SPDX-License-Identifier: MIT
 *
 * Processes and threads as a resource of the user and the container.
 */
#ifndef SPL_BASE_PROCESSES_H
#define SPL_BASE_PROCESSES_H

#include <stdint.h>

/* Returns how many processes and threads this user (RLIMIT_NPROC) and the control groups of this
 * process (pids.max) may have, including those that exist; UINT64_MAX: no limit. */
uint64_t spl_processes_max(void);
/* The part of the control groups: `list` is the path of a file like /proc/self/cgroup, and `mount`
 * the folder of the hierarchies, /sys/fs/cgroup. */
uint64_t spl_processes_cgroup_max(const char *list, const char *mount);

#endif

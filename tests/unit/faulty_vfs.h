/* SPDX-License-Identifier: MIT
 *
 * A disk for SQLite that fails, is slow, or loses what was not flushed: a VFS around the usual one
 * (https://www.sqlite.org/vfs.html).
 */
#ifndef SPL_TESTS_UNIT_FAULTY_VFS_H
#define SPL_TESTS_UNIT_FAULTY_VFS_H

#include <stdbool.h>

/* Makes it the default of databases opened from now on. */
void faulty_vfs_install(void);

/* The `number`-th write, flush, truncation, deletion or opening from now (0: the next) fails with
 * the SQLite code `code`; with `stays` all after it too. */
void faulty_vfs_fail(int number, int code, bool stays);
/* Ends that. Returns whether one has failed. */
bool faulty_vfs_heal(void);

/* How long each flush takes in addition. */
void faulty_vfs_delay_flushes(unsigned ms);

/* From now on FILE.durable is what a power loss would leave of FILE: what it was when it was last
 * flushed. */
void faulty_vfs_keep_durable(void);
/* The power loss: puts the durable files of the database at `path` in the place of the real ones.
 * No connection may be open. */
void faulty_vfs_lose_power(const char *path);

#endif

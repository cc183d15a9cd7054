/* SPDX-License-Identifier: MIT
 *
 * A disk for SQLite that fails, is slow, or loses unflushed data: a VFS that wraps the default one
 * (https://www.sqlite.org/vfs.html).
 */
#ifndef SPL_TESTS_UNIT_FAULTY_VFS_H
#define SPL_TESTS_UNIT_FAULTY_VFS_H

#include <stdbool.h>

/* Becomes the default VFS of databases opened from now on. */
void faulty_vfs_install(void);

/* The `number`-th write, flush, truncation, deletion or opening from now (0: the next) fails with
 * the SQLite code `code`; if `stays`, all later ones fail, too. */
void faulty_vfs_fail(int number, int code, bool stays);
/* Stops the failures. Returns whether any operation has failed. */
bool faulty_vfs_heal(void);

/* Adds `ms` to the duration of each flush. */
void faulty_vfs_delay_flushes(unsigned ms);

/* From now on, FILE.durable holds what a power loss would leave of FILE: its content at the last
 * flush. */
void faulty_vfs_keep_durable(void);
/* Simulates a power loss: replaces the files of the database at `path` by their durable copies. No
 * connection may be open. */
void faulty_vfs_lose_power(const char *path);

#endif

/* SPDX-License-Identifier: MIT
 *
 * A temporary folder for a test.
 */
#ifndef SPL_TESTS_UNIT_FOLDER_H
#define SPL_TESTS_UNIT_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

/* Makes a folder in memory (/dev/shm), or else below $TMPDIR or /tmp: most tests flush often and
 * gain nothing from a real disk. */
void folder_make(char *ret_path, size_t size);
/* Removes the folder with its contents. */
void folder_remove(const char *path);
/* Returns the number of files in the folder whose names end in `suffix` ("": all). Files in
 * subfolders do not count. */
unsigned folder_count(const char *path, const char *suffix);

#endif

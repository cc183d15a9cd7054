/* SPDX-License-Identifier: MIT
 *
 * A temporary folder for a test.
 */
#ifndef SPL_TESTS_UNIT_FOLDER_H
#define SPL_TESTS_UNIT_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

/* Makes one in memory (/dev/shm), or else below $TMPDIR or /tmp: most tests flush a lot and gain
 * nothing from a real disk. */
void folder_make(char *ret_path, size_t size);
/* Removes it with all that is in it. */
void folder_remove(const char *path);
/* How many files are in it, folders within it not counted, whose names end in `suffix` ("": all).
 */
unsigned folder_count(const char *path, const char *suffix);

#endif

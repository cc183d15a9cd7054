/* SPDX-License-Identifier: MIT
 *
 * File descriptors as a resource of the process.
 */
#ifndef SPL_BASE_DESCRIPTORS_H
#define SPL_BASE_DESCRIPTORS_H

#include <stddef.h>

/* Returns how many descriptors this process can still open below its limit (RLIMIT_NOFILE); 0 also
 * when the whole machine has none left. Other threads may open some at any time. Thread-safe. */
size_t spl_descriptors_left(void);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Names of files that clients give, and that other programs and people see.
 */
#ifndef SPL_SERVICE_CORE_FILE_NAME_H
#define SPL_SERVICE_CORE_FILE_NAME_H

/* A copy of `name` (UTF-8) with one '_' for each control character, separator of paths and change
 * of direction. The caller frees it; NULL when memory runs out. */
char *spl_file_name_clean(const char *name);

#endif

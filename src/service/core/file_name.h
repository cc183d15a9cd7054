/* SPDX-License-Identifier: MIT
 *
 * File names that clients supply and that other programs and people see.
 */
#ifndef SPL_SERVICE_CORE_FILE_NAME_H
#define SPL_SERVICE_CORE_FILE_NAME_H

/* Returns a copy of `name` (UTF-8) in which '_' replaces each control character, path separator and
 * bidirectional formatting character. The caller frees it; NULL when memory runs out. */
char *spl_file_name_clean(const char *name);

#endif

/* SPDX-License-Identifier: MIT
 *
 * names.json, beside the model folders: what plain names mean where someone chose it.
 *
 *     {"4stems": "spleeter-4stems"}
 */
#ifndef SPL_LIB_MODEL_NAMES_H
#define SPL_LIB_MODEL_NAMES_H

#include "base/error.h"

#define SPL_NAMES_FOLDER_BYTES 256

/* Finds the model folder that the plain name `name` means, by the first names.json in the folders
 * of `search_path` (with ':' between them) that has it; "" when none has. Errors: FORMAT, IO,
 * PERMISSION, MEMORY. */
SPL_WARN_UNUSED int spl_names_find(const char *search_path, const char *name,
                                   char ret_folder[SPL_NAMES_FOLDER_BYTES], spl_error *ret_error);

/* Sets what `name` means in the names.json of the folder `parent`, which is made if needed; NULL:
 * nothing. The file is replaced whole or not at all. */
SPL_WARN_UNUSED int spl_names_set(const char *parent, const char *name, const char *folder,
                                  spl_error *ret_error);

#endif

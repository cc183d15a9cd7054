/* SPDX-License-Identifier: MIT
 *
 * names.json, beside the model folders: the folder of each plain name that was reassigned
 * (spl_model_use).
 *
 *     {"4stems": "spleeter-4stems"}
 */
#ifndef SPL_LIB_MODEL_NAMES_H
#define SPL_LIB_MODEL_NAMES_H

#include "base/error.h"

#define SPL_NAMES_FOLDER_BYTES 256

/* Looks up the plain name `name` in the names.json files of the folders in `search_path` (separated
 * by ':') and sets *ret_folder to the model folder of the first entry, "" when there is none.
 * Errors: FORMAT, IO, PERMISSION, MEMORY. */
SPL_WARN_UNUSED int spl_names_find(const char *search_path, const char *name,
                                   char ret_folder[SPL_NAMES_FOLDER_BYTES], spl_error *ret_error);

/* Sets the entry of `name` in the names.json of the folder `parent`, which is created if needed. A
 * NULL `folder` removes the entry. The file is replaced atomically. */
SPL_WARN_UNUSED int spl_names_set(const char *parent, const char *name, const char *folder,
                                  spl_error *ret_error);

#endif

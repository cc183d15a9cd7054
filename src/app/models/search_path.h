/* SPDX-License-Identifier: MIT
 *
 * The search path for models.
 */
#ifndef SPL_APP_MODELS_SEARCH_PATH_H
#define SPL_APP_MODELS_SEARCH_PATH_H

#include "base/error.h"

/* Makes the search path for spl_model_resolve and spl_model_list: $SPLEETER_MODEL_PATH, the user's
 * models, then ../models and ../share/spleeterd/models relative to the program's folder. *ret_path
 * is owned by the caller. Errors: MEMORY. */
SPL_WARN_UNUSED int spl_models_search_path(char **ret_path, spl_error *ret_error);

/* The folder of the user's own models: $XDG_DATA_HOME/spleeterd/models, with ~/.local/share as the
 * default. *ret_path is owned by the caller. Errors: MEMORY. */
SPL_WARN_UNUSED int spl_models_user_folder(char **ret_path, spl_error *ret_error);

#endif

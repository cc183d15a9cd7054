/* SPDX-License-Identifier: MIT
 *
 * Where the program looks for models.
 */
#ifndef SPL_APP_MODELS_SEARCH_PATH_H
#define SPL_APP_MODELS_SEARCH_PATH_H

#include "base/error.h"

/* A search path for spl_model_resolve and spl_model_list: $SPLEETER_MODEL_PATH, the user's models,
 * the folders that belong to this program (../models and ../share/spleeterd/models, seen from its
 * own folder). *ret_path is owned by the caller. */
SPL_WARN_UNUSED int spl_models_search_path(char **ret_path, spl_error *ret_error);

/* The folder of the user's own models, $XDG_DATA_HOME/spleeterd/models. *ret_path is owned by the
 * caller. */
SPL_WARN_UNUSED int spl_models_user_folder(char **ret_path, spl_error *ret_error);

#endif

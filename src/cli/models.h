/* SPDX-License-Identifier: MIT
 *
 * Parts of `spleeterd models` that live in separate files.
 */
#ifndef SPL_CLI_MODELS_H
#define SPL_CLI_MODELS_H

#include "cli/exit_code.h"

#include <jansson.h>
#include <spleeter/model.h>

/* Lists all models on the search path, either as a table of names, stems, sizes and names for -p
 * that resolve to each model, or as JSON with all properties. */
cli_exit cli_models_list(const char *search_path, bool json, spl_error *ret_error);

/* Returns an object with the keys name, folder, stems, called (the names for -p that resolve to the
 * model), size_bytes, licence, source and path. The caller owns it; NULL when out of memory. */
json_t *cli_model_to_json(const char *search_path, const spl_model_info *info);

typedef struct cli_pull_request {
    /* From --from; NULL for $SPLEETER_MODEL_URL, or Deezer's release if that is unset. */
    const char *base;
    unsigned stall_s; /* from --timeout; 0 for the default */
} cli_pull_request;

/* Downloads Deezer's models into the user's model folder and prints the folder of each. */
cli_exit cli_models_pull(const cli_pull_request *request, char **names, int name_count,
                         spl_error *ret_error);

#endif

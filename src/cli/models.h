/* SPDX-License-Identifier: MIT
 *
 * The parts of `spleeterd models` that have a file of their own.
 */
#ifndef SPL_CLI_MODELS_H
#define SPL_CLI_MODELS_H

#include "cli/exit_code.h"

#include <jansson.h>
#include <spleeter/model.h>

/* Lists all models of the search path: a table of names, stems, sizes and the names for -p that
 * mean it; or JSON with all of it. */
cli_exit cli_models_list(const char *search_path, bool json, spl_error *ret_error);

/* name, folder, stems, called (the names for -p that mean it), size_bytes, licence, source, path.
 * The caller's; NULL when memory runs out. */
json_t *cli_model_to_json(const char *search_path, const spl_model_info *info);

typedef struct cli_pull_request {
    const char *base; /* of --from; NULL: $SPLEETER_MODEL_URL, or Deezer's release */
    unsigned stall_s; /* of --timeout; 0: the default */
} cli_pull_request;

/* Downloads Deezer's models into the user's models, and prints their folders. */
cli_exit cli_models_pull(const cli_pull_request *request, char **names, int name_count,
                         spl_error *ret_error);

#endif

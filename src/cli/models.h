/* SPDX-License-Identifier: MIT
 *
 * The parts of `spleeterd models` that have a file of their own.
 */
#ifndef SPL_CLI_MODELS_H
#define SPL_CLI_MODELS_H

#include "cli/exit_code.h"

/* Lists all models of the search path: name, stems, size, licence, the names that mean it, origin. */
cli_exit cli_models_list(const char *search_path, spl_error *ret_error);

typedef struct cli_pull_request {
    const char *base; /* of --from; NULL: $SPLEETER_MODEL_URL, or Deezer's release */
    unsigned stall_s; /* of --timeout; 0: the default */
} cli_pull_request;

/* Downloads Deezer's models into the user's models, and prints their folders. */
cli_exit cli_models_pull(const cli_pull_request *request, char **names, int name_count,
                         spl_error *ret_error);

#endif

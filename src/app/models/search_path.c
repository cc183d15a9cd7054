/* SPDX-License-Identifier: MIT
 *
 * Builds the model search path.
 */
#include "app/models/search_path.h"

#include "base/file.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

int spl_models_user_folder(char **ret_path, spl_error *ret_error) {
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    int length = data && *data
                     ? asprintf(ret_path, "%s/spleeterd/models", data)
                     : asprintf(ret_path, "%s/.local/share/spleeterd/models", home ? home : "");
    return length < 0 ? spl_fail_memory(ret_error) : 0;
}

int spl_models_search_path(char **ret_path, spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char *user = NULL;
    int status = spl_models_user_folder(&user, ret_error);
    if (status < 0)
        return status;
    char program[PATH_MAX];
    spl_program_folder(program);
    const char *chosen = getenv("SPLEETER_MODEL_PATH");
    bool has_chosen = chosen && *chosen;
    if (asprintf(ret_path, "%s%s%s:%s/../models:%s/../share/spleeterd/models",
                 has_chosen ? chosen : "", has_chosen ? ":" : "", user, program, program) < 0)
        return spl_fail_memory(ret_error);
    return 0;
}

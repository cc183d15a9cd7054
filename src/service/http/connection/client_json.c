/* SPDX-License-Identifier: MIT
 *
 * Checks the limits before it parses.
 */
#include "service/http/connection/client_json.h"

#include "base/json.h"

int spl_client_json_parse(const char *text, size_t size, const char *field, json_t **ret_value,
                          spl_problem *ret_problem) {
    const char *what = field ? "The field" : "The body";
    if (spl_json_depth(text, size) > SPL_CLIENT_JSON_DEPTH_MAX)
        return spl_refuse_about(ret_problem, SPL_PROBLEM_INVALID, field, NULL,
                                "%s is JSON that is nested more than %d levels deep", what,
                                SPL_CLIENT_JSON_DEPTH_MAX);
    if (spl_json_values(text, size) > SPL_CLIENT_JSON_VALUES_MAX)
        return spl_refuse_about(ret_problem, SPL_PROBLEM_INVALID, field, NULL,
                                "%s is JSON of more than %d values", what,
                                SPL_CLIENT_JSON_VALUES_MAX);
    spl_error error;
    int status = spl_json_load(text, size, JSON_DECODE_ANY, ret_value, &error);
    if (status == SPL_E_MEMORY)
        return spl_refuse_error(ret_problem, &error);
    if (status < 0)
        return spl_refuse_about(ret_problem, field ? SPL_PROBLEM_INVALID : SPL_PROBLEM_BAD_REQUEST,
                                field, NULL, "%s %s", what, error.message);
    return 0;
}

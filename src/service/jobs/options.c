/* SPDX-License-Identifier: MIT
 *
 * Restricts the options of clients and names the files of jobs.
 */
#include "service/jobs/options.h"

#include <stdio.h>
#include <string.h>

#define MODEL_NAME_MAX_BYTES 128

static bool is_mix_name(const char *name) {
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    const size_t length = strlen(name);
    return length >= 1 && length <= SPL_MIX_NAME_MAX_BYTES && name[0] != '.' &&
           strspn(name, allowed) == length;
}

/* Restrictions beyond those of the command: names go into URLs, rows and messages. */
static int check_names(const spl_separation *separation, spl_problem *ret_problem) {
    if (strlen(separation->model) > MODEL_NAME_MAX_BYTES)
        return spl_refuse_about(ret_problem, SPL_PROBLEM_INVALID, "model", NULL,
                                "give the name of a model, such as 2stems; GET /v1/models lists "
                                "them");
    for (size_t i = 0; i < separation->mix_count; i++) {
        if (!is_mix_name(separation->mixes[i].name))
            return spl_refuse_about(ret_problem, SPL_PROBLEM_INVALID, "mixes", NULL,
                                    "the name of a mix is made of 1 to 48 letters, digits, '.', "
                                    "'_' and '-', such as karaoke=drums+bass+other");
    }
    return 0;
}

int spl_job_options_parse(const json_t *object, const char *default_model,
                          spl_separation *ret_separation, spl_problem *ret_problem) {
    SPL_CLEANUP(spl_separation_free) spl_separation separation;
    spl_separation_init(&separation);
    const char *field = "model";
    spl_error error;
    int status = object ? spl_separation_read_json(&separation, object, &field, &error) : 0;
    if (status == 0 && !separation.model)
        status = spl_separation_set(&separation, "model", "model", default_model, &error);
    if (status == SPL_E_ARGUMENT)
        return spl_refuse_about(ret_problem, SPL_PROBLEM_INVALID, field, NULL, "%s", error.message);
    if (status < 0)
        return spl_refuse_error(ret_problem, &error);
    status = check_names(&separation, ret_problem);
    if (status < 0)
        return status;
    *ret_separation = separation;
    separation = (spl_separation){0};
    return 0;
}

static int check_file_names(const spl_parts *parts, spl_codec codec, spl_error *ret_error) {
    char files[SPL_OUTPUTS_MAX][80];
    for (size_t i = 0; i < parts->count; i++) {
        spl_job_file_name(parts->outputs[i].name, codec, files[i]);
        for (size_t j = 0; j < i; j++) {
            if (strcmp(files[i], files[j]) == 0)
                return spl_fail(ret_error, SPL_E_ARGUMENT,
                                "%s and %s would be files of one name; give the mix another one",
                                parts->outputs[j].name, parts->outputs[i].name);
        }
    }
    return 0;
}

int spl_job_options_select(const spl_separation *separation, const spl_model_info *model,
                           spl_parts *ret_parts, spl_error *ret_error) {
    int status = spl_separation_select(separation, model, ret_parts, ret_error);
    return status < 0 ? status : check_file_names(ret_parts, separation->codec, ret_error);
}

void spl_job_file_name(const char *name, spl_codec codec, char ret_file[80]) {
    snprintf(ret_file, 80, "%.70s.%s", name, spl_codec_name(codec));
    for (char *c = ret_file; *c; c++) {
        bool kept = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                    (*c >= '0' && *c <= '9') || *c == '.' || *c == '_' || *c == '-';
        if (!kept || (c == ret_file && *c == '.'))
            *c = '_';
    }
}

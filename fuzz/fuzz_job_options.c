/* SPDX-License-Identifier: MIT
 *
 * Fuzzes job options with arbitrary JSON. Accepted options have a canonical text that is accepted
 * again and yields the same text, and file names that are valid in blobs and URLs.
 */
#include "service/jobs/options.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const spl_model_info model = {
    .name = "fuzz", .stem_count = 2, .stems = {{.name = "vocals"}, {.name = "accompaniment"}}};

static char *text_of(const json_t *object) {
    spl_separation options;
    spl_problem problem;
    if (spl_job_options_parse(object, "2stems", &options, &problem) < 0) {
        if (problem.code != SPL_PROBLEM_INVALID || !problem.field[0] || !problem.detail[0])
            __builtin_trap();
        return NULL;
    }
    char *text;
    if (spl_separation_text(&options, &text, NULL) < 0)
        __builtin_trap();
    spl_parts parts;
    if (spl_job_options_select(&options, &model, &parts, NULL) == 0) {
        for (size_t i = 0; i < parts.count; i++) {
            char file[80];
            spl_job_file_name(parts.outputs[i].name, options.codec, file);
            if (strchr(file, '/') || file[0] == '.' || parts.outputs[i].stems == 0)
                __builtin_trap();
        }
    }
    spl_separation_free(&options);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    json_auto_t *object =
        json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    SPL_CLEANUP(spl_free_p) char *text = object ? text_of(object) : NULL;
    if (!text)
        return 0;
    json_auto_t *canonical = json_loads(text, 0, NULL);
    SPL_CLEANUP(spl_free_p) char *again = canonical ? text_of(canonical) : NULL;
    if (!again || strcmp(again, text) != 0)
        __builtin_trap();
    return 0;
}

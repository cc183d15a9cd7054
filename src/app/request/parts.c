/* SPDX-License-Identifier: MIT
 *
 * Selects stems and mixes by name.
 */
#include "app/request/parts.h"

#include <stdio.h>
#include <string.h>

const char *spl_names_next(const char *list, char separator, spl_name *ret_name) {
    const size_t length = strcspn(list, (char[]){separator, '\0'});
    const char *start = list, *end = list + length;
    while (start < end && *start == ' ')
        start++;
    while (end > start && end[-1] == ' ')
        end--;
    *ret_name = (spl_name){start, (size_t)(end - start)};
    return list[length] ? list + length + 1 : NULL;
}

/* "vocals, drums, bass, other" */
static void list_stems(const spl_model_info *model, char *text, size_t size) {
    size_t used = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < model->stem_count && used < size; i++)
        used +=
            (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "", model->stems[i].name);
}

/* The index of the stem, or `stem_count` when there is none. */
static unsigned find_stem(const spl_model_info *model, const spl_name *name) {
    unsigned stem = 0;
    while (stem < model->stem_count &&
           (strlen(model->stems[stem].name) != name->length ||
            strncmp(model->stems[stem].name, name->text, name->length) != 0))
        stem++;
    return stem;
}

/* The bit mask of the stems in `list`, whose names are separated by `separator`. */
static int parse_stems(const spl_model_info *model, const char *list, char separator,
                       uint64_t *ret_stems, spl_error *ret_error) {
    uint64_t stems = 0;
    while (list) {
        spl_name name;
        list = spl_names_next(list, separator, &name);
        const unsigned stem = find_stem(model, &name);
        if (stem == model->stem_count) {
            char known[512];
            list_stems(model, known, sizeof(known));
            return spl_fail(ret_error, SPL_E_ARGUMENT,
                            "there is no stem \"%.*s\" in the model %s; its stems are %s",
                            (int)name.length, name.text, model->name, known);
        }
        stems |= UINT64_C(1) << stem;
    }
    *ret_stems = stems;
    return 0;
}

static int add_mix(const spl_model_info *model, const char *mix, spl_parts *parts,
                   spl_error *ret_error) {
    spl_name label;
    const char *list = spl_names_next(mix, '=', &label);
    if (!list || label.length == 0)
        return spl_fail(ret_error, SPL_E_ARGUMENT,
                        "the mix %s: write it as NAME=STEM+STEM, such as karaoke=drums+bass+other",
                        mix);
    uint64_t stems;
    int status = parse_stems(model, list, '+', &stems, ret_error);
    if (status < 0)
        return status;
    if (parts->count == SPL_OUTPUTS_MAX)
        return spl_fail(ret_error, SPL_E_ARGUMENT, "more than %d stems and mixes", SPL_OUTPUTS_MAX);
    char *name = strndup(label.text, label.length);
    if (!name)
        return spl_fail_memory(ret_error);
    parts->mix_names[parts->mix_count++] = name;
    parts->outputs[parts->count++] = (spl_output){.name = name, .stems = stems, .fd = -1};
    return 0;
}

int spl_parts_select(const spl_model_info *model, const char *stems, const char *const *mixes,
                     size_t mix_count, spl_parts *ret_parts, spl_error *ret_error) {
    SPL_CLEANUP(spl_parts_free) spl_parts parts = {0};
    uint64_t selected = mix_count > 0 ? 0 : (UINT64_C(1) << model->stem_count) - 1;
    int status = stems ? parse_stems(model, stems, ',', &selected, ret_error) : 0;
    if (status < 0)
        return status;
    for (unsigned i = 0; i < model->stem_count; i++) {
        if (selected >> i & 1)
            parts.outputs[parts.count++] =
                (spl_output){.name = model->stems[i].name, .stems = UINT64_C(1) << i, .fd = -1};
    }
    for (size_t i = 0; i < mix_count; i++) {
        status = add_mix(model, mixes[i], &parts, ret_error);
        if (status < 0)
            return status;
    }
    *ret_parts = parts;
    parts = (spl_parts){0};
    return 0;
}

void spl_parts_free(spl_parts *parts) {
    for (size_t i = 0; i < parts->mix_count; i++)
        free(parts->mix_names[i]);
    *parts = (spl_parts){0};
}

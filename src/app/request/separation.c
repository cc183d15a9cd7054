/* SPDX-License-Identifier: MIT
 *
 * Sets the options of a separation from texts and selects its outputs.
 */
#include "app/request/separation.h"

#include "app/request/values.h"

#include <stdio.h>
#include <string.h>

#define DEFAULT_BITRATE_BPS 128000

/* A part of a text; not terminated. */
typedef struct text_slice {
    const char *start;
    size_t length;
} text_slice;

/* Splits off the text up to `separator` or the end, without the spaces around it. Returns the rest
 * after the separator, or NULL after the last part. */
static const char *split(const char *text, char separator, text_slice *ret_slice) {
    const size_t length = strcspn(text, (char[]){separator, '\0'});
    const char *start = text, *end = text + length;
    while (start < end && *start == ' ')
        start++;
    while (end > start && end[-1] == ' ')
        end--;
    *ret_slice = (text_slice){start, (size_t)(end - start)};
    return text[length] ? text + length + 1 : NULL;
}

/* ---- Names ---- */

static int add_name(spl_names *names, const text_slice *name, spl_error *ret_error) {
    char *copy = strndup(name->start, name->length);
    char **longer = reallocarray(names->items, names->count + 1, sizeof(*longer));
    if (longer)
        names->items = longer;
    if (!copy || !longer) {
        free(copy);
        return spl_fail_memory(ret_error);
    }
    size_t at = 0;
    while (at < names->count && strcmp(longer[at], copy) < 0)
        at++;
    const bool known = at < names->count && strcmp(longer[at], copy) == 0;
    if (known || names->count == SPL_OUTPUTS_MAX) {
        free(copy);
        return known ? 0
                     : spl_fail(ret_error, SPL_E_ARGUMENT, "give 1 to %d names of stems",
                                SPL_OUTPUTS_MAX);
    }
    memmove(&longer[at + 1], &longer[at], (names->count - at) * sizeof(*longer));
    longer[at] = copy;
    names->count++;
    return 0;
}

int spl_names_add(spl_names *names, const char *list, char separator, spl_error *ret_error) {
    int status = 0;
    while (list && status == 0) {
        text_slice name;
        list = split(list, separator, &name);
        status = add_name(names, &name, ret_error);
    }
    return status;
}

void spl_names_free(spl_names *names) {
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i]);
    free(names->items);
    *names = (spl_names){0};
}

/* ---- Mixes ---- */

static int check_mix(const spl_separation *separation, const text_slice *name,
                     const spl_names *stems, spl_error *ret_error) {
    if (name->length == 0)
        return spl_fail(ret_error, SPL_E_ARGUMENT,
                        "a mix has no name; write it as NAME=STEM+STEM, such as "
                        "karaoke=drums+bass+other");
    if (stems->count == 0)
        return spl_fail(ret_error, SPL_E_ARGUMENT, "give 1 to %d names of stems", SPL_OUTPUTS_MAX);
    if (separation->mix_count == SPL_OUTPUTS_MAX)
        return spl_fail(ret_error, SPL_E_ARGUMENT, "give up to %d mixes", SPL_OUTPUTS_MAX);
    for (size_t i = 0; i < separation->mix_count; i++) {
        const char *other = separation->mixes[i].name;
        if (strlen(other) == name->length && memcmp(other, name->start, name->length) == 0)
            return spl_fail(ret_error, SPL_E_ARGUMENT, "two mixes have the same name, %s", other);
    }
    return 0;
}

int spl_separation_add_mix(spl_separation *separation, const char *name, size_t length,
                           spl_names *stems, spl_error *ret_error) {
    SPL_CLEANUP(spl_names_free) spl_names owned = *stems;
    *stems = (spl_names){0};
    int status = check_mix(separation, &(text_slice){name, length}, &owned, ret_error);
    if (status < 0)
        return status;
    spl_mix *longer =
        reallocarray(separation->mixes, separation->mix_count + 1, sizeof(*separation->mixes));
    if (longer)
        separation->mixes = longer;
    char *copy = longer ? strndup(name, length) : NULL;
    if (!copy)
        return spl_fail_memory(ret_error);
    longer[separation->mix_count++] = (spl_mix){copy, owned};
    owned = (spl_names){0};
    return 0;
}

/* Adds a mix from "karaoke=drums+bass+other". */
static int parse_mix(spl_separation *separation, const text_slice *text, spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char *mix = strndup(text->start, text->length);
    if (!mix)
        return spl_fail_memory(ret_error);
    text_slice name;
    const char *list = split(mix, '=', &name);
    if (!list)
        return spl_fail(ret_error, SPL_E_ARGUMENT,
                        "the mix %s: write it as NAME=STEM+STEM, such as karaoke=drums+bass+other",
                        mix);
    SPL_CLEANUP(spl_names_free) spl_names stems = {0};
    int status = spl_names_add(&stems, list, '+', ret_error);
    if (status < 0)
        return status;
    return spl_separation_add_mix(separation, name.start, name.length, &stems, ret_error);
}

/* ---- Options ---- */

static int set_model(spl_separation *separation, const char *label, const char *text,
                     spl_error *ret_error) {
    if (!*text)
        return spl_fail(ret_error, SPL_E_ARGUMENT, "%s: give the name of a model, such as 2stems",
                        label);
    char *model = strdup(text);
    if (!model)
        return spl_fail_memory(ret_error);
    free(separation->model);
    separation->model = model;
    return 0;
}

static int set_stems(spl_separation *separation, const char *label, const char *text,
                     spl_error *ret_error) {
    (void)label;
    spl_names_free(&separation->stems);
    return spl_names_add(&separation->stems, text, ',', ret_error);
}

static int set_mixes(spl_separation *separation, const char *label, const char *text,
                     spl_error *ret_error) {
    (void)label;
    int status = 0;
    while (text && status == 0) {
        text_slice mix;
        text = split(text, ',', &mix);
        status = parse_mix(separation, &mix, ret_error);
    }
    return status;
}

static int set_codec(spl_separation *separation, const char *label, const char *text,
                     spl_error *ret_error) {
    return spl_codec_parse(label, text, &separation->codec, ret_error);
}

static int set_bitrate(spl_separation *separation, const char *label, const char *text,
                       spl_error *ret_error) {
    return spl_bitrate_parse(label, text, &separation->bitrate_bps, ret_error);
}

static int set_bit_depth(spl_separation *separation, const char *label, const char *text,
                         spl_error *ret_error) {
    separation->has_bit_depth = true;
    return spl_bit_depth_parse(label, text, &separation->sample_format, ret_error);
}

static int set_bandwidth(spl_separation *separation, const char *label, const char *text,
                         spl_error *ret_error) {
    separation->has_bandwidth = true;
    return spl_bandwidth_parse(label, text, &separation->bandwidth, ret_error);
}

static int set_mwf(spl_separation *separation, const char *label, const char *text,
                   spl_error *ret_error) {
    return spl_switch_parse(label, text, &separation->wiener, ret_error);
}

static int set_keep_format(spl_separation *separation, const char *label, const char *text,
                           spl_error *ret_error) {
    return spl_switch_parse(label, text, &separation->keep_format, ret_error);
}

static int set_offset(spl_separation *separation, const char *label, const char *text,
                      spl_error *ret_error) {
    return spl_seconds_parse(label, text, &separation->offset_s, ret_error);
}

static int set_duration(spl_separation *separation, const char *label, const char *text,
                        spl_error *ret_error) {
    int status = spl_seconds_parse(label, text, &separation->duration_s, ret_error);
    if (status == 0 && separation->duration_s == 0)
        return spl_fail(ret_error, SPL_E_ARGUMENT, "%s must be more than 0", label);
    return status;
}

static const struct {
    const char *key;
    int (*set)(spl_separation *separation, const char *label, const char *text,
               spl_error *ret_error);
} setters[] = {
    {"model", set_model},
    {"stems", set_stems},
    {"mixes", set_mixes},
    {"codec", set_codec},
    {"bitrate", set_bitrate},
    {"bit_depth", set_bit_depth},
    {"bandwidth", set_bandwidth},
    {"mwf", set_mwf},
    {"offset", set_offset},
    {"duration", set_duration},
    {"keep_format", set_keep_format},
};

static int refuse_key(spl_error *ret_error) {
    char keys[256] = "";
    for (size_t i = 0, used = 0; i < SPL_ARRAY_SIZE(setters) && used < sizeof(keys); i++)
        used += (size_t)snprintf(keys + used, sizeof(keys) - used, "%s%s", i ? ", " : "",
                                 setters[i].key);
    return spl_fail(ret_error, SPL_E_ARGUMENT, "there is no such option; the options are %s", keys);
}

int spl_separation_set(spl_separation *separation, const char *key, const char *label,
                       const char *text, spl_error *ret_error) {
    for (size_t i = 0; i < SPL_ARRAY_SIZE(setters); i++) {
        if (strcmp(key, setters[i].key) == 0)
            return setters[i].set(separation, label, text, ret_error);
    }
    return refuse_key(ret_error);
}

int spl_separation_check(const spl_separation *separation, const char *label,
                         spl_error *ret_error) {
    if (!separation->has_bit_depth)
        return 0;
    return spl_bit_depth_check(label, separation->sample_format, separation->codec, ret_error);
}

void spl_separation_init(spl_separation *separation) {
    *separation = (spl_separation){
        .codec = SPL_CODEC_WAV,
        .sample_format = SPL_SAMPLES_16,
        .bitrate_bps = DEFAULT_BITRATE_BPS,
    };
}

void spl_separation_free(spl_separation *separation) {
    for (size_t i = 0; i < separation->mix_count; i++) {
        free(separation->mixes[i].name);
        spl_names_free(&separation->mixes[i].stems);
    }
    free(separation->mixes);
    spl_names_free(&separation->stems);
    free(separation->model);
    *separation = (spl_separation){0};
}

/* ---- Outputs ---- */

/* "vocals, drums, bass, other" */
static void list_stems(const spl_model_info *model, char *text, size_t size) {
    size_t used = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < model->stem_count && used < size; i++)
        used +=
            (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "", model->stems[i].name);
}

/* The bit mask of the stems `names`. */
static int find_stems(const spl_model_info *model, const spl_names *names, uint64_t *ret_stems,
                      spl_error *ret_error) {
    uint64_t stems = 0;
    for (size_t i = 0; i < names->count; i++) {
        unsigned stem = 0;
        while (stem < model->stem_count && strcmp(model->stems[stem].name, names->items[i]) != 0)
            stem++;
        if (stem == model->stem_count) {
            char known[512];
            list_stems(model, known, sizeof(known));
            return spl_fail(ret_error, SPL_E_ARGUMENT,
                            "there is no stem \"%s\" in the model %s; its stems are %s",
                            names->items[i], model->name, known);
        }
        stems |= UINT64_C(1) << stem;
    }
    *ret_stems = stems;
    return 0;
}

static int add_part(spl_parts *parts, const char *name, uint64_t stems, spl_error *ret_error) {
    if (parts->count == SPL_OUTPUTS_MAX)
        return spl_fail(ret_error, SPL_E_ARGUMENT, "more than %d stems and mixes", SPL_OUTPUTS_MAX);
    parts->outputs[parts->count++] = (spl_output){.name = name, .stems = stems, .fd = -1};
    return 0;
}

int spl_separation_select(const spl_separation *separation, const spl_model_info *model,
                          spl_parts *ret_parts, spl_error *ret_error) {
    spl_parts parts = {0};
    uint64_t selected = 0;
    int status = find_stems(model, &separation->stems, &selected, ret_error);
    if (separation->stems.count == 0 && separation->mix_count == 0)
        selected = UINT64_MAX;
    for (unsigned i = 0; status == 0 && i < model->stem_count; i++) {
        if (selected >> i & 1)
            status = add_part(&parts, model->stems[i].name, UINT64_C(1) << i, ret_error);
    }
    for (size_t i = 0; status == 0 && i < separation->mix_count; i++) {
        const spl_mix *mix = &separation->mixes[i];
        status = find_stems(model, &mix->stems, &selected, ret_error);
        if (status == 0)
            status = add_part(&parts, mix->name, selected, ret_error);
    }
    if (status == 0)
        *ret_parts = parts;
    return status;
}

spl_pipeline_options spl_separation_pipeline(const spl_separation *separation,
                                             spl_bandwidth model_bandwidth) {
    return (spl_pipeline_options){
        .bandwidth = separation->has_bandwidth ? separation->bandwidth : model_bandwidth,
        .wiener = separation->wiener,
        .offset_s = separation->offset_s,
        .duration_s = separation->duration_s,
        .keep_format = separation->keep_format,
        .codec = separation->codec,
        .sample_format = separation->sample_format,
        .bitrate_bps = separation->bitrate_bps,
    };
}

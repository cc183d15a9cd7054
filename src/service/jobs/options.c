/* SPDX-License-Identifier: MIT
 *
 * Options of a job: read by the command's parsers, written in canonical form.
 */
#include "service/jobs/options.h"

#include "app/request/values.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_BITRATE_BPS  128000
#define MODEL_NAME_MAX_BYTES 128

/* One member of the object being read. */
typedef struct option_member {
    const char *key;
    const json_t *value;
    char text[256]; /* a number or string as text */
} option_member;

typedef struct options_reading {
    spl_job_options options;
    bool has_bit_depth;
    spl_problem *problem;
} options_reading;

static int refuse_memory(spl_problem *ret_problem) {
    return spl_refuse_error(ret_problem, &(spl_error){.status = SPL_E_MEMORY});
}

static int refuse_value(options_reading *reading, const option_member *member, const char *text) {
    return spl_refuse_about(reading->problem, SPL_PROBLEM_INVALID, member->key, NULL, "%s", text);
}

/* Refuses a value that one of the command's parsers rejected. */
static int refuse_parsed(options_reading *reading, const option_member *member,
                         const spl_error *error) {
    if (error->status == SPL_E_MEMORY)
        return refuse_memory(reading->problem);
    return refuse_value(reading, member, error->message);
}

/* ------------------------------------------------------ stems and mixes ---- */

static int compare_names(const void *a, const void *b) {
    return strcmp(json_string_value(*(json_t *const *)a), json_string_value(*(json_t *const *)b));
}

/* Appends the names in `text`, separated by `separator` and optional spaces. */
static int append_names(json_t *names, const char *text, char separator) {
    while (text) {
        spl_name name;
        text = spl_names_next(text, separator, &name);
        if (json_array_append_new(names, json_stringn(name.text, name.length)) < 0)
            return SPL_E_MEMORY;
    }
    return 0;
}

/* Sorts `names` and removes duplicates. Takes ownership of `names`. */
static json_t *sort_names(json_t *names) {
    size_t count = json_array_size(names);
    SPL_CLEANUP(spl_free_p) json_t **sorted = calloc(SPL_MAX(count, 1), sizeof(*sorted));
    json_t *result = json_array();
    if (!sorted || !result) {
        json_decref(names);
        json_decref(result);
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        sorted[i] = json_array_get(names, i);
    qsort(sorted, count, sizeof(*sorted), compare_names);
    int failed = 0;
    for (size_t i = 0; i < count && !failed; i++) {
        if (i == 0 || compare_names(&sorted[i - 1], &sorted[i]) != 0)
            failed = json_array_append(result, sorted[i]);
    }
    json_decref(names);
    if (failed) {
        json_decref(result);
        return NULL;
    }
    return result;
}

/* Reads names from an array of strings or from one string. */
static int read_names(options_reading *reading, const option_member *member, const json_t *value,
                      char separator, json_t **ret_names) {
    json_t *names = json_array();
    if (!names)
        return refuse_memory(reading->problem);
    int status = 0;
    if (json_is_string(value))
        status = append_names(names, json_string_value(value), separator);
    for (size_t i = 0; status == 0 && i < json_array_size(value); i++) {
        const char *name = json_string_value(json_array_get(value, i));
        if (!name) {
            json_decref(names);
            return refuse_value(reading, member, "give names of stems as texts");
        }
        status = append_names(names, name, separator);
    }
    if (status == 0 && (json_array_size(names) < 1 || json_array_size(names) > SPL_OUTPUTS_MAX)) {
        json_decref(names);
        return refuse_value(reading, member, "give 1 to 64 names of stems");
    }
    json_t *sorted = status < 0 ? (json_decref(names), NULL) : sort_names(names);
    if (!sorted)
        return refuse_memory(reading->problem);
    *ret_names = sorted;
    return 0;
}

static int take_stems(options_reading *reading, const option_member *member) {
    if (!json_is_string(member->value) && !json_is_array(member->value))
        return refuse_value(reading, member,
                            "give an array of names, or names separated by commas");
    return read_names(reading, member, member->value, ',', &reading->options.stems);
}

static bool is_mix_name(const char *name, size_t length) {
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    return length >= 1 && length <= SPL_MIX_NAME_MAX_BYTES && name[0] != '.' &&
           strspn(name, allowed) >= length;
}

/* Adds the mix `name` of `length` bytes, the sum of `stems`. */
static int take_mix(options_reading *reading, const option_member *member, const char *name,
                    size_t length, const json_t *stems) {
    json_t *mixes = reading->options.mixes;
    if (!is_mix_name(name, length))
        return refuse_value(reading, member,
                            "the name of a mix is made of 1 to 48 letters, digits, '.', '_' and "
                            "'-', such as karaoke=drums+bass+other");
    if (json_object_getn(mixes, name, length))
        return refuse_value(reading, member, "two mixes have the same name");
    if (json_object_size(mixes) == SPL_OUTPUTS_MAX)
        return refuse_value(reading, member, "give up to 64 mixes");
    if (!json_is_string(stems) && !json_is_array(stems))
        return refuse_value(reading, member, "give the stems of a mix as an array of names");
    json_t *names;
    int status = read_names(reading, member, stems, '+', &names);
    if (status == 0 && json_object_setn_new(mixes, name, length, names) < 0)
        status = refuse_memory(reading->problem);
    return status;
}

/* "karaoke=drums+bass+other,voice=vocals" */
static int take_mix_texts(options_reading *reading, const option_member *member, const char *text) {
    for (;;) {
        size_t length = strcspn(text, ",");
        size_t name_length = strcspn(text, "=,");
        if (text[name_length] != '=')
            return refuse_value(reading, member,
                                "write a mix as NAME=STEM+STEM, such as karaoke=drums+bass+other");
        json_t *stems = json_stringn(text + name_length + 1, length - name_length - 1);
        spl_name name;
        spl_names_next(text, '=', &name);
        int status = stems ? take_mix(reading, member, name.text, name.length, stems)
                           : refuse_memory(reading->problem);
        json_decref(stems);
        if (status < 0 || text[length] == '\0')
            return status;
        text += length + 1;
    }
}

static int take_mixes(options_reading *reading, const option_member *member) {
    reading->options.mixes = json_object();
    if (!reading->options.mixes)
        return refuse_memory(reading->problem);
    if (json_is_string(member->value))
        return take_mix_texts(reading, member, json_string_value(member->value));
    if (!json_is_object(member->value) || json_object_size(member->value) == 0)
        return refuse_value(reading, member,
                            "give an object of at least one name and its stems, such as "
                            "{\"karaoke\": [\"drums\", \"bass\", \"other\"]}");
    const char *name;
    json_t *stems;
    json_object_foreach((json_t *)(uintptr_t)member->value, name, stems) {
        int status = take_mix(reading, member, name, strlen(name), stems);
        if (status < 0)
            return status;
    }
    return 0;
}

/* ---------------------------------------------------------- single values ---- */

static int take_model(options_reading *reading, const option_member *member) {
    const char *name = json_string_value(member->value);
    if (!name || !*name || strlen(name) > MODEL_NAME_MAX_BYTES)
        return refuse_value(reading, member,
                            "give the name of a model, such as 2stems; GET /v1/models lists them");
    reading->options.model = strdup(name);
    return reading->options.model ? 0 : refuse_memory(reading->problem);
}

static int take_codec(options_reading *reading, const option_member *member) {
    spl_error error;
    int status = spl_codec_parse(member->key, member->text, &reading->options.codec, &error);
    return status < 0 ? refuse_parsed(reading, member, &error) : 0;
}

static int take_bitrate(options_reading *reading, const option_member *member) {
    spl_error error;
    int status =
        spl_bitrate_parse(member->key, member->text, &reading->options.bitrate_bps, &error);
    return status < 0 ? refuse_parsed(reading, member, &error) : 0;
}

static int take_bit_depth(options_reading *reading, const option_member *member) {
    spl_error error;
    reading->has_bit_depth = true;
    int status =
        spl_bit_depth_parse(member->key, member->text, &reading->options.sample_format, &error);
    return status < 0 ? refuse_parsed(reading, member, &error) : 0;
}

static int take_bandwidth(options_reading *reading, const option_member *member) {
    spl_error error;
    reading->options.has_bandwidth = true;
    int status =
        spl_bandwidth_parse(member->key, member->text, &reading->options.bandwidth, &error);
    return status < 0 ? refuse_parsed(reading, member, &error) : 0;
}

static int take_seconds(options_reading *reading, const option_member *member,
                        double *ret_seconds) {
    spl_error error;
    if (spl_seconds_parse(member->key, member->text, ret_seconds, &error) < 0)
        return refuse_parsed(reading, member, &error);
    return 0;
}

static int take_offset(options_reading *reading, const option_member *member) {
    return take_seconds(reading, member, &reading->options.offset_s);
}

static int take_duration(options_reading *reading, const option_member *member) {
    int status = take_seconds(reading, member, &reading->options.duration_s);
    if (status == 0 && reading->options.duration_s == 0)
        return refuse_value(reading, member, "duration must be more than 0");
    return status;
}

static int take_truth(options_reading *reading, const option_member *member, bool *ret_truth) {
    if (json_is_true(member->value) || strcmp(member->text, "true") == 0)
        *ret_truth = true;
    else if (json_is_false(member->value) || strcmp(member->text, "false") == 0)
        *ret_truth = false;
    else
        return refuse_value(reading, member, "give true or false");
    return 0;
}

static int take_mwf(options_reading *reading, const option_member *member) {
    return take_truth(reading, member, &reading->options.wiener);
}

static int take_keep_format(options_reading *reading, const option_member *member) {
    return take_truth(reading, member, &reading->options.keep_format);
}

static const struct {
    const char *key;
    int (*take)(options_reading *reading, const option_member *member);
} takers[] = {
    {"model", take_model},
    {"stems", take_stems},
    {"mixes", take_mixes},
    {"codec", take_codec},
    {"bitrate", take_bitrate},
    {"bit_depth", take_bit_depth},
    {"bandwidth", take_bandwidth},
    {"mwf", take_mwf},
    {"offset", take_offset},
    {"duration", take_duration},
    {"keep_format", take_keep_format},
};

static int take_member(options_reading *reading, const char *key, const json_t *value) {
    option_member member = {.key = key, .value = value};
    if (json_is_string(value))
        snprintf(member.text, sizeof(member.text), "%s", json_string_value(value));
    else if (json_is_integer(value))
        snprintf(member.text, sizeof(member.text), "%" JSON_INTEGER_FORMAT,
                 json_integer_value(value));
    else if (json_is_real(value))
        snprintf(member.text, sizeof(member.text), "%.17g", json_real_value(value));
    for (size_t i = 0; i < SPL_ARRAY_SIZE(takers); i++) {
        if (strcmp(key, takers[i].key) == 0)
            return takers[i].take(reading, &member);
    }
    return spl_refuse_about(reading->problem, SPL_PROBLEM_INVALID, *key ? key : "options", NULL,
                            "there is no such option; there are model, stems, mixes, codec, "
                            "bitrate, bit_depth, bandwidth, mwf, keep_format, offset and duration");
}

static int read_object(options_reading *reading, const json_t *object, const char *default_model) {
    if (object && !json_is_object(object))
        return spl_refuse_about(reading->problem, SPL_PROBLEM_INVALID, "options", NULL,
                                "the options must be a JSON object");
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        int status = json_is_null(value) ? 0 : take_member(reading, key, value);
        if (status < 0)
            return status;
    }
    spl_job_options *options = &reading->options;
    if (!options->model && !(options->model = strdup(default_model)))
        return refuse_memory(reading->problem);
    spl_error error;
    if (reading->has_bit_depth &&
        spl_bit_depth_check("bit_depth", options->sample_format, options->codec, &error) < 0)
        return refuse_parsed(reading, &(option_member){.key = "bit_depth"}, &error);
    return 0;
}

int spl_job_options_parse(const json_t *object, const char *default_model,
                          spl_job_options *ret_options, spl_problem *ret_problem) {
    options_reading reading = {
        .options = {.codec = SPL_CODEC_WAV,
                    .sample_format = SPL_SAMPLES_16,
                    .bitrate_bps = DEFAULT_BITRATE_BPS},
        .problem = ret_problem,
    };
    int status = read_object(&reading, object, default_model);
    if (status < 0)
        spl_job_options_free(&reading.options);
    else
        *ret_options = reading.options;
    return status;
}

void spl_job_options_free(spl_job_options *options) {
    free(options->model);
    json_decref(options->stems);
    json_decref(options->mixes);
    *options = (spl_job_options){0};
}

/* ------------------------------------------------------------------ output ---- */

int spl_job_options_text(const spl_job_options *options, char **ret_text, spl_error *ret_error) {
    bool lossless = options->codec == SPL_CODEC_WAV || options->codec == SPL_CODEC_FLAC;
    json_t *object = json_pack(
        "{s:s, s:s, s:b, s:b, s:f, s:o*, s:o*, s:O*, s:O*, s:o*}", "model", options->model, "codec",
        spl_codec_name(options->codec), "mwf", options->wiener, "keep_format", options->keep_format,
        "offset", options->offset_s, "duration",
        options->duration_s > 0 ? json_real(options->duration_s) : NULL, "bandwidth",
        options->has_bandwidth ? json_string(spl_bandwidth_name(options->bandwidth)) : NULL,
        "stems", options->stems, "mixes", options->mixes, lossless ? "bit_depth" : "bitrate",
        lossless ? json_string(spl_bit_depth_name(options->sample_format))
                 : json_integer(options->bitrate_bps));
    char *text = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(15));
    json_decref(object);
    if (!text)
        return spl_fail_memory(ret_error);
    *ret_text = text;
    return 0;
}

/* Joins the names of an array after `prefix`; owned by the caller. */
static char *join_names(const char *prefix, const json_t *names, const char *separator) {
    char *text = strdup(prefix);
    for (size_t i = 0; text && i < json_array_size(names); i++) {
        char *longer;
        if (asprintf(&longer, "%s%s%s", text, i > 0 ? separator : "",
                     json_string_value(json_array_get(names, i))) < 0)
            longer = NULL;
        free(text);
        text = longer;
    }
    return text;
}

static int select_parts(const spl_job_options *options, const spl_model_info *model,
                        const char *stems, char **mixes, spl_parts *ret_parts,
                        spl_error *ret_error) {
    size_t count = 0;
    const char *name;
    json_t *names;
    json_object_foreach(options->mixes, name, names) {
        SPL_CLEANUP(spl_free_p) char *prefix = NULL;
        if (asprintf(&prefix, "%s=", name) < 0 || !(mixes[count] = join_names(prefix, names, "+")))
            return spl_fail_memory(ret_error);
        count++;
    }
    return spl_parts_select(model, stems, (const char *const *)mixes, count, ret_parts, ret_error);
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

int spl_job_options_parts(const spl_job_options *options, const spl_model_info *model,
                          spl_parts *ret_parts, spl_error *ret_error) {
    SPL_CLEANUP(spl_parts_free) spl_parts parts = {0};
    SPL_CLEANUP(spl_free_p) char *stems = NULL;
    char *mixes[SPL_OUTPUTS_MAX] = {NULL};
    if (options->stems && !(stems = join_names("", options->stems, ",")))
        return spl_fail_memory(ret_error);
    int status = select_parts(options, model, stems, mixes, &parts, ret_error);
    for (size_t i = 0; i < SPL_OUTPUTS_MAX; i++)
        free(mixes[i]);
    if (status == 0)
        status = check_file_names(&parts, options->codec, ret_error);
    if (status < 0)
        return status;
    *ret_parts = parts;
    parts = (spl_parts){0};
    return 0;
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

/* SPDX-License-Identifier: MIT
 *
 * Reads and writes separations as JSON.
 */
#include "app/request/separation_json.h"

#include "app/request/values.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- Read ---- */

/* Adds the names in an array of texts, or in one text. */
static int read_names(const json_t *value, char separator, spl_names *names, spl_error *ret_error) {
    if (json_is_string(value))
        return spl_names_add(names, json_string_value(value), separator, ret_error);
    if (!json_is_array(value))
        return spl_fail(ret_error, SPL_E_ARGUMENT,
                        "give an array of names, or names separated by '%c'", separator);
    if (json_array_size(value) == 0)
        return spl_fail(ret_error, SPL_E_ARGUMENT, "give 1 to %d names of stems", SPL_OUTPUTS_MAX);
    for (size_t i = 0; i < json_array_size(value); i++) {
        const char *name = json_string_value(json_array_get(value, i));
        int status = name ? spl_names_add(names, name, separator, ret_error)
                          : spl_fail(ret_error, SPL_E_ARGUMENT, "give names of stems as texts");
        if (status < 0)
            return status;
    }
    return 0;
}

static int read_mixes(spl_separation *separation, const json_t *mixes, spl_error *ret_error) {
    if (!json_is_object(mixes) || json_object_size(mixes) == 0)
        return spl_fail(ret_error, SPL_E_ARGUMENT,
                        "give an object of at least one name and its stems, such as "
                        "{\"karaoke\": [\"drums\", \"bass\", \"other\"]}");
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)mixes, name, value) {
        SPL_CLEANUP(spl_names_free) spl_names stems = {0};
        int status = read_names(value, '+', &stems, ret_error);
        if (status == 0)
            status = spl_separation_add_mix(separation, name, strlen(name), &stems, ret_error);
        if (status < 0)
            return status;
    }
    return 0;
}

/* A number, string or truth value as text; "" for others, which no option accepts. */
static void text_of(const json_t *value, char *text, size_t size) {
    text[0] = '\0';
    if (json_is_integer(value))
        snprintf(text, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        snprintf(text, size, "%.17g", json_real_value(value));
    else if (json_is_boolean(value))
        snprintf(text, size, "%s", json_is_true(value) ? "true" : "false");
}

static int read_option(spl_separation *separation, const char *key, const json_t *value,
                       spl_error *ret_error) {
    if (json_is_string(value))
        return spl_separation_set(separation, key, key, json_string_value(value), ret_error);
    if (strcmp(key, "stems") == 0)
        return read_names(value, ',', &separation->stems, ret_error);
    if (strcmp(key, "mixes") == 0)
        return read_mixes(separation, value, ret_error);
    char text[32];
    text_of(value, text, sizeof(text));
    return spl_separation_set(separation, key, key, text, ret_error);
}

int spl_separation_read_json(spl_separation *separation, const json_t *object,
                             const char **ret_field, spl_error *ret_error) {
    *ret_field = "options";
    if (!json_is_object(object))
        return spl_fail(ret_error, SPL_E_ARGUMENT, "the options must be a JSON object");
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        int status = json_is_null(value) ? 0 : read_option(separation, key, value, ret_error);
        if (status < 0) {
            *ret_field = *key ? key : "options";
            return status;
        }
    }
    *ret_field = "bit_depth";
    return spl_separation_check(separation, "bit_depth", ret_error);
}

/* ---- Write ---- */

/* NULL: out of memory. */
static json_t *json_of_names(const spl_names *names) {
    json_t *array = json_array();
    for (size_t i = 0; array && i < names->count; i++) {
        if (json_array_append_new(array, json_string(names->items[i])) < 0) {
            json_decref(array);
            array = NULL;
        }
    }
    return array;
}

static json_t *json_of_mixes(const spl_separation *separation) {
    json_t *object = json_object();
    for (size_t i = 0; object && i < separation->mix_count; i++) {
        const spl_mix *mix = &separation->mixes[i];
        if (json_object_set_new(object, mix->name, json_of_names(&mix->stems)) < 0) {
            json_decref(object);
            object = NULL;
        }
    }
    return object;
}

/* Adds the options that only some separations have. Returns false if out of memory. */
static bool add_optional(const spl_separation *separation, json_t *object) {
    int failed = 0;
    if (separation->duration_s > 0)
        failed |= json_object_set_new(object, "duration", json_real(separation->duration_s));
    if (separation->has_bandwidth)
        failed |= json_object_set_new(object, "bandwidth",
                                      json_string(spl_bandwidth_name(separation->bandwidth)));
    if (separation->stems.count > 0)
        failed |= json_object_set_new(object, "stems", json_of_names(&separation->stems));
    if (separation->mix_count > 0)
        failed |= json_object_set_new(object, "mixes", json_of_mixes(separation));
    if (separation->codec == SPL_CODEC_WAV || separation->codec == SPL_CODEC_FLAC)
        failed |= json_object_set_new(object, "bit_depth",
                                      json_string(spl_bit_depth_name(separation->sample_format)));
    else
        failed |= json_object_set_new(object, "bitrate", json_integer(separation->bitrate_bps));
    return failed == 0;
}

int spl_separation_text(const spl_separation *separation, char **ret_text, spl_error *ret_error) {
    json_auto_t *object =
        json_pack("{s:s, s:s, s:b, s:b, s:f}", "model", separation->model, "codec",
                  spl_codec_name(separation->codec), "mwf", separation->wiener, "keep_format",
                  separation->keep_format, "offset", separation->offset_s);
    char *text = NULL;
    if (object && add_optional(separation, object))
        text = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(15));
    if (!text)
        return spl_fail_memory(ret_error);
    *ret_text = text;
    return 0;
}

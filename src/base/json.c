/* SPDX-License-Identifier: MIT
 *
 * Limits the nesting depth before jansson's recursive parser runs.
 */
#include "base/json.h"

#include <string.h>

/* Returns the closing quote of the string that starts at `text`, or `end`. */
static const char *skip_string(const char *text, const char *end) {
    while (text < end && *text != '"')
        text += *text == '\\' && end - text > 1 ? 2 : 1;
    return text;
}

size_t spl_json_depth(const void *text, size_t size) {
    const char *byte = text, *end = byte + size;
    size_t depth = 0, deepest = 0;
    for (; byte < end; byte++) {
        if (*byte == '"')
            byte = skip_string(byte + 1, end);
        else if (*byte == '[' || *byte == '{')
            depth++;
        else if ((*byte == ']' || *byte == '}') && depth > 0)
            depth--;
        deepest = SPL_MAX(deepest, depth);
    }
    return deepest;
}

size_t spl_json_values(const void *text, size_t size) {
    const char *byte = text, *end = byte + size;
    size_t values = 1;
    for (; byte < end; byte++) {
        if (*byte == '"')
            byte = skip_string(byte + 1, end);
        else
            values += *byte == ',' || *byte == '[' || *byte == '{';
    }
    return values;
}

/* Describes an error of the parser. jansson's own message quotes the text, which may be a
 * client's. */
static const char *describe(const json_error_t *problem) {
    switch (json_error_code(problem)) {
    case json_error_premature_end_of_input:
        return "the text ends too early";
    case json_error_end_of_input_expected:
        return "something follows the value";
    case json_error_invalid_utf8:
        return "a string is not UTF-8";
    case json_error_duplicate_key:
        return "a name appears twice in an object";
    case json_error_numeric_overflow:
        return "a number is too large";
    case json_error_null_character:
    case json_error_null_byte_in_key:
        return "a string contains NUL";
    default:
        return "syntax error";
    }
}

int spl_json_load(const void *text, size_t size, size_t flags, json_t **ret_value,
                  spl_error *ret_error) {
    const char *bytes = text ? text : "";
    if (spl_json_depth(bytes, size) > SPL_JSON_DEPTH_MAX)
        return spl_fail(ret_error, SPL_E_LIMIT, "is nested more than %d levels deep",
                        SPL_JSON_DEPTH_MAX);
    json_error_t problem;
    json_t *value = json_loadb(bytes, size, flags | JSON_REJECT_DUPLICATES, &problem);
    if (!value && !*problem.text) /* jansson leaves the message empty when out of memory */
        return spl_fail_memory(ret_error);
    if (!value)
        return spl_fail(ret_error, SPL_E_FORMAT, "is not valid JSON: line %d, column %d: %s",
                        problem.line, problem.column, describe(&problem));
    *ret_value = value;
    return 0;
}

json_t *spl_json_load_own(const char *text) {
    json_t *value = NULL;
    if (!text || spl_json_load(text, strlen(text), JSON_DECODE_ANY, &value, NULL) < 0)
        return NULL;
    return value;
}

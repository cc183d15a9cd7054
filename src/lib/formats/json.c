/* SPDX-License-Identifier: MIT
 *
 * Checked access to members of JSON objects, with messages that name file and key.
 */
#include "lib/formats/json.h"

#include "base/file.h"

#include <stdio.h>
#include <string.h>

#define BYTE_ORDER_MARK "\xef\xbb\xbf" /* Windows editors write it before UTF-8 text */

int spl_json_parse(const void *text, size_t size, const char *path, json_t **ret_object,
                   spl_error *ret_error) {
    json_t *root;
    spl_error reason;
    int status = spl_json_load(text, size, 0, &root, &reason);
    if (status == SPL_E_MEMORY)
        return spl_fail_memory(ret_error);
    if (status < 0)
        return spl_fail(ret_error, SPL_E_FORMAT, "%s %s", path, reason.message);
    if (!json_is_object(root)) {
        json_decref(root);
        return spl_fail(ret_error, SPL_E_FORMAT, "%s is not a JSON object", path);
    }
    *ret_object = root;
    return 0;
}

int spl_json_parse_file(const char *path, json_t **ret_object, spl_error *ret_error) {
    SPL_CLEANUP(spl_file_content_free) spl_file_content file = {0};
    const int status =
        spl_file_read(path, SPL_FILE_ANYBODYS, SPL_JSON_FILE_MAX_BYTES, &file, ret_error);
    if (status < 0)
        return status;
    const size_t skip = strncmp(file.text, BYTE_ORDER_MARK, 3) == 0 ? 3 : 0;
    return spl_json_parse(file.text + skip, file.size_bytes - skip, path, ret_object, ret_error);
}

bool spl_json_is_line(const char *text) {
    for (const char *c = text; *c; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return false;
    }
    return true;
}

int spl_json_get_line(const json_t *object, const char *key, const char *path,
                      const char **ret_line, spl_error *ret_error) {
    const char *line = json_string_value(json_object_get(object, key));
    if (!line)
        return spl_fail(ret_error, SPL_E_FORMAT, "%s has no text \"%s\"", path, key);
    if (!spl_json_is_line(line))
        return spl_fail(ret_error, SPL_E_FORMAT, "%s has control characters in \"%s\"", path, key);
    *ret_line = line;
    return 0;
}

int spl_json_get_unsigned(const json_t *object, const char *key, unsigned low, unsigned high,
                          const char *path, unsigned *ret_number, spl_error *ret_error) {
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value))
        return spl_fail(ret_error, SPL_E_FORMAT, "%s has no integer \"%s\"", path, key);
    json_int_t number = json_integer_value(value);
    if (number < (json_int_t)low || number > (json_int_t)high)
        return spl_fail(ret_error, SPL_E_UNSUPPORTED,
                        "%s has %" JSON_INTEGER_FORMAT " as \"%s\"; %u to %u are supported", path,
                        number, key, low, high);
    *ret_number = (unsigned)number;
    return 0;
}

int spl_json_get_choice(const json_t *object, const char *key, const char *const *choices,
                        size_t count, const char *path, unsigned *ret_index, spl_error *ret_error) {
    const char *line;
    int status = spl_json_get_line(object, key, path, &line, ret_error);
    if (status < 0)
        return status;
    char supported[256] = "";
    for (size_t i = 0; i < count; i++) {
        if (strcmp(line, choices[i]) == 0) {
            *ret_index = (unsigned)i;
            return 0;
        }
        size_t used = strlen(supported);
        snprintf(supported + used, sizeof(supported) - used, i ? ", %s" : "%s", choices[i]);
    }
    return spl_fail(ret_error, SPL_E_UNSUPPORTED, "%s has \"%.100s\" as \"%s\"; supported: %s",
                    path, line, key, supported);
}

int spl_json_expect_unsigned(const json_t *object, const char *key, unsigned supported,
                             const char *path, spl_error *ret_error) {
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value))
        return spl_fail(ret_error, SPL_E_FORMAT, "%s has no integer \"%s\"", path, key);
    if (json_integer_value(value) != (json_int_t)supported)
        return spl_fail(ret_error, SPL_E_UNSUPPORTED,
                        "%s has %" JSON_INTEGER_FORMAT " as \"%s\"; only %u is supported", path,
                        json_integer_value(value), key, supported);
    return 0;
}

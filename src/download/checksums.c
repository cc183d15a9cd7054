/* SPDX-License-Identifier: MIT
 *
 * Reads checksum.json.
 */
#include "download/checksums.h"

#include <ctype.h>
#include <jansson.h>
#include <string.h>

static void json_free_p(json_t **value) {
    json_decref(*value);
}

int spl_checksums_find(const void *text, size_t size, const char *name, const char *from,
                       char ret_hex[65], spl_error *ret_error) {
    json_error_t problem;
    SPL_CLEANUP(json_free_p)
    json_t *root = json_loadb(text ? text : "", size, JSON_REJECT_DUPLICATES, &problem);
    if (!json_is_object(root))
        return spl_fail(ret_error, SPL_E_FORMAT,
                        "%s is damaged, or not the checksums of Spleeter's models", from);
    const json_t *value = json_object_get(root, name);
    if (!value)
        return spl_fail(ret_error, SPL_E_NOT_FOUND, "%s names no model %s", from, name);
    const char *hex = json_string_value(value);
    if (!hex || strlen(hex) != 64 || strspn(hex, "0123456789abcdefABCDEF") != 64)
        return spl_fail(ret_error, SPL_E_FORMAT, "%s has no SHA-256 for %s", from, name);
    for (size_t i = 0; i <= 64; i++)
        ret_hex[i] = (char)tolower((unsigned char)hex[i]);
    return 0;
}

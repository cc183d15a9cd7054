/* SPDX-License-Identifier: MIT
 *
 * Parses checksum.json.
 */
#include "app/download/checksums.h"

#include "base/json.h"

#include <ctype.h>
#include <string.h>

int spl_checksums_find(const void *text, size_t size, const char *name, const char *from,
                       char ret_hex[65], spl_error *ret_error) {
    SPL_CLEANUP(spl_json_free_p) json_t *root = NULL;
    if (spl_json_load(text, size, 0, &root, NULL) < 0 || !json_is_object(root))
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

/* SPDX-License-Identifier: MIT
 *
 * Reads parameters in order (RFC 9110, section 5.6.6).
 */
#include "service/http/connection/header_value.h"

#include "service/http/connection/target.h"

#include <string.h>
#include <strings.h>

static const char *skip_space(const char *text) {
    return text + strspn(text, " \t");
}

/* Writes the value at `text` to `out`, which must have room for it. Returns the end of the value,
 * or NULL if it is malformed. */
static const char *read_value(const char *text, char *out) {
    if (*text != '"') {
        const size_t length = strcspn(text, "; \t\"");
        memcpy(out, text, length);
        out[length] = '\0';
        return length > 0 ? text + length : NULL;
    }
    for (text++; *text != '"'; text++) {
        if (*text == '\\' && (text[1] == '"' || text[1] == '\\'))
            text++;
        if (*text == '\0')
            return NULL;
        *out++ = *text;
    }
    *out = '\0';
    return text + 1;
}

int spl_header_parameter(const char *header, const char *name, char **ret_text) {
    SPL_CLEANUP(spl_free_p) char *value = malloc(strlen(header) + 1);
    SPL_CLEANUP(spl_free_p) char *found = NULL;
    if (!value)
        return SPL_E_MEMORY;
    const char *text = header + strcspn(header, ";");
    while (*text == ';') {
        text = skip_space(text + 1);
        if (*text == ';' || *text == '\0')
            continue;
        const char *key = text;
        text += strcspn(text, "=; \t\"");
        const size_t key_size = (size_t)(text - key);
        text = skip_space(text);
        if (key_size == 0 || *text != '=')
            return SPL_E_FORMAT;
        text = read_value(skip_space(text + 1), value);
        if (!text)
            return SPL_E_FORMAT;
        text = skip_space(text);
        if (strncasecmp(key, name, key_size) != 0 || name[key_size] != '\0')
            continue;
        if (found) /* parsers disagree on which of two counts */
            return SPL_E_FORMAT;
        found = strdup(value);
        if (!found)
            return SPL_E_MEMORY;
    }
    if (*text)
        return SPL_E_FORMAT;
    *ret_text = SPL_STEAL(found);
    return 0;
}

bool spl_header_decode_extended(char *text) {
    static const char charset[] = "utf-8'";
    if (strncasecmp(text, charset, strlen(charset)) != 0)
        return false;
    const char *encoded = strchr(text + strlen(charset), '\'');
    if (!encoded)
        return false;
    memmove(text, encoded + 1, strlen(encoded + 1) + 1);
    return spl_percent_decode(text);
}

/* SPDX-License-Identifier: MIT
 *
 * UTF-8 as RFC 3629 defines it: no overlong forms, no surrogates, nothing above U+10FFFF.
 */
#include "service/observe/json.h"

#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd"

/* The length of the character at `text`; 0 when it is invalid. */
static size_t character_length(const unsigned char *text) {
    const unsigned char first = text[0];
    if (first < 0x80)
        return 1;
    const size_t length = first >= 0xc2 && first < 0xe0   ? 2
                          : first >= 0xe0 && first < 0xf0 ? 3
                          : first >= 0xf0 && first < 0xf5 ? 4
                                                          : 0;
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    }
    const unsigned char second = length > 2 ? text[1] : 0x80;
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
        (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f))
        return 0;
    return length;
}

json_t *spl_json_text(const char *text) {
    if (!text)
        return json_null();
    char clean[SPL_JSON_TEXT_SIZE];
    size_t size = 0;
    while (*text) {
        const size_t length = character_length((const unsigned char *)text);
        const char *from = length > 0 ? text : REPLACEMENT;
        const size_t more = length > 0 ? length : strlen(REPLACEMENT);
        if (size + more >= sizeof(clean))
            break;
        memcpy(clean + size, from, more);
        size += more;
        text += length > 0 ? length : 1;
    }
    return json_stringn_nocheck(clean, size);
}

char *spl_json_line(const json_t *object) {
    return json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII);
}

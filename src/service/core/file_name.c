/* SPDX-License-Identifier: MIT
 *
 * Replaces unsafe characters in file names.
 */
#include "service/core/file_name.h"

#include "base/macros.h"

#include <stdlib.h>
#include <string.h>

/* Returns the length of the character at `text` if it is unsafe in a file name, else 0. Unsafe are
 * C0 and C1 controls, path separators, and bidirectional formatting characters, which can make
 * "gpj.exe" look like "exe.jpg". */
static size_t unsafe_length(const char *text) {
    static const char *const directions[] = {
        "\xd8\x9c",                                     /* U+061C */
        "\xe2\x80\x8e", "\xe2\x80\x8f",                 /* U+200E, U+200F */
        "\xe2\x80\xaa", "\xe2\x80\xab", "\xe2\x80\xac", /* U+202A to U+202E */
        "\xe2\x80\xad", "\xe2\x80\xae", "\xe2\x81\xa6", /* U+2066 to U+2069 */
        "\xe2\x81\xa7", "\xe2\x81\xa8", "\xe2\x81\xa9",
    };
    const unsigned char first = (unsigned char)text[0], second = (unsigned char)text[1];
    if (first < 0x20 || first == 0x7f || first == '/' || first == '\\')
        return 1;
    if (first == 0xc2 && second >= 0x80 && second < 0xa0)
        return 2;
    for (size_t i = 0; i < SPL_ARRAY_SIZE(directions); i++) {
        if (strncmp(text, directions[i], strlen(directions[i])) == 0)
            return strlen(directions[i]);
    }
    return 0;
}

char *spl_file_name_clean(const char *name) {
    char *clean = malloc(strlen(name) + 1), *to = clean;
    while (clean && *name) {
        const size_t length = unsafe_length(name);
        *to++ = length > 0 ? '_' : *name;
        name += length > 0 ? length : 1;
    }
    if (clean)
        *to = '\0';
    return clean;
}

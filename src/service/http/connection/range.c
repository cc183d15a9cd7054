/* SPDX-License-Identifier: MIT
 *
 * Parses and writes the headers of file transfers.
 */
#include "service/http/connection/range.h"

#include "base/macros.h"
#include "service/core/file_name.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Reads digits. A number that overflows becomes one of at least UINT64_MAX / 10. */
static bool take_number(const char **text, uint64_t *ret_number) {
    uint64_t number = 0;
    const char *digit = *text;
    for (; isdigit((unsigned char)*digit); digit++) {
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(*digit - '0'), &number))
            number = UINT64_MAX / 10;
    }
    if (digit == *text)
        return false;
    *text = digit;
    *ret_number = number;
    return true;
}

spl_range_kind spl_range_parse(const char *header, uint64_t size_bytes, uint64_t *ret_first,
                               uint64_t *ret_last) {
    if (!header || strncasecmp(header, "bytes=", 6) != 0)
        return SPL_RANGE_WHOLE;
    const char *text = header + 6;
    uint64_t first = 0, last = UINT64_MAX;
    bool has_first = take_number(&text, &first);
    if (*text++ != '-')
        return SPL_RANGE_WHOLE;
    bool has_last = take_number(&text, &last);
    if (*text != '\0' || (!has_first && !has_last) || (has_first && first > last))
        return SPL_RANGE_WHOLE;

    if (!has_first) { /* a suffix: the last bytes */
        if (last == 0 || size_bytes == 0)
            return SPL_RANGE_UNSATISFIABLE;
        *ret_first = last < size_bytes ? size_bytes - last : 0;
        *ret_last = size_bytes - 1;
        return SPL_RANGE_PART;
    }
    if (first >= size_bytes)
        return SPL_RANGE_UNSATISFIABLE;
    *ret_first = first;
    *ret_last = last < size_bytes ? last : size_bytes - 1;
    return SPL_RANGE_PART;
}

bool spl_etag_listed(const char *list, const char *tag) {
    const size_t length = strlen(tag);
    for (const char *item = list; *item;) {
        item += strspn(item, " \t,");
        if (*item == '*')
            return true;
        if (strncmp(item, "W/", 2) == 0)
            item += 2;
        if (strncmp(item, tag, length) == 0 && strchr(" \t,", item[length]))
            return true; /* strchr also finds the terminating NUL */
        item += strcspn(item, ",");
    }
    return false;
}

void spl_disposition_write(const char *name, char *ret_header, size_t capacity) {
    SPL_CLEANUP(spl_free_p) char *safe = spl_file_name_clean(name);
    FILE *out = safe ? fmemopen(ret_header, capacity, "w") : NULL;
    if (!out) {
        snprintf(ret_header, capacity, "attachment");
        return;
    }
    fputs("attachment; filename=\"", out);
    for (const char *c = safe; *c; c++) {
        unsigned char byte = (unsigned char)*c;
        if (byte >= 0xc0)
            fputc('_', out); /* one per character */
        else if (byte < 0x80)
            fputc(strchr("\"%", byte) ? '_' : byte, out);
    }
    fputs("\"; filename*=UTF-8''", out);
    for (const char *c = safe; *c; c++) {
        unsigned char byte = (unsigned char)*c;
        if (isalnum(byte) || strchr("!#$&+-.^_`|~", byte))
            fputc(byte, out);
        else
            fprintf(out, "%%%02X", byte);
    }
    fclose(out);
}

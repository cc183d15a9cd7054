/* SPDX-License-Identifier: MIT */
#include "base/response_headers.h"

#include <string.h>

#define BYTES_MAX ((size_t)256 << 10)
#define LINES_MAX 1000

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_other_coding(const char *line, size_t length) {
    static const char name[] = "Transfer-Encoding:", chunked[] = "chunked";
    if (length < strlen(name) || strncasecmp(line, name, strlen(name)) != 0)
        return false;
    const char *value = line + strlen(name), *end = line + length;
    while (value < end && is_blank(*value))
        value++;
    while (end > value && is_blank(end[-1]))
        end--;
    return (size_t)(end - value) != strlen(chunked) ||
           strncasecmp(value, chunked, strlen(chunked)) != 0;
}

/* Whether the line continues the previous one (obs-fold), and so could hide a coding. */
static bool is_folded(const char *line, size_t length) {
    size_t blanks = 0;
    while (blanks < length && is_blank(line[blanks]))
        blanks++;
    return blanks < length && blanks > 0;
}

size_t spl_response_headers_take(char *line, size_t unit, size_t count, void *user) {
    spl_response_headers *headers = user;
    const size_t length = unit * count;
    headers->bytes += length;
    headers->lines++;
    if (headers->bytes > BYTES_MAX || headers->lines > LINES_MAX)
        headers->problem = "headers are too long";
    else if (is_other_coding(line, length))
        headers->problem = "transfer coding is not chunked";
    else if (is_folded(line, length))
        headers->problem = "headers are folded";
    return headers->problem ? 0 : length;
}

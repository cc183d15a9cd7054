/* SPDX-License-Identifier: MIT
 *
 * Checks the headers that delimit a request.
 */
#include "service/http/connection/framing.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* Fits into an int64_t with room for sums. */
#define LENGTH_DIGITS_MAX 18

static bool is_token(const spl_header *header) {
    for (size_t i = 0; i < header->name_size; i++) {
        unsigned char c = (unsigned char)header->name[i];
        if (!isalnum(c) && (c == '\0' || !strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return header->name_size > 0;
}

static bool is_text(const spl_header *header) {
    for (size_t i = 0; i < header->value_size; i++) {
        unsigned char c = (unsigned char)header->value[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

bool spl_host_valid(const char *host, size_t size) {
    return size > 0 && size <= 255 &&
           strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]") >=
               size;
}

static bool parse_length(const char *text, int64_t *ret_length) {
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > LENGTH_DIGITS_MAX || text[digits] != '\0')
        return false;
    *ret_length = strtoll(text, NULL, 10);
    return true;
}

int spl_framing_check(const char *version, const spl_header *headers, size_t count,
                      spl_framing *ret_framing, spl_problem *ret_problem) {
    const bool is_1_1 = strcmp(version, "HTTP/1.1") == 0;
    if (!is_1_1 && strcmp(version, "HTTP/1.0") != 0)
        return spl_refuse(ret_problem, SPL_PROBLEM_BAD_REQUEST, "Use HTTP/1.1 or HTTP/1.0");

    const char *host = NULL, *length = NULL, *coding = NULL;
    const struct {
        const char *name;
        const char **value;
    } once[] = {
        {"Host", &host},
        {"Content-Length", &length},
        {"Transfer-Encoding", &coding},
    };
    for (size_t i = 0; i < count; i++) {
        if (!is_token(&headers[i]) || !is_text(&headers[i]))
            return spl_refuse(ret_problem, SPL_PROBLEM_BAD_REQUEST,
                              "Header %zu has a character that is not allowed there", i + 1);
        for (size_t k = 0; k < SPL_ARRAY_SIZE(once); k++) {
            if (strcasecmp(headers[i].name, once[k].name) != 0)
                continue;
            if (*once[k].value)
                return spl_refuse(ret_problem, SPL_PROBLEM_BAD_REQUEST, "%s is there twice",
                                  once[k].name);
            *once[k].value = headers[i].value;
        }
    }

    if (host ? !spl_host_valid(host, strlen(host)) : is_1_1)
        return spl_refuse(ret_problem, SPL_PROBLEM_BAD_REQUEST,
                          "The header Host is missing or malformed");
    if (length && coding)
        return spl_refuse(ret_problem, SPL_PROBLEM_BAD_REQUEST,
                          "Content-Length and Transfer-Encoding exclude each other");
    spl_framing framing = {0};
    if (coding) {
        if (!is_1_1 || strcasecmp(coding, "chunked") != 0)
            return spl_refuse(ret_problem, SPL_PROBLEM_BAD_REQUEST,
                              "Transfer-Encoding may be chunked only, and in HTTP/1.1 only");
        framing = (spl_framing){.has_body = true, .length_bytes = -1};
    } else if (length) {
        if (!parse_length(length, &framing.length_bytes))
            return spl_refuse(ret_problem, SPL_PROBLEM_BAD_REQUEST,
                              "Content-Length must be a number");
        framing.has_body = framing.length_bytes > 0;
    }
    *ret_framing = framing;
    return 0;
}

bool spl_framing_contiguous(const char *version, const spl_header *headers, size_t count) {
    static const char line_end[2] = "";
    const char *end = version + strlen(version);
    for (size_t i = 0; i < count; i++) {
        if (headers[i].name != end + sizeof(line_end) ||
            memcmp(end, line_end, sizeof(line_end)) != 0)
            return false;
        end = headers[i].value + headers[i].value_size;
    }
    return memcmp(end, line_end, sizeof(line_end)) == 0 &&
           memcmp(end + sizeof(line_end), line_end, sizeof(line_end)) == 0;
}

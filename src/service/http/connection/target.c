/* SPDX-License-Identifier: MIT
 *
 * Splits before it decodes, so that an encoded separator never separates.
 */
#include "service/http/connection/target.h"

#include "service/http/connection/framing.h"

#include <string.h>
#include <strings.h>

bool spl_text_valid(const char *text, size_t size) {
    const unsigned char *byte = (const unsigned char *)text, *end = byte + size;
    while (byte < end) {
        unsigned first = *byte++;
        unsigned more = first < 0x80 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
        if (first < 0x20 || first == 0x7f || (first >= 0x80 && first < 0xc2) || first > 0xf4 ||
            (size_t)(end - byte) < more)
            return false;
        uint32_t point = more == 0 ? first : first & (0x3fu >> more);
        for (unsigned i = 0; i < more; i++, byte++) {
            if ((*byte & 0xc0) != 0x80)
                return false;
            point = point << 6 | (*byte & 0x3f);
        }
        bool overlong = (more == 2 && point < 0x800) || (more == 3 && point < 0x10000);
        bool control = point >= 0x80 && point < 0xa0;
        if (overlong || control || (point >= 0xd800 && point < 0xe000) || point > 0x10ffff)
            return false;
    }
    return true;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes in place. */
static bool decode(char *text, bool plus_is_space) {
    char *out = text;
    for (const char *in = text; *in; in++) {
        if (*in == '%') {
            int high = hex_digit(in[1]), low = high < 0 ? -1 : hex_digit(in[2]);
            if (low < 0 || (high == 0 && low == 0))
                return false;
            *out++ = (char)(high << 4 | low);
            in += 2;
        } else {
            *out++ = *in == '+' && plus_is_space ? ' ' : *in;
        }
    }
    *out = '\0';
    return spl_text_valid(text, (size_t)(out - text));
}

bool spl_percent_decode(char *text) {
    return decode(text, false);
}

static int split_path(char *path, spl_target *target, spl_problem *ret_problem) {
    char *rest = path + 1; /* after the first slash */
    if (*rest == '\0')
        return 0;
    char *segment;
    while ((segment = strsep(&rest, "/"))) {
        if (!decode(segment, false) || strchr(segment, '/') || strcmp(segment, "") == 0 ||
            strcmp(segment, ".") == 0 || strcmp(segment, "..") == 0)
            return spl_refuse(ret_problem, SPL_PROBLEM_BAD_REQUEST,
                              "The address has a malformed path");
        if (target->segment_count == SPL_SEGMENTS_MAX)
            return spl_refuse(ret_problem, SPL_PROBLEM_NOT_FOUND,
                              "There is nothing at this address");
        target->segments[target->segment_count++] = segment;
    }
    return 0;
}

static int split_query(char *query, spl_target *target, spl_problem *ret_problem) {
    char *rest = query, *name;
    while ((name = strsep(&rest, "&"))) {
        if (*name == '\0')
            continue;
        char *value = strchr(name, '=');
        static const char nothing[] = "";
        if (value)
            *value++ = '\0';
        if (!decode(name, true) || (value && !decode(value, true)))
            return spl_refuse(ret_problem, SPL_PROBLEM_BAD_REQUEST,
                              "The address has a malformed query");
        if (spl_target_parameter(target, name))
            return spl_refuse(ret_problem, SPL_PROBLEM_BAD_REQUEST,
                              "A parameter of the query is there twice");
        if (target->parameter_count == SPL_PARAMETERS_MAX)
            return spl_refuse(ret_problem, SPL_PROBLEM_BAD_REQUEST,
                              "The query has more than %d parameters", SPL_PARAMETERS_MAX);
        target->parameters[target->parameter_count++] =
            (spl_parameter){.name = name, .value = value ? value : nothing};
    }
    return 0;
}

/* Returns what follows scheme and host, at least "/"; the whole text if there is no scheme, or if
 * the host is malformed. */
static const char *skip_host(const char *raw) {
    const size_t scheme = strncasecmp(raw, "http://", 7) == 0    ? 7
                          : strncasecmp(raw, "https://", 8) == 0 ? 8
                                                                 : 0;
    const char *host = raw + scheme;
    const size_t size = strcspn(host, "/");
    if (scheme == 0 || !spl_host_valid(host, size))
        return raw;
    return host[size] ? host + size : "/";
}

int spl_target_parse(const char *raw, spl_target *ret_target, spl_problem *ret_problem) {
    size_t length = strlen(raw);
    if (length > SPL_TARGET_MAX)
        return spl_refuse(ret_problem, SPL_PROBLEM_URI_TOO_LONG,
                          "The address may have %d bytes at most", SPL_TARGET_MAX);
    raw = skip_host(raw);
    length = strlen(raw);
    bool plain = raw[0] == '/';
    for (size_t i = 0; i < length; i++)
        plain = plain && raw[i] > 0x20 && raw[i] < 0x7f && raw[i] != '#' && raw[i] != '\\';
    if (!plain)
        return spl_refuse(ret_problem, SPL_PROBLEM_BAD_REQUEST,
                          "The address must be a path in plain ASCII, other characters encoded");

    spl_target target = {0};
    target.text = strdup(raw);
    target.path = strdup(raw);
    if (!target.text || !target.path) {
        spl_target_free(&target);
        return spl_refuse_memory(ret_problem);
    }
    char *query = strchr(target.text, '?');
    if (query) {
        target.path[query - target.text] = '\0';
        *query++ = '\0';
    }
    int status = split_path(target.text, &target, ret_problem);
    if (status == 0 && query)
        status = split_query(query, &target, ret_problem);
    if (status < 0) {
        spl_target_free(&target);
        return status;
    }
    *ret_target = target;
    return 0;
}

void spl_target_free(spl_target *target) {
    free(target->text);
    free(target->path);
    *target = (spl_target){0};
}

const char *spl_target_parameter(const spl_target *target, const char *name) {
    for (size_t i = 0; i < target->parameter_count; i++) {
        if (strcmp(target->parameters[i].name, name) == 0)
            return target->parameters[i].value;
    }
    return NULL;
}

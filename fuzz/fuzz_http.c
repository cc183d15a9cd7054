/* SPDX-License-Identifier: MIT
 *
 * Fuzzes the parsers of request headers and targets with arbitrary text; the first byte selects the
 * parser. Accepted input must satisfy the invariants: target segments are not empty, hold no "/"
 * and are not "..", ranges lie inside the file, there is at most one body length, and download
 * names fit in one header line.
 */
#include "service/http/connection/client.h"
#include "service/http/connection/framing.h"
#include "service/http/connection/range.h"
#include "service/http/connection/target.h"

#include <netinet/in.h>
#include <string.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool truth) {
    if (!truth)
        __builtin_trap();
}

static void try_target(const char *text) {
    spl_target target;
    spl_problem problem;
    if (spl_target_parse(text, &target, &problem) < 0)
        return;
    for (size_t i = 0; i < target.segment_count; i++) {
        const char *segment = target.segments[i];
        demand(*segment && !strchr(segment, '/') && strcmp(segment, "..") != 0);
        demand(spl_text_valid(segment, strlen(segment)));
    }
    for (size_t i = 0; i < target.parameter_count; i++)
        demand(spl_target_parameter(&target, target.parameters[i].name) ==
               target.parameters[i].value);
    spl_target_free(&target);
}

static void try_range(const char *text, uint64_t bytes) {
    uint64_t first = 0, last = 0;
    if (spl_range_parse(text, bytes, &first, &last) == SPL_RANGE_PART)
        demand(first <= last && last < bytes);
}

static void try_disposition(const char *text) {
    char header[300];
    spl_disposition_write(text, header, sizeof(header));
    for (const char *c = header; *c; c++)
        demand(*c >= 0x20 && *c < 0x7f);
}

/* Parses lines of the form "Name:value". */
static void try_framing(char *text) {
    spl_header headers[SPL_HEADERS_MAX];
    size_t count = 0;
    char *line;
    while ((line = strsep(&text, "\n")) && count < SPL_HEADERS_MAX) {
        char *name = strsep(&line, ":");
        const char *value = line ? line : "";
        headers[count++] = (spl_header){name, value, strlen(name), strlen(value)};
    }
    spl_framing framing;
    spl_problem problem;
    if (spl_framing_check("HTTP/1.1", headers, count, &framing, &problem) < 0)
        return;
    size_t framed = 0;
    for (size_t i = 0; i < count; i++)
        framed += strcasecmp(headers[i].name, "Content-Length") == 0 ||
                  strcasecmp(headers[i].name, "Transfer-Encoding") == 0;
    demand(framed <= 1 && framing.length_bytes >= -1);
    demand(framing.has_body == (framing.length_bytes != 0));
}

static void try_client(const char *text) {
    const struct sockaddr_in peer = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x0a000001)};
    const spl_header headers[] = {{.name = "X-Forwarded-For", .value = text},
                                  {.name = "X-Forwarded-Proto", .value = text}};
    char address[64];
    spl_problem problem;
    (void)!spl_client_address((const struct sockaddr *)&peer, headers, SPL_ARRAY_SIZE(headers),
                              "10.0.0.0/8", address, &problem);
    demand(memchr(address, '\0', sizeof(address)) != NULL && *address);
    spl_client_uses_tls((const struct sockaddr *)&peer, headers, SPL_ARRAY_SIZE(headers),
                        "10.0.0.0/8");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    char *text = strndup((const char *)data + 1, size - 1);
    if (!text)
        return 0;
    switch (data[0]) {
    case 't':
        try_target(text);
        break;
    case 'r':
        try_range(text, size * 1000);
        try_range(text, UINT64_MAX);
        break;
    case 'd':
        try_disposition(text);
        break;
    case 'e':
        spl_etag_listed(text, "\"0123\"");
        break;
    case 'f':
        try_framing(text);
        break;
    case 'c':
        try_client(text);
        break;
    default:
        break;
    }
    free(text);
    return 0;
}

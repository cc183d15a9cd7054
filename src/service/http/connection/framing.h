/* SPDX-License-Identifier: MIT
 *
 * Determines where a request ends (RFC 9112, section 6). Requests that another HTTP implementation
 * could delimit differently are refused, so that nothing can be smuggled past a proxy: more than
 * one Host, Content-Length or Transfer-Encoding, lengths that are not plain digits, codings other
 * than chunked, names that are not tokens, folded lines, control characters.
 */
#ifndef SPL_SERVICE_HTTP_CONNECTION_FRAMING_H
#define SPL_SERVICE_HTTP_CONNECTION_FRAMING_H

#include "service/core/problem.h"

#define SPL_HEADERS_MAX 100

typedef struct spl_header {
    const char *name, *value; /* NUL-terminated */
    size_t name_size, value_size;
} spl_header;

typedef struct spl_framing {
    bool has_body;        /* a body follows: chunked, or not empty */
    int64_t length_bytes; /* of the body; -1: chunked, unknown */
} spl_framing;

/* `version`: "HTTP/1.1" or "HTTP/1.0". Problem: BAD_REQUEST. */
SPL_WARN_UNUSED int spl_framing_check(const char *version, const spl_header *headers, size_t count,
                                      spl_framing *ret_framing, spl_problem *ret_problem);

/* Returns whether `size` bytes are a host with or without a port. */
bool spl_host_valid(const char *host, size_t size);

/* libmicrohttpd before 1.0.0 silently joins folded lines, accepts lines that end in a bare LF, and
 * cuts values at a NUL byte. It parses in place, so the request's memory still shows this. In a
 * proper request, only the two bytes of a CRLF, both overwritten with NUL, lie between the version,
 * the headers and the final empty line. Returns false if anything else lies there. */
bool spl_framing_contiguous(const char *version, const spl_header *headers, size_t count);

#endif

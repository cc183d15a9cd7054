/* SPDX-License-Identifier: MIT
 *
 * Parameters of header values, such as those of Content-Type and Content-Disposition.
 */
#ifndef SPL_SERVICE_HTTP_CONNECTION_HEADER_VALUE_H
#define SPL_SERVICE_HTTP_CONNECTION_HEADER_VALUE_H

#include "base/error.h"

/* The parameter `name` of `header` ("form-data; name=file; filename=\"a \\\"b\\\".wav\""), whose
 * value is a token or a quoted string. There a backslash stands for itself unless a quote or
 * another backslash follows, because browsers do not escape it. *ret_text is the caller's, NULL:
 * there is no such parameter. FORMAT: the header is malformed; MEMORY. */
SPL_WARN_UNUSED int spl_header_parameter(const char *header, const char *name, char **ret_text);

/* In place, "utf-8''a%20b.wav" (RFC 8187) becomes "a b.wav". False: it is malformed or not UTF-8.
 */
bool spl_header_decode_extended(char *text);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Parses the parameters of header values, such as those of Content-Type and Content-Disposition.
 */
#ifndef SPL_SERVICE_HTTP_CONNECTION_HEADER_VALUE_H
#define SPL_SERVICE_HTTP_CONNECTION_HEADER_VALUE_H

#include "base/error.h"

/* Finds the parameter `name` in a header such as `form-data; name=file; filename="a \"b\".wav"`.
 * Its value is a token or a quoted string. In a quoted string a backslash is literal unless a quote
 * or another backslash follows, because browsers do not escape it. *ret_text is the caller's; NULL:
 * there is no such parameter. Errors: FORMAT (the header is malformed), MEMORY. */
SPL_WARN_UNUSED int spl_header_parameter(const char *header, const char *name, char **ret_text);

/* Decodes an extended value (RFC 8187) in place: "utf-8''a%20b.wav" becomes "a b.wav". False: it is
 * malformed or not UTF-8. */
bool spl_header_decode_extended(char *text);

#endif

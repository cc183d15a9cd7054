/* SPDX-License-Identifier: MIT
 *
 * Limits for the headers of HTTP responses that libcurl receives. libcurl keeps all headers in
 * memory, but limits only those before the body. It also decodes compressed transfer codings that
 * were not requested, in calls that neither a timeout nor a cancel can end.
 */
#ifndef SPL_BASE_RESPONSE_HEADERS_H
#define SPL_BASE_RESPONSE_HEADERS_H

#include "base/macros.h"

/* The headers of one transfer, including those of redirects, and trailers. Zeroed before it. */
typedef struct spl_response_headers {
    size_t bytes;
    unsigned lines;
    const char *problem; /* why the transfer was ended; NULL: it was not */
} spl_response_headers;

/* CURLOPT_HEADERFUNCTION; `user` is a spl_response_headers. Ends the transfer at more than 256 KiB
 * or 1000 lines, and at a transfer coding other than "chunked". */
size_t spl_response_headers_take(char *line, size_t unit, size_t count, void *user);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Headers of file transfer: Range (RFC 9110, section 14), entity tags, and names for saving under
 * (RFC 6266).
 */
#ifndef SPL_SERVICE_HTTP_CONNECTION_RANGE_H
#define SPL_SERVICE_HTTP_CONNECTION_RANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum spl_range_kind {
    SPL_RANGE_WHOLE, /* no range, or one that is to be ignored: malformed, several, not bytes */
    SPL_RANGE_PART,  /* *ret_first to *ret_last, both included */
    SPL_RANGE_UNSATISFIABLE, /* outside the file */
} spl_range_kind;

/* `header` may be NULL. The outputs are written for PART only. */
spl_range_kind spl_range_parse(const char *header, uint64_t size_bytes, uint64_t *ret_first,
                               uint64_t *ret_last);

/* Whether `tag` (with its quotes) is in the list of If-None-Match; "*" matches all. Weak and strong
 * compare alike. */
bool spl_etag_listed(const char *list, const char *tag);

/* attachment; filename="..."; filename*=UTF-8''... `name` is UTF-8; controls, separators of paths
 * and changes of direction in it become "_". */
void spl_disposition_write(const char *name, char *ret_header, size_t capacity);

#endif

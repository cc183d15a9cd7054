/* SPDX-License-Identifier: MIT
 *
 * Headers of file transfers: Range (RFC 9110, section 14), entity tags, and download names (RFC
 * 6266).
 */
#ifndef SPL_SERVICE_HTTP_CONNECTION_RANGE_H
#define SPL_SERVICE_HTTP_CONNECTION_RANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum spl_range_kind {
    SPL_RANGE_WHOLE,         /* no range, or one to ignore: malformed, several, not bytes */
    SPL_RANGE_PART,          /* *ret_first to *ret_last, both included */
    SPL_RANGE_UNSATISFIABLE, /* outside the file */
} spl_range_kind;

/* `header` may be NULL. The outputs are written for SPL_RANGE_PART only. */
spl_range_kind spl_range_parse(const char *header, uint64_t size_bytes, uint64_t *ret_first,
                               uint64_t *ret_last);

/* Returns whether `tag` (with its quotes) is in the list of If-None-Match; "*" matches every tag.
 * Weak and strong tags compare equal. */
bool spl_etag_listed(const char *list, const char *tag);

/* Writes: attachment; filename="..."; filename*=UTF-8''... `name` is UTF-8; its control characters,
 * path separators and changes of text direction become "_". */
void spl_disposition_write(const char *name, char *ret_header, size_t capacity);

#endif

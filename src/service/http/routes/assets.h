/* SPDX-License-Identifier: MIT
 *
 * Files that the program carries with it, such as the web page. What they are is decided where they
 * are made (tools/embed_assets.py).
 */
#ifndef SPL_SERVICE_HTTP_ROUTES_ASSETS_H
#define SPL_SERVICE_HTTP_ROUTES_ASSETS_H

#include <stddef.h>
#include <stdint.h>

typedef struct spl_asset {
    const char *file; /* "index.html" */
    const char *type;
    const char *tag;             /* an entity tag, in its quotes */
    const uint8_t *plain, *gzip; /* the content, as it is and packed */
    size_t plain_size, gzip_size;
} spl_asset;

#endif

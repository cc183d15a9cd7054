/* SPDX-License-Identifier: MIT
 *
 * Files embedded in the program, such as the web page. tools/embed_assets.py generates the table.
 */
#ifndef SPL_SERVICE_HTTP_ROUTES_ASSETS_H
#define SPL_SERVICE_HTTP_ROUTES_ASSETS_H

#include <stddef.h>
#include <stdint.h>

typedef struct spl_asset {
    const char *file; /* "index.html" */
    const char *type;
    const char *tag;             /* entity tag, with its quotes */
    const uint8_t *plain, *gzip; /* the content, uncompressed and compressed */
    size_t plain_size, gzip_size;
} spl_asset;

#endif

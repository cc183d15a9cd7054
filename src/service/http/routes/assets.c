/* SPDX-License-Identifier: MIT
 *
 * GET / and GET /assets/{file}: the embedded files. The names of assets contain a hash of their
 * content, so they may be cached forever. The page at / is revalidated on each use, which its
 * entity tag makes cheap.
 */
#include "service/http/routes/assets.h"

#include "service/http/connection/answer.h"
#include "service/http/connection/range.h"
#include "service/http/routes/assets_data.h"
#include "service/http/routes/routes.h"

#include <string.h>

#define POLICY                                                                                     \
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; "   \
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "               \
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

static const spl_asset *find(const char *file) {
    for (size_t i = 0; i < SPL_ARRAY_SIZE(spl_assets); i++) {
        if (strcmp(spl_assets[i].file, file) == 0)
            return &spl_assets[i];
    }
    return NULL;
}

static bool takes_gzip(const spl_request *request) {
    const char *encodings = spl_request_header(request, "Accept-Encoding");
    const char *found = encodings ? strstr(encodings, "gzip") : NULL;
    return found && strncmp(found + 4, ";q=0", 4) != 0;
}

static int send_asset(spl_request *request, const char *file, const char *cache,
                      spl_problem *ret_problem) {
    const spl_asset *asset = find(file);
    if (!asset)
        return spl_refuse_not_found(ret_problem);
    const bool gzip = takes_gzip(request);
    const uint8_t *data = gzip ? asset->gzip : asset->plain;
    const size_t size = gzip ? asset->gzip_size : asset->plain_size;
    spl_answer_header headers[8] = {
        {"Cache-Control", cache},
        {"ETag", asset->tag},
        {"Vary", "Accept-Encoding"},
        {"Content-Security-Policy", POLICY},
        {"Cross-Origin-Opener-Policy", "same-origin"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
    };
    const char *none_match = spl_request_header(request, "If-None-Match");
    if (none_match && spl_etag_listed(none_match, asset->tag))
        return spl_answer_empty(request, MHD_HTTP_NOT_MODIFIED, headers, ret_problem);
    struct MHD_Response *response =
        MHD_create_response_from_buffer(size, (void *)(uintptr_t)data, MHD_RESPMEM_PERSISTENT);
    if (gzip)
        headers[6] = (spl_answer_header){"Content-Encoding", "gzip"};
    if (strcmp(request->method, "HEAD") != 0)
        request->sent_bytes = size;
    return spl_answer_response(request, MHD_HTTP_OK, asset->type, response, headers, ret_problem);
}

int spl_page_answer(spl_request *request, spl_problem *ret_problem) {
    return send_asset(request, "index.html", "no-cache", ret_problem);
}

int spl_asset_answer(spl_request *request, spl_problem *ret_problem) {
    return send_asset(request, request->path_file, "public, max-age=31536000, immutable",
                      ret_problem);
}

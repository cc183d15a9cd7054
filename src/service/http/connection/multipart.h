/* SPDX-License-Identifier: MIT
 *
 * A streaming parser for forms (multipart/form-data, RFC 7578). The part "file" is passed to a sink
 * piece by piece, wherever it occurs; the other parts are small texts, which are kept. Names may be
 * tokens or quoted; a file name may also be extended (filename*=).
 */
#ifndef SPL_SERVICE_HTTP_CONNECTION_MULTIPART_H
#define SPL_SERVICE_HTTP_CONNECTION_MULTIPART_H

#include "service/core/problem.h"

#include <jansson.h>

/* Limits of a form besides its file. */
#define SPL_FORM_FIELD_MAX_BYTES ((size_t)64 << 10)
#define SPL_FORM_FIELDS_MAX      64
#define SPL_FORM_MAX_BYTES       ((size_t)256 << 10) /* names, values, headers of parts */

typedef struct spl_multipart spl_multipart;

typedef struct spl_multipart_sink {
    /* The file starts; `name` and `type` may be NULL. */
    int (*open)(void *user, const char *name, const char *type, spl_problem *ret_problem);
    int (*write)(void *user, const void *data, size_t size, spl_problem *ret_problem);
    void *user;
} spl_multipart_sink;

/* `type` is the request's Content-Type. Problems: BAD_REQUEST (no valid boundary), UNAVAILABLE. */
SPL_WARN_UNUSED int spl_multipart_open(const char *type, const spl_multipart_sink *sink,
                                       spl_multipart **ret_form, spl_problem *ret_problem);
/* Problems: BAD_REQUEST, INVALID, UNAVAILABLE, and those of the sink. After one, no more data may
 * be passed. */
SPL_WARN_UNUSED int spl_multipart_take(spl_multipart *form, const char *data, size_t size,
                                       spl_problem *ret_problem);
/* Call it at the end of the body. *ret_fields is an object of texts and the caller's. The values of
 * a field that came several times are joined by commas. Problem: BAD_REQUEST (the body is
 * incomplete). */
SPL_WARN_UNUSED int spl_multipart_finish(spl_multipart *form, json_t **ret_fields,
                                         spl_problem *ret_problem);
void spl_multipart_free(spl_multipart *form);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Parses the request target: path segments and query, decoded strictly. A scheme and a host before
 * them are accepted and ignored (RFC 9112, section 3.2.2). Anything irregular is refused: percent
 * signs without two digits, control characters, text that is not UTF-8, empty, "." and ".."
 * segments, encoded slashes, repeated parameters.
 */
#ifndef SPL_SERVICE_HTTP_CONNECTION_TARGET_H
#define SPL_SERVICE_HTTP_CONNECTION_TARGET_H

#include "service/core/problem.h"

#define SPL_SEGMENTS_MAX   8
#define SPL_PARAMETERS_MAX 32
#define SPL_TARGET_MAX     4096 /* bytes */

typedef struct spl_parameter {
    const char *name, *value;
} spl_parameter;

typedef struct spl_target {
    char *text; /* storage of the segments and parameters */
    char *path; /* as received, without the query */
    const char *segments[SPL_SEGMENTS_MAX];
    size_t segment_count;
    spl_parameter parameters[SPL_PARAMETERS_MAX];
    size_t parameter_count;
} spl_target;

/* Problems: BAD_REQUEST, URI_TOO_LONG, NOT_FOUND (too many segments), UNAVAILABLE (memory). */
SPL_WARN_UNUSED int spl_target_parse(const char *raw, spl_target *ret_target,
                                     spl_problem *ret_problem);
void spl_target_free(spl_target *target);
/* NULL if absent. */
const char *spl_target_parameter(const spl_target *target, const char *name);

/* Decodes percent-encoding in place. False: a percent sign lacks its two digits or encodes NUL, or
 * the result is not valid text (spl_text_valid). */
bool spl_percent_decode(char *text);

/* Returns whether `size` bytes are UTF-8 without control characters. */
bool spl_text_valid(const char *text, size_t size);

#endif

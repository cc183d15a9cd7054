/* SPDX-License-Identifier: MIT
 *
 * The request's target: path segments and query, decoded strictly. What is not plain is refused
 * rather than guessed at: percent signs without two digits, control characters, text that is not
 * UTF-8, empty, "." and ".." segments, encoded slashes, parameters given twice.
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
    char *text; /* holds what the pointers show */
    char *path; /* as it came, without query */
    const char *segments[SPL_SEGMENTS_MAX];
    size_t segment_count;
    spl_parameter parameters[SPL_PARAMETERS_MAX];
    size_t parameter_count;
} spl_target;

/* Problems: BAD_REQUEST, URI_TOO_LONG, UNAVAILABLE (memory). */
SPL_WARN_UNUSED int spl_target_parse(const char *raw, spl_target *ret_target,
                                     spl_problem *ret_problem);
void spl_target_free(spl_target *target);
/* NULL when it is not there. */
const char *spl_target_parameter(const spl_target *target, const char *name);

/* Decodes percent signs in place. False: one is without two digits, it hides a NUL, or the text is
 * not valid (see below). */
bool spl_percent_decode(char *text);

/* Whether `size` bytes are UTF-8 without control characters. */
bool spl_text_valid(const char *text, size_t size);

#endif

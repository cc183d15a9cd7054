/* SPDX-License-Identifier: MIT
 *
 * Members of JSON objects, checked. `path` names the file in messages.
 *
 * Strings that are returned belong to the JSON value.
 */
#ifndef SPL_LIB_FORMATS_JSON_H
#define SPL_LIB_FORMATS_JSON_H

#include "base/json.h"

/* Parses one object; a key that stands twice is refused. The caller owns the result. */
SPL_WARN_UNUSED int spl_json_parse(const void *text, size_t size, const char *path,
                                   json_t **ret_object, spl_error *ret_error);

#define SPL_JSON_FILE_MAX_BYTES ((size_t)1 << 20)

/* Parses the file at `path`, of at most SPL_JSON_FILE_MAX_BYTES; a byte order mark is skipped. */
SPL_WARN_UNUSED int spl_json_parse_file(const char *path, json_t **ret_object,
                                        spl_error *ret_error);

/* Whether `text` has no control characters. */
bool spl_json_is_line(const char *text);

/* A string for which spl_json_is_line is true. */
SPL_WARN_UNUSED int spl_json_get_line(const json_t *object, const char *key, const char *path,
                                      const char **ret_line, spl_error *ret_error);

/* An integer from `low` to `high`. */
SPL_WARN_UNUSED int spl_json_get_unsigned(const json_t *object, const char *key, unsigned low,
                                          unsigned high, const char *path, unsigned *ret_number,
                                          spl_error *ret_error);

/* One of `count` texts, as its index. */
SPL_WARN_UNUSED int spl_json_get_choice(const json_t *object, const char *key,
                                        const char *const *choices, size_t count, const char *path,
                                        unsigned *ret_index, spl_error *ret_error);

/* Succeeds if the integer `key` is `supported`; UNSUPPORTED if it is another. */
SPL_WARN_UNUSED int spl_json_expect_unsigned(const json_t *object, const char *key,
                                             unsigned supported, const char *path,
                                             spl_error *ret_error);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Checked access to members of JSON objects. `path` names the file in messages.
 *
 * Returned strings belong to the JSON value.
 */
#ifndef SPL_LIB_FORMATS_JSON_H
#define SPL_LIB_FORMATS_JSON_H

#include "base/json.h"

/* Parses one object. Rejects duplicate keys. The caller owns *ret_object. */
SPL_WARN_UNUSED int spl_json_parse(const void *text, size_t size, const char *path,
                                   json_t **ret_object, spl_error *ret_error);

#define SPL_JSON_FILE_MAX_BYTES ((size_t)1 << 20)

/* Parses the file at `path`, which may have at most SPL_JSON_FILE_MAX_BYTES. Skips a byte order
 * mark. */
SPL_WARN_UNUSED int spl_json_parse_file(const char *path, json_t **ret_object,
                                        spl_error *ret_error);

/* Whether `text` has no control characters. */
bool spl_json_is_line(const char *text);

/* Gets a string for which spl_json_is_line is true. */
SPL_WARN_UNUSED int spl_json_get_line(const json_t *object, const char *key, const char *path,
                                      const char **ret_line, spl_error *ret_error);

/* Gets an integer from `low` to `high`. */
SPL_WARN_UNUSED int spl_json_get_unsigned(const json_t *object, const char *key, unsigned low,
                                          unsigned high, const char *path, unsigned *ret_number,
                                          spl_error *ret_error);

/* Gets a string that must be one of the `count` choices, as its index. */
SPL_WARN_UNUSED int spl_json_get_choice(const json_t *object, const char *key,
                                        const char *const *choices, size_t count, const char *path,
                                        unsigned *ret_index, spl_error *ret_error);

/* Succeeds if the integer `key` equals `supported`; UNSUPPORTED for another integer. */
SPL_WARN_UNUSED int spl_json_expect_unsigned(const json_t *object, const char *key,
                                             unsigned supported, const char *path,
                                             spl_error *ret_error);

#endif

/* SPDX-License-Identifier: MIT
 *
 * The only entry to jansson's parser. Jansson recurses to parse, write, copy and free a value, so
 * the depth limit applied here bounds the stack of all later operations on the value.
 */
#ifndef SPL_BASE_JSON_H
#define SPL_BASE_JSON_H

#include "base/error.h"

#include <jansson.h>

/* The maximum nesting of arrays and objects. The service accepts half of it from clients
 * (client_json.h), because it wraps their values in its own and parses the result again. */
#define SPL_JSON_DEPTH_MAX 64

/* The nesting depth of arrays and objects in valid JSON `text`. For other text it is an upper bound
 * of the depth that a parser reaches. */
size_t spl_json_depth(const void *text, size_t size);

/* An upper bound of the number of values in `text`. An empty object takes 80 times as much memory
 * as its text. */
size_t spl_json_values(const void *text, size_t size);

/* Parses the `size` bytes at `text` (NULL: empty) and rejects duplicate keys. `flags` are
 * additional jansson flags. The caller owns *ret_value. Errors: FORMAT (not JSON), LIMIT (deeper
 * than SPL_JSON_DEPTH_MAX), MEMORY. The message continues a sentence that begins with the name of
 * the text: "is not valid JSON: line 3, column 14: ...". */
SPL_WARN_UNUSED int spl_json_load(const void *text, size_t size, size_t flags, json_t **ret_value,
                                  spl_error *ret_error);

/* Parses a text that this program wrote, of any type. Returns NULL if `text` is NULL, is not valid
 * or memory ran out. */
json_t *spl_json_load_own(const char *text);

/* For SPL_CLEANUP. */
static inline void spl_json_free_p(json_t **value) {
    json_decref(*value);
}

#endif

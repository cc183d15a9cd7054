/* SPDX-License-Identifier: MIT
 *
 * The program's only way into jansson's parser. Jansson recurses to parse, write, copy and free a
 * value, so the depth that is accepted here bounds the stack of all that is done with it later.
 */
#ifndef SPL_BASE_JSON_H
#define SPL_BASE_JSON_H

#include "base/error.h"

#include <jansson.h>

/* Arrays and objects inside each other. The service takes half of it from its clients
 * (http/client_json.h), because it reads what it wrote around that again. */
#define SPL_JSON_DEPTH_MAX 64

/* How deep arrays and objects in `text` are nested, of valid JSON; of other text an upper bound of
 * what a parser enters. */
size_t spl_json_depth(const void *text, size_t size);

/* An upper bound of the values in `text`, of which an empty object takes 80 times its text in
 * memory. */
size_t spl_json_values(const void *text, size_t size);

/* Parses the `size` bytes at `text` (NULL: empty), where a key that stands twice in an object is
 * refused; `flags` are more of jansson's. *ret_value is the caller's. FORMAT: it is not JSON;
 * LIMIT: deeper than SPL_JSON_DEPTH_MAX; MEMORY. The message continues a sentence that begins with
 * the name of the text: "is not valid JSON: line 3: ...". */
SPL_WARN_UNUSED int spl_json_load(const void *text, size_t size, size_t flags, json_t **ret_value,
                                  spl_error *ret_error);

/* The value of a text that this program wrote, of any type. NULL: there is no text, it can't be
 * read, or memory ran out. */
json_t *spl_json_load_own(const char *text);

/* For SPL_CLEANUP. */
static inline void spl_json_free_p(json_t **value) {
    json_decref(*value);
}

#endif

/* SPDX-License-Identifier: MIT
 *
 * Untrusted text as JSON strings.
 */
#ifndef SPL_SERVICE_OBSERVE_JSON_H
#define SPL_SERVICE_OBSERVE_JSON_H

#include <jansson.h>

#define SPL_JSON_TEXT_SIZE 1025

/* Returns `text` as a JSON string of at most 1,024 bytes, cut between characters. U+FFFD replaces
 * what is not valid UTF-8, and NULL gives null. Returns NULL when memory runs out. */
json_t *spl_json_text(const char *text);

/* Returns `object` as one line of ASCII without a line end, so that no text can end a line or reach
 * a terminal as a control sequence. The caller frees it; NULL when memory runs out. */
char *spl_json_line(const json_t *object);

#endif

/* SPDX-License-Identifier: MIT
 *
 * A separation as JSON. The options have the names of the command's:
 *
 *     {"model": "4stems", "stems": ["vocals"],
 *      "mixes": {"karaoke": ["drums", "bass", "other"]}, "codec": "flac", "bitrate": "320k",
 *      "bit_depth": "24", "bandwidth": "full", "mwf": false, "keep_format": false,
 *      "offset": 0, "duration": 30}
 *
 * Every value may also be a text as spl_separation_set takes it, which is what forms and queries
 * have: "stems": "vocals,drums", "mixes": "karaoke=drums+bass+other", "mwf": "true".
 */
#ifndef SPL_APP_REQUEST_SEPARATION_JSON_H
#define SPL_APP_REQUEST_SEPARATION_JSON_H

#include "app/request/separation.h"

#include <jansson.h>

/* Sets the options in `object`; null and missing ones keep their values. Errors: ARGUMENT, with the
 * name of the option in *ret_field, which belongs to `object` or is static; MEMORY. */
SPL_WARN_UNUSED int spl_separation_read_json(spl_separation *separation, const json_t *object,
                                             const char **ret_field, spl_error *ret_error);

/* Canonical JSON: equal separations give equal text, whatever their order and spelling, and reading
 * the text gives the same separation. *ret_text is owned by the caller. Errors: MEMORY. */
SPL_WARN_UNUSED int spl_separation_text(const spl_separation *separation, char **ret_text,
                                        spl_error *ret_error);

#endif

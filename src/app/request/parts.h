/* SPDX-License-Identifier: MIT
 *
 * What is written of a song: stems, and mixes of several.
 */
#ifndef SPL_APP_REQUEST_PARTS_H
#define SPL_APP_REQUEST_PARTS_H

#include "app/pipeline/pipeline.h"

/* The files written for a song; their paths or descriptors are missing. */
typedef struct spl_parts {
    spl_output outputs[SPL_OUTPUTS_MAX];
    size_t count;
    char *mix_names[SPL_OUTPUTS_MAX]; /* owned; the names of stems are the model's */
    size_t mix_count;
} spl_parts;

/* A name in a list; not terminated. */
typedef struct spl_name {
    const char *text;
    size_t length;
} spl_name;

/* Takes the first name of `list`, up to `separator` or the end, without the spaces around it.
 * Returns the rest of the list behind the separator, or NULL when that was the last name. */
const char *spl_names_next(const char *list, char separator, spl_name *ret_name);

/* Selects stems and mixes of `model`. `stems` is "vocals,drums" or NULL, each of `mixes` is
 * "name=vocals+drums". There may be spaces around each name. Without `stems` all stems are written,
 * unless there are mixes: then only those are. Errors: ARGUMENT, MEMORY. */
SPL_WARN_UNUSED int spl_parts_select(const spl_model_info *model, const char *stems,
                                     const char *const *mixes, size_t mix_count,
                                     spl_parts *ret_parts, spl_error *ret_error);

void spl_parts_free(spl_parts *parts);

#endif

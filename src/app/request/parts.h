/* SPDX-License-Identifier: MIT
 *
 * Selects the outputs of a song: stems, and mixes of several stems.
 */
#ifndef SPL_APP_REQUEST_PARTS_H
#define SPL_APP_REQUEST_PARTS_H

#include "app/pipeline/pipeline.h"

/* The files to write for a song, without their paths or descriptors. */
typedef struct spl_parts {
    spl_output outputs[SPL_OUTPUTS_MAX];
    size_t count;
    char *mix_names[SPL_OUTPUTS_MAX]; /* owned; stem names are owned by the model */
    size_t mix_count;
} spl_parts;

/* A name in a list; not terminated. */
typedef struct spl_name {
    const char *text;
    size_t length;
} spl_name;

/* Reads the first name of `list`, up to `separator` or the end, without the spaces around it.
 * Returns the rest of the list after the separator, or NULL after the last name. */
const char *spl_names_next(const char *list, char separator, spl_name *ret_name);

/* Selects stems and mixes of `model`. `stems` is NULL or a list such as "vocals,drums"; each of
 * `mixes` is of the form "name=vocals+drums". Spaces around names are ignored. Without `stems`, the
 * mixes are selected, or all stems if there are no mixes. ret_parts refers to `model`, which must
 * outlive it. Errors: ARGUMENT, MEMORY. */
SPL_WARN_UNUSED int spl_parts_select(const spl_model_info *model, const char *stems,
                                     const char *const *mixes, size_t mix_count,
                                     spl_parts *ret_parts, spl_error *ret_error);

void spl_parts_free(spl_parts *parts);

#endif

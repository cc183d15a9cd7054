/* SPDX-License-Identifier: MIT
 *
 * Identifies a model's weights by a checksum.
 */
#ifndef SPL_APP_MODELS_WEIGHTS_ID_H
#define SPL_APP_MODELS_WEIGHTS_ID_H

#include "base/error.h"

#include <spleeter/model.h>

/* The SHA-256 of the concatenated SHA-256 checksums of the stems' networks (64 hex digits each, in
 * the order of the stems, no separator); "" for a model whose networks are read from a checkpoint.
 * Errors: MEMORY. */
SPL_WARN_UNUSED int spl_weights_id(const spl_model_info *info, char ret_hex[65],
                                   spl_error *ret_error);

#endif

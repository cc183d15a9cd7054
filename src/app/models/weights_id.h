/* SPDX-License-Identifier: MIT
 *
 * Which weights a model has, as a number that can be compared.
 */
#ifndef SPL_APP_MODELS_WEIGHTS_ID_H
#define SPL_APP_MODELS_WEIGHTS_ID_H

#include "base/error.h"

#include <spleeter/model.h>

/* The SHA-256 of the SHA-256 of each stem's net (64 hex digits each, in the order of the stems,
 * nothing between); "" for a model whose nets are read from a checkpoint. Errors: MEMORY. */
SPL_WARN_UNUSED int spl_weights_id(const spl_model_info *info, char ret_hex[65],
                                   spl_error *ret_error);

#endif

/* SPDX-License-Identifier: MIT
 *
 * What the engine sees of an open model, beyond the public spl_model_get_info.
 */
#ifndef SPL_LIB_MODEL_MODEL_H
#define SPL_LIB_MODEL_MODEL_H

#include "lib/networks/unet/unet.h"

/* The net of the `stem`-th stem or group of spl_model_info; owned by the model. Those whose nets
 * have the same SHA-256 share one; all have the same filters. */
const spl_unet *spl_model_unet(const spl_model *model, unsigned stem);

/* Nets are prepared while spl_model_open has returned already; this waits until they can run. */
void spl_model_await(const spl_model *model);

#endif

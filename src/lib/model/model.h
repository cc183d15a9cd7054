/* SPDX-License-Identifier: MIT
 *
 * The engine's interface to an open model, in addition to spl_model_get_info.
 */
#ifndef SPL_LIB_MODEL_MODEL_H
#define SPL_LIB_MODEL_MODEL_H

#include "lib/networks/unet/unet.h"

/* Returns the network of the `stem`-th stem or group of spl_model_info; the model owns it. Stems
 * whose networks have the same SHA-256 share one. All networks of a model have the same filters. */
const spl_unet *spl_model_unet(const spl_model *model, unsigned stem);

/* Waits until the networks are prepared; spl_model_open returns before they are. Thread-safe. */
void spl_model_await(const spl_model *model);

#endif

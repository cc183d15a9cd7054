/* SPDX-License-Identifier: MIT
 *
 * One U-Net: weights prepared for the kernels of this CPU, and the graph that runs them.
 */
#ifndef SPL_MODEL_UNET_H
#define SPL_MODEL_UNET_H

#include "model/net.h"

typedef struct spl_unet spl_unet;

/* Copies `weights` into the kernels' layout; they may go away afterwards. The result is immutable and may be used by many threads at once. */
SPL_WARN_UNUSED int spl_unet_new(const spl_net_weights *weights, spl_unet **ret_unet,
                                 spl_error *ret_error);

/* Frees; NULL is allowed. */
void spl_unet_free(spl_unet *unet);

#endif

/* SPDX-License-Identifier: MIT
 *
 * One U-Net: weights prepared for the kernels of this CPU, and the graph that runs them.
 *
 * After A. Jansson et al., "Singing voice separation with deep U-Net convolutional networks", ISMIR
 * 2017, as deezer/spleeter has it:
 *
 *   encoder i = 1..6: 5x5 convolution of stride 2, its sums are the skip; then norm, activation
 *   decoder i = 1..6: 5x5 transposed convolution of stride 2, activation, norm; its input is the
 * sixth encoder's sums, then [skip, result] side by side mask: 4x4 convolution of dilation 2,
 * sigmoid, times the input magnitudes (or the logits, for a softmax over stems)
 */
#ifndef SPL_LIB_NETWORKS_UNET_UNET_H
#define SPL_LIB_NETWORKS_UNET_UNET_H

#include "base/pool.h"
#include "lib/networks/unet/net.h"

#include <spleeter/separate.h>

typedef struct spl_unet spl_unet;

/* Makes room for `weights`; the net is ready after all parts were prepared. */
SPL_WARN_UNUSED int spl_unet_new(const spl_net_weights *weights, spl_unet **ret_unet,
                                 spl_error *ret_error);

#define SPL_UNET_PARTS (2 * SPL_UNET_DEPTH)

/* Copies a part of `weights`, 0 to SPL_UNET_PARTS - 1, into the kernels' layout; larger parts come
 * first, and several threads may prepare one each. Afterwards the weights may go away, and the net
 * is immutable and may be used by many threads at once. */
void spl_unet_prepare(const spl_unet *unet, const spl_net_weights *weights, unsigned part);

/* Frees; NULL is allowed. */
void spl_unet_free(spl_unet *unet);

/* Filters of the six encoder layers. */
const unsigned *spl_unet_filters(const spl_unet *unet);

/* The activations of one segment while it passes through `unet` or another net with the same
 * filters, on a pool of `threads`. Belongs to one thread. `frames` and `bins` are multiples of 64.
 */
typedef struct spl_unet_workspace spl_unet_workspace;

SPL_WARN_UNUSED int spl_unet_workspace_new(const spl_unet *unet, unsigned frames, unsigned bins,
                                           unsigned threads, spl_unet_workspace **ret_workspace,
                                           spl_error *ret_error);

/* Frees; NULL is allowed. */
void spl_unet_workspace_free(spl_unet_workspace *workspace);

/* Where the magnitudes of `frame` go before spl_unet_run: [bins][2], left and right. They stay
 * until overwritten. */
float *spl_unet_workspace_input(spl_unet_workspace *workspace, unsigned frame);

/* Runs the net on the workspace's input, for what the first `wanted` frames of the result need of
 * it. `magnitudes` are the same numbers as [frames][2][bins]; NULL: logits are wanted. Of
 * `estimates` [frames][2][bins] the wanted frames are written, and perhaps others. Seconds and
 * operations of each layer are added to `timings`. Between layers `canceled` is asked on the
 * calling thread; true ends with CANCELED. */
SPL_WARN_UNUSED int spl_unet_run(const spl_unet *unet, spl_unet_workspace *workspace,
                                 spl_pool *pool, unsigned wanted, const float *magnitudes,
                                 float *estimates, spl_timings *timings,
                                 bool (*canceled)(void *user), void *user);

#endif

/* SPDX-License-Identifier: MIT
 *
 * One U-Net: weights in the layout of this CPU's kernels, and the graph that runs them.
 *
 * After A. Jansson et al., "Singing voice separation with deep U-Net convolutional networks", ISMIR
 * 2017, as implemented by deezer/spleeter:
 *
 *   encoder i = 1..6   5x5 convolution of stride 2, whose sums are the skip; then norm and
 *                      activation
 *   decoder i = 1..6   5x5 transposed convolution of stride 2, activation, norm; its input is the
 *                      sixth encoder's sums, then [skip, result] side by side
 *   mask               4x4 convolution of dilation 2, sigmoid, times the input magnitudes (or the
 *                      logits, for a softmax over stems)
 */
#ifndef SPL_LIB_NETWORKS_UNET_UNET_H
#define SPL_LIB_NETWORKS_UNET_UNET_H

#include "base/pool.h"
#include "lib/networks/unet/network.h"

#include <spleeter/separate.h>

typedef struct spl_unet spl_unet;

/* Allocates a network for `weights`. It is ready once all its parts are prepared
 * (spl_unet_prepare). */
SPL_WARN_UNUSED int spl_unet_new(const spl_network_weights *weights, spl_unet **ret_unet,
                                 spl_error *ret_error);

#define SPL_UNET_PARTS (2 * SPL_UNET_DEPTH)

/* Copies part `part` of `weights`, 0 to SPL_UNET_PARTS - 1, into the kernels' layout. Larger parts
 * come first. Several threads may each prepare a different part. Once all are prepared the weights
 * may be freed, and the network is immutable and any number of threads may use it at once. */
void spl_unet_prepare(const spl_unet *unet, const spl_network_weights *weights, unsigned part);

/* Frees; NULL is allowed. */
void spl_unet_free(spl_unet *unet);

/* The activations of one segment in `unet`, or in another network with the same filters, on a pool
 * of `threads` threads. Belongs to one thread. `frames` and `bins` are multiples of 64. */
typedef struct spl_unet_workspace spl_unet_workspace;

SPL_WARN_UNUSED int spl_unet_workspace_new(const spl_unet *unet, unsigned frames, unsigned bins,
                                           unsigned threads, spl_unet_workspace **ret_workspace,
                                           spl_error *ret_error);

/* Frees; NULL is allowed. */
void spl_unet_workspace_free(spl_unet_workspace *workspace);

/* Returns the buffer for the magnitudes of `frame`, to be filled before spl_unet_run: [bins][2],
 * left and right. They stay until overwritten. */
float *spl_unet_workspace_input(spl_unet_workspace *workspace, unsigned frame);

/* One run of a network on the input of its workspace. */
typedef struct spl_unet_job {
    spl_unet_workspace *workspace;
    spl_pool *pool;
    unsigned frames; /* how many frames of the result are needed, from the first on */
    /* The same values as the input, as [frames][2][bins]; NULL: output logits. */
    const float *magnitudes;
    float *estimates;     /* [frames][2][bins]; frames after the needed ones may be written */
    spl_timings *timings; /* the seconds and operations of each layer are added */
    /* Called between layers on the calling thread; true cancels the run. */
    bool (*canceled)(void *user);
    void *user;
} spl_unet_job;

/* Runs the network. Errors: CANCELED. */
SPL_WARN_UNUSED int spl_unet_run(const spl_unet *unet, const spl_unet_job *job);

#endif

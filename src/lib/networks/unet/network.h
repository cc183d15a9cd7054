/* SPDX-License-Identifier: MIT
 *
 * The weights of one network, as pointers into the mapping of its file.
 *
 * The code that fills this struct has checked every shape against the U-Net with filters n[0..5]
 * (16 32 64 128 256 512 in the official models):
 *
 *   encoder[i].kernel  [5, 5, i ? n[i-1] : 2, n[i]]      convolution, stride 2
 *   decoder[i].kernel  [5, 5, out, in]                   transposed convolution, stride 2,
 *                      out = i < 5 ? n[4-i] : 1,  in = i ? 2 * n[5-i] : n[5]
 *   mask.kernel        [4, 4, 1, 2]                      convolution, dilation 2
 */
#ifndef SPL_LIB_NETWORKS_UNET_NETWORK_H
#define SPL_LIB_NETWORKS_UNET_NETWORK_H

#include "lib/formats/tensor.h"

#include <spleeter/model.h>

#define SPL_UNET_DEPTH       6
#define SPL_UNET_FILTERS_MAX 4096

/* Batch norm: y = gamma * (x - mean) / sqrt(variance + 1e-3) + beta, one value per channel. */
typedef struct spl_norm_weights {
    const float *gamma, *beta, *mean, *variance;
} spl_norm_weights;

typedef struct spl_layer_weights {
    const float *kernel;
    const float *bias;
    spl_norm_weights norm; /* all NULL in encoder[5] and mask, which have no norm */
} spl_layer_weights;

typedef struct spl_network_weights {
    unsigned filters[SPL_UNET_DEPTH]; /* 1 to SPL_UNET_FILTERS_MAX each */
    spl_activation conv_activation, deconv_activation;
    spl_layer_weights encoder[SPL_UNET_DEPTH], decoder[SPL_UNET_DEPTH], mask;
} spl_network_weights;

/* Tensors in one network: 11 layers with kernel, bias and norm, 2 without norm. */
#define SPL_NETWORK_TENSORS (11 * 6 + 2 * 2)

/* One tensor of a network: its name in spleeterd's files, its shape, and its place in
 * spl_network_weights. */
typedef struct spl_network_tensor {
    char name[40]; /* "decoder.3.norm.moving_variance" */
    const float **data;
    unsigned rank;
    size_t shape[SPL_TENSOR_RANK_MAX];
} spl_network_tensor;

/* Lists the tensors of `weights`, whose filters are set, in the order of spleeterd's files. */
void spl_network_list_tensors(spl_network_weights *weights,
                              spl_network_tensor ret_tensors[SPL_NETWORK_TENSORS]);

/* Fills *ret_weights (filters and tensors) from `source`. Checks every shape, and that every weight
 * is finite and no variance negative. The activations are stored unchecked. *ret_parameters is the
 * number of weights. */
SPL_WARN_UNUSED int spl_network_read(spl_tensor_source source, spl_activation conv_activation,
                                     spl_activation deconv_activation,
                                     spl_network_weights *ret_weights, uint64_t *ret_parameters,
                                     spl_error *ret_error);

/* Succeeds if `weights`, which come from `path`, have the numbers of filters in `filters`.
 * `authority` is where those are from. Both names are for the message. */
SPL_WARN_UNUSED int spl_network_check_filters(const spl_network_weights *weights, const char *path,
                                              const unsigned filters[SPL_UNET_DEPTH],
                                              const char *authority, spl_error *ret_error);

/* Returns "relu", "leaky_relu" or "elu", as used in spleeterd's files. */
const char *spl_activation_name(spl_activation activation);

/* Finds an activation by name; returns false when there is none. */
bool spl_activation_from_name(const char *name, spl_activation *ret_activation);

#endif

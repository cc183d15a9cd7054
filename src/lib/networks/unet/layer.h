/* SPDX-License-Identifier: MIT
 *
 * One convolution layer of a U-Net: weights in the kernels' layout, and the division of work among
 * threads.
 *
 * Activations are [row][column][channel] with a border of zeros wide enough for the layer that
 * reads them, so that no layer needs special cases at the edges.
 *
 * A layer with enough channels runs by Winograd's algorithm, others directly. A 5x5 convolution of
 * stride 2 is the sum of four of stride 1, one for each parity of the input row and column, with 3
 * or 2 taps in each dimension. A transposed one is four of stride 1, one for each parity of the
 * output row and column. Input row i and output row o meet in kernel row k = o + 1 - 2 i, so output
 * row 2 j + p reads input rows j - 1 + a with k = p + 3 - 2 a.
 */
#ifndef SPL_LIB_NETWORKS_UNET_LAYER_H
#define SPL_LIB_NETWORKS_UNET_LAYER_H

#include "base/arena.h"
#include "base/pool.h"
#include "lib/kernels/kernels.h"
#include "lib/networks/unet/network.h"

/* A tensor with a border of zeros. */
typedef struct spl_plane {
    unsigned rows, columns, channels; /* without the border */
    size_t row_floats;                /* floats between rows */
    /* First float of the border; the first tap of the layer that reads the plane. */
    float *corner;
    float *origin; /* channel 0 of row 0, column 0 */
} spl_plane;

typedef struct spl_layer {
    const spl_kernels *kernels;
    bool transposed;
    unsigned in, out; /* channels */
    spl_activation activation;
    bool winograd;
    float *weights[4];
    float *bias, *scale, *shift; /* [out], padded to whole panels */
} spl_layer;

/* Allocates zeroed memory for a layer from `arena`. Its fields up to `activation` must be set. */
void spl_layer_place(spl_layer *layer, spl_arena *arena);

/* Fills the memory of a layer; changes none of its fields. */
void spl_layer_fill(const spl_layer *layer, const spl_layer_weights *weights);

/* The number of floats of scratch memory for a run with an input of rows x columns. */
size_t spl_layer_scratch(const spl_layer *layer, unsigned rows, unsigned columns, unsigned threads);

/* The destination of a layer's values: channel `channel` of a plane. A NULL plane discards them. */
typedef struct spl_layer_target {
    const spl_plane *plane;
    unsigned channel;
} spl_layer_target;

typedef struct spl_layer_run {
    spl_pool *pool;
    float *scratch;
    const spl_plane *in;
    /* Output rows that are needed; others may be overwritten with arbitrary values. */
    unsigned rows;
    spl_layer_target raw; /* sums plus bias */
    /* After norm and activation; if transposed, after activation and norm. */
    spl_layer_target out;
} spl_layer_run;

/* Runs the layer on all threads of the pool. */
void spl_layer_apply(const spl_layer *layer, const spl_layer_run *run);

/* The operations of a run by direct convolution; a multiply-add counts as two. */
double spl_layer_flop(const spl_layer *layer, const spl_layer_run *run);

/* The border that a layer's input needs: rows and columns of zeros before and after it. */
#define SPL_LAYER_BORDER_BEFORE 1
unsigned spl_layer_border_after(bool transposed);

#endif

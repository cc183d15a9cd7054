/* SPDX-License-Identifier: MIT
 *
 * The memory layout of a layer's weights.
 *
 * Phase f of a layer is one of its four convolutions of stride 1. It has 3 rows of taps for f < 2,
 * otherwise 2, and 3 columns of taps for even f, otherwise 2. "Plain" means not transposed.
 *
 *   direct     weights[phase] is [panel][row][column * in + channel][16]; a plain layer has one
 *              window of 5x5, in weights[0]
 *   single     (a transposed layer with one output channel) [in][25]: for each row and column of
 *              the 3x3 input window, its taps
 *   Winograd   all in weights[0]
 *     few weights are kept transformed:
 *              transposed   [phase][panel][element][in][16], only elements that the phase has
 *              plain        [panel][element][f * in + channel][16]: the phases that have the
 *                           element are input channels of one product
 *     many weights are kept as taps and transformed when they are needed:
 *              transposed   [phase][panel][in][taps of the phase][16]
 *              plain        [panel][phase][in][taps of the phase][16]
 */
#ifndef SPL_LIB_NETWORKS_UNET_LAYER_LAYOUT_H
#define SPL_LIB_NETWORKS_UNET_LAYER_LAYOUT_H

#include "lib/networks/unet/layer.h"

enum {
    PANEL = SPL_PANEL,
    KERNEL = 5,
    SIDE = SPL_WINOGRAD_SIDE,
    ELEMENTS = SPL_WINOGRAD_ELEMENTS,
    PHASES = 4,
};

static inline unsigned panels_of(const spl_layer *layer) {
    return (layer->out + PANEL - 1) / PANEL;
}

static inline bool is_single(const spl_layer *layer) {
    return layer->transposed && layer->out == 1;
}

static inline bool three_rows(unsigned phase) {
    return phase < 2;
}

static inline bool three_columns(unsigned phase) {
    return phase % 2 == 0;
}

static inline unsigned tap_rows(unsigned phase) {
    return three_rows(phase) ? 3 : 2;
}

static inline unsigned tap_columns(unsigned phase) {
    return three_columns(phase) ? 3 : 2;
}

/* Whether transformed weights are kept: up to 3 MiB of them. */
static inline bool keeps_transformed(const spl_layer *layer) {
    return (size_t)ELEMENTS * PHASES * layer->in * layer->out * sizeof(float) <= (size_t)3 << 20;
}

/* Rows and columns of a phase's transformed weights. The phases of a plain layer together have as
 * many as phase 0. */
static inline unsigned element_rows(unsigned phase) {
    return three_rows(phase) ? SIDE : SIDE - 1;
}

static inline unsigned element_columns(unsigned phase) {
    return three_columns(phase) ? SIDE : SIDE - 1;
}

/* The product of one element, as rows and runs of the input channels. In a plain layer it adds up
 * the phases that have the element: all, or 0 and 1 in the row at infinity, 0 and 2 in the column
 * at infinity, only 0 where both are. */
typedef struct product {
    unsigned rows, run; /* in units of `in` */
} product;

static inline product product_at(const spl_layer *layer, unsigned element) {
    const bool row_infinity = element / SIDE == SIDE - 1,
               column_infinity = element % SIDE == SIDE - 1;
    if (layer->transposed)
        return (product){.rows = 1, .run = 1};
    return (product){.rows = column_infinity && !row_infinity ? 2 : 1,
                     .run = column_infinity ? 1
                            : row_infinity  ? 2
                                            : 4};
}

static inline bool phase_has_element(unsigned phase, unsigned element) {
    return element / SIDE < element_rows(phase) && element % SIDE < element_columns(phase);
}

/* The number of floats in a panel's transformed weights of `phase` before those of element
 * `element`. */
static inline size_t element_offset(const spl_layer *layer, unsigned phase, unsigned element) {
    size_t depth = 0;
    for (unsigned p = 0; p < element; p++)
        if (!layer->transposed || phase_has_element(phase, p))
            depth += (size_t)product_at(layer, p).rows * product_at(layer, p).run;
    return depth * layer->in * PANEL;
}

static inline size_t taps_of(const spl_layer *layer, unsigned phase) {
    return (size_t)tap_rows(phase) * tap_columns(phase) * layer->in * PANEL;
}

/* The number of floats before the taps of a panel in a phase. */
static inline size_t taps_offset(const spl_layer *layer, unsigned phase, unsigned panel) {
    size_t before = 0, all = 0;
    for (unsigned f = 0; f < PHASES; f++) {
        before += f < phase ? taps_of(layer, f) : 0;
        all += taps_of(layer, f);
    }
    return layer->transposed ? before * panels_of(layer) + panel * taps_of(layer, phase)
                             : panel * all + before;
}

/* Transforms taps of `channels` input channels to row `row` of the transformed weights. Columns are
 * `step` floats apart; the one at infinity goes to `last`. */
static inline void transform_taps(const spl_layer *layer, unsigned phase, unsigned row,
                                  unsigned channels, const float *taps, float *transformed,
                                  size_t step, float *last) {
    layer->kernels->winograd_weights(&(spl_winograd_weights){
        .row = row,
        .tap_rows = tap_rows(phase),
        .tap_columns = tap_columns(phase),
        .channels = channels,
        .taps = taps,
        .transformed = transformed,
        .element_step = step,
        .last = last,
    });
}

#endif

/* SPDX-License-Identifier: MIT
 *
 * Convolution layers: memory and packing of weights.
 */
#include "lib/networks/unet/layer_layout.h"

#include <math.h>
#include <string.h>

/* The row (or column) of the 5x5 kernel for a tap of a phase with `taps` taps. */
static unsigned kernel_index(bool transposed, unsigned taps, unsigned tap) {
    return transposed ? taps + 1 - 2 * tap : 2 * tap + (taps == 2);
}

/* The weight from input channel i to output channel o. Kernels are [5][5][in][out], transposed ones
 * [5][5][out][in]. */
static float kernel_at(const spl_layer *layer, const float *kernel, unsigned row, unsigned column,
                       unsigned i, unsigned o) {
    if (o >= layer->out)
        return 0;
    const float *matrix = kernel + (size_t)(row * KERNEL + column) * layer->in * layer->out;
    return layer->transposed ? matrix[(size_t)o * layer->in + i]
                             : matrix[(size_t)i * layer->out + o];
}

static void fill_channels(const spl_layer *layer, const spl_layer_weights *weights) {
    for (unsigned lane = 0; lane < panels_of(layer) * PANEL; lane++) {
        const unsigned o = is_single(layer) ? 0 : SPL_MIN(lane, layer->out - 1);
        layer->bias[lane] = weights->bias[o];
        if (!weights->norm.gamma)
            continue;
        const spl_norm_weights *norm = &weights->norm;
        const double factor = (double)norm->gamma[o] / sqrt((double)norm->variance[o] + 1e-3);
        layer->scale[lane] = (float)factor;
        layer->shift[lane] = (float)((double)norm->beta[o] - (double)norm->mean[o] * factor);
    }
}

static void fill_direct(const spl_layer *layer, const float *kernel) {
    float *packed = layer->weights[0];
    for (unsigned panel = 0; panel < panels_of(layer); panel++)
        for (unsigned row = 0; row < KERNEL; row++)
            for (unsigned column = 0; column < KERNEL; column++)
                for (unsigned i = 0; i < layer->in; i++)
                    for (unsigned lane = 0; lane < PANEL; lane++)
                        *packed++ = kernel_at(layer, kernel, row, column, i, panel * PANEL + lane);
}

static void fill_direct_transposed(const spl_layer *layer, const float *kernel, unsigned phase) {
    const unsigned rows = tap_rows(phase), columns = tap_columns(phase);
    float *packed = layer->weights[phase];
    for (unsigned panel = 0; panel < panels_of(layer); panel++)
        for (unsigned row = 0; row < rows; row++)
            for (unsigned column = 0; column < columns; column++)
                for (unsigned i = 0; i < layer->in; i++)
                    for (unsigned lane = 0; lane < PANEL; lane++)
                        *packed++ =
                            kernel_at(layer, kernel, kernel_index(true, rows, row),
                                      kernel_index(true, columns, column), i, panel * PANEL + lane);
}

static void fill_single(const spl_layer *layer, const float *kernel) {
    float *packed = layer->weights[0];
    for (unsigned i = 0; i < layer->in; i++)
        for (unsigned r = 0; r < 3; r++)
            for (unsigned k = 0; k < 3; k++)
                for (unsigned row = r == 2; row < 2; row++)
                    for (unsigned column = k == 2; column < 2; column++)
                        *packed++ =
                            kernel_at(layer, kernel, row + 3 - 2 * r, column + 3 - 2 * k, i, 0);
}

/* ---- Winograd's weights ---- */

/* The number of floats before the transformed weights of a panel in a phase. The phases of a plain
 * layer are stored together, as phase 0. */
static size_t panel_offset(const spl_layer *layer, unsigned phase, unsigned panel) {
    size_t floats = panel * element_offset(layer, phase, ELEMENTS);
    for (unsigned f = 0; f < phase; f++)
        floats += panels_of(layer) * element_offset(layer, f, ELEMENTS);
    return floats;
}

enum { PACKED = 16 /* channels at a time */ };

/* Packs the taps of one phase and panel, from PACKED input channels starting at `first`:
 * [channel][tap row][tap column][16]. */
static void pack_taps(const spl_layer *layer, const float *kernel, unsigned phase, unsigned panel,
                      unsigned first, float *packed) {
    const ptrdiff_t step = (ptrdiff_t)tap_rows(phase) * tap_columns(phase) * PANEL;
    for (unsigned r = 0; r < tap_rows(phase); r++)
        for (unsigned c = 0; c < tap_columns(phase); c++, packed += PANEL) {
            const unsigned row = kernel_index(layer->transposed, tap_rows(phase), r);
            const unsigned column = kernel_index(layer->transposed, tap_columns(phase), c);
            const float *matrix = kernel + (size_t)(row * KERNEL + column) * layer->in * layer->out;
            if (layer->transposed)
                layer->kernels->transpose(matrix + panel * PANEL * layer->in + first, layer->in,
                                          PANEL, PACKED, packed, step);
            else
                for (unsigned i = 0; i < PACKED; i++)
                    memcpy(packed + i * step,
                           matrix + (size_t)(first + i) * layer->out + panel * PANEL,
                           PANEL * sizeof(float));
        }
}

static void fill_transformed(const spl_layer *layer, const float *kernel, unsigned phase,
                             unsigned panel) {
    const unsigned transformed_phase = layer->transposed ? phase : 0;
    /* in the column at infinity, phases 0 and 2 are adjacent */
    const size_t place = layer->transposed ? 0 : phase, last = layer->transposed ? 0 : phase / 2;
    float *packed = layer->weights[0] + panel_offset(layer, transformed_phase, panel);
    for (unsigned i = 0; i < layer->in; i += PACKED) {
        float taps[PACKED * 9 * PANEL];
        pack_taps(layer, kernel, phase, panel, i, taps);
        for (unsigned row = 0; row < element_rows(phase); row++) {
            const unsigned element = row * SIDE;
            const size_t step = (size_t)product_at(layer, element).run * layer->in * PANEL;
            float *transformed = packed + element_offset(layer, transformed_phase, element);
            transform_taps(layer, phase, row, PACKED, taps,
                           transformed + (place * layer->in + i) * PANEL, step,
                           transformed + (SIDE - 1) * step + (last * layer->in + i) * PANEL);
        }
    }
}

static void fill_taps(const spl_layer *layer, const float *kernel, unsigned phase, unsigned panel) {
    float *packed = layer->weights[0] + taps_offset(layer, phase, panel);
    for (unsigned i = 0; i < layer->in; i += PACKED)
        pack_taps(layer, kernel, phase, panel, i,
                  packed + (size_t)i * tap_rows(phase) * tap_columns(phase) * PANEL);
}

/* ---- All layers ---- */

/* The size of weights[phase], in floats. */
static size_t weights_floats(const spl_layer *layer, unsigned phase) {
    const unsigned panels = panels_of(layer), last = layer->transposed ? PHASES - 1 : 0;
    if (is_single(layer))
        return (size_t)SPL_SINGLE_TAPS * layer->in;
    if (layer->winograd)
        return keeps_transformed(layer) ? panel_offset(layer, last, panels)
                                        : taps_offset(layer, last, panels);
    return layer->transposed ? panels * taps_of(layer, phase)
                             : (size_t)panels * PANEL * KERNEL * KERNEL * layer->in;
}

void spl_layer_place(spl_layer *layer, spl_arena *arena) {
    const unsigned padded = panels_of(layer) * PANEL;
    layer->winograd = layer->in % SPL_WINOGRAD_DEEP == 0 && layer->out % PANEL == 0;
    layer->bias = spl_arena_take(arena, padded);
    layer->scale = spl_arena_take(arena, padded);
    layer->shift = spl_arena_take(arena, padded);
    const bool apart = layer->transposed && !layer->winograd && !is_single(layer);
    for (unsigned phase = 0; phase < (apart ? PHASES : 1); phase++)
        layer->weights[phase] = spl_arena_take(arena, weights_floats(layer, phase));
}

void spl_layer_fill(const spl_layer *layer, const spl_layer_weights *weights) {
    fill_channels(layer, weights);
    const float *kernel = weights->kernel;
    if (is_single(layer)) {
        fill_single(layer, kernel);
    } else if (!layer->winograd && !layer->transposed) {
        fill_direct(layer, kernel);
    } else {
        for (unsigned phase = 0; phase < PHASES; phase++)
            if (!layer->winograd)
                fill_direct_transposed(layer, kernel, phase);
            else
                for (unsigned panel = 0; panel < panels_of(layer); panel++)
                    (keeps_transformed(layer) ? fill_transformed : fill_taps)(layer, kernel, phase,
                                                                              panel);
    }
}

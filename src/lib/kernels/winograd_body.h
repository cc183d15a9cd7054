/* SPDX-License-Identifier: MIT
 *
 * Winograd's transforms, on vectors of channels, and the products between them. Include conv_body.h
 * first.
 *
 * With the interpolation points 0, +-a, +-b, infinity, one dimension of the weights' transform is
 *   w0 = k0    w1, w2 = (k0 + a^2 k2) +- a k1    w3, w4 = (k0 + b^2 k2) +- b k1    w5 = k2
 * of the input's
 *   v0 = a^2 b^2 d0 - (a^2 + b^2) d2 + d4        v5 = a^2 b^2 d1 - (a^2 + b^2) d3 + d5
 *   v1, v2 = (d4 - b^2 d2) +- a (d3 - b^2 d1)    v3, v4 = (d4 - a^2 d2) +- b (d3 - a^2 d1)
 * and of the output's, with
 *   s0 = 1 / (a^2 b^2)    sa = 1 / 2 a^2 (a^2 - b^2)    sb = 1 / 2 b^2 (b^2 - a^2)
 *   y0 = s0 m0 + sa (m1 + m2) + sb (m3 + m4)         y1 = a sa (m1 - m2) + b sb (m3 - m4)
 *   y2 = a^2 sa (m1 + m2) + b^2 sb (m3 + m4)         y3 = a^3 sa (m1 - m2) + b^3 sb (m3 - m4) + m5
 */
#include "base/macros.h"
#include "lib/kernels/kernels.h"
#include "lib/kernels/vector.h"

enum {
    SIDE = SPL_WINOGRAD_SIDE,
    TILE = SPL_WINOGRAD_TILE,
    DEEP = SPL_WINOGRAD_DEEP,
    GROUP = SPL_WINOGRAD_GROUP,
};

/* The number of tiles, and of panels of 16 channels, whose sums stay in registers.
 *
 * AVX-512 has 32 registers. Where it multiplies two vectors per cycle, it could not load one input
 * for each multiplication, so two panels share an input. NEON has 32 registers, AVX2 and SSE 16.
 * With AVX2, the 8 sums of four tiles are just enough for two units with a latency of four cycles
 * and leave no slack for delays, so blocks of six tiles come first. */
#if defined(__AVX512F__)
enum { PRODUCT_TILES = 8, PRODUCT_MOST_TILES = 16, PRODUCT_PANELS = 2 };
#elif defined(__AVX2__)
enum { PRODUCT_TILES = 4, PRODUCT_MOST_TILES = 6, PRODUCT_PANELS = 1 };
#elif defined(__aarch64__)
enum { PRODUCT_TILES = 4, PRODUCT_MOST_TILES = 4, PRODUCT_PANELS = 1 };
#else
enum { PRODUCT_TILES = 2, PRODUCT_MOST_TILES = 2, PRODUCT_PANELS = 1 };
#endif

#define A       0.625f
#define B       1.5f
#define SCALE_0 (1 / (A * A * B * B))
#define SCALE_A (1 / (2 * A * A * (A * A - B * B)))
#define SCALE_B (1 / (2 * B * B * (B * B - A * A)))

INLINE void winograd_weights_1d(const vec *k, vec *ret) {
    const vec even_a = k[0] + k[2] * (A * A), odd_a = k[1] * A;
    const vec even_b = k[0] + k[2] * (B * B), odd_b = k[1] * B;
    ret[0] = k[0];
    ret[1] = even_a + odd_a;
    ret[2] = even_a - odd_a;
    ret[3] = even_b + odd_b;
    ret[4] = even_b - odd_b;
    ret[5] = k[2];
}

/* One row of the weights' transform of three taps. */
INLINE vec winograd_weights_row(const vec *k, const unsigned row) {
    const float points[SIDE - 1] = {0, A, -A, B, -B};
    return row == 0          ? k[0]
           : row == SIDE - 1 ? k[2]
                             : (k[0] + k[2] * (points[row] * points[row])) + k[1] * points[row];
}

INLINE void winograd_weights_as(const spl_winograd_weights *weights, const unsigned row,
                                const unsigned rows, const unsigned columns) {
    const size_t step = weights->element_step;
    const float *taps = weights->taps;
    for (unsigned c = 0; c < weights->channels; c++, taps += rows * columns * TILE_CHANNELS)
#pragma GCC unroll 4
        for (unsigned lane = 0; lane < TILE_CHANNELS; lane += LANES) {
            vec half[3], transformed[SIDE];
#pragma GCC unroll 3
            for (unsigned column = 0; column < 3; column++) {
                vec k[3];
#pragma GCC unroll 3
                for (unsigned r = 0; r < 3; r++)
                    k[r] = r < rows && column < columns
                               ? vec_load(taps + (r * columns + column) * TILE_CHANNELS + lane)
                               : vec_splat(0);
                half[column] = winograd_weights_row(k, row);
            }
            winograd_weights_1d(half, transformed);
            float *to = weights->transformed + c * TILE_CHANNELS + lane;
#pragma GCC unroll 5
            for (unsigned j = 0; j < SIDE - 1; j++)
                vec_store(to + j * step, transformed[j]);
            if (columns == 3)
                vec_store(weights->last + c * TILE_CHANNELS + lane, transformed[SIDE - 1]);
        }
}

INLINE void winograd_weights_of_row(const spl_winograd_weights *weights, const unsigned rows,
                                    const unsigned columns) {
    switch (weights->row) {
    case 0:
        winograd_weights_as(weights, 0, rows, columns);
        break;
    case 1:
        winograd_weights_as(weights, 1, rows, columns);
        break;
    case 2:
        winograd_weights_as(weights, 2, rows, columns);
        break;
    case 3:
        winograd_weights_as(weights, 3, rows, columns);
        break;
    case 4:
        winograd_weights_as(weights, 4, rows, columns);
        break;
    default:
        winograd_weights_as(weights, 5, rows, columns);
    }
}

static void winograd_weights(const spl_winograd_weights *weights) {
    if (weights->tap_rows == 3 && weights->tap_columns == 3)
        winograd_weights_of_row(weights, 3, 3);
    else if (weights->tap_rows == 3)
        winograd_weights_of_row(weights, 3, 2);
    else if (weights->tap_columns == 3)
        winograd_weights_of_row(weights, 2, 3);
    else
        winograd_weights_of_row(weights, 2, 2);
}

INLINE void winograd_input_1d(const vec *d, vec *ret) {
    const vec even_a = d[4] - d[2] * (B * B), odd_a = (d[3] - d[1] * (B * B)) * A;
    const vec even_b = d[4] - d[2] * (A * A), odd_b = (d[3] - d[1] * (A * A)) * B;
    ret[0] = d[0] * (A * A * B * B) - d[2] * (A * A + B * B) + d[4];
    ret[1] = even_a + odd_a;
    ret[2] = even_a - odd_a;
    ret[3] = even_b + odd_b;
    ret[4] = even_b - odd_b;
    ret[5] = d[1] * (A * A * B * B) - d[3] * (A * A + B * B) + d[5];
}

INLINE void winograd_input_vector(const spl_winograd_input *input, const float *pixels, float *to) {
    vec half[SIDE][SIDE]; /* [transformed row][column] */
#pragma GCC unroll 6
    for (unsigned column = 0; column < SIDE; column++) {
        vec d[SIDE], transformed[SIDE];
#pragma GCC unroll 6
        for (unsigned row = 0; row < SIDE; row++)
            d[row] = vec_load(pixels + row * input->row_step + column * input->column_step);
        if (column < TILE)
#pragma GCC unroll 6
            for (unsigned row = 0; row < SIDE; row++)
                __builtin_prefetch(pixels + input->ahead + row * input->row_step +
                                   column * input->column_step);
        winograd_input_1d(d, transformed);
#pragma GCC unroll 6
        for (unsigned i = 0; i < SIDE; i++)
            half[i][column] = transformed[i];
    }
    const ptrdiff_t step = input->element_step;
    for (unsigned i = 0; i < input->rows; i++, to += SIDE * step) {
        vec transformed[SIDE];
        winograd_input_1d(half[i], transformed);
#pragma GCC unroll 6
        for (unsigned j = 0; j < SIDE - 1; j++)
            vec_store(to + j * step, transformed[j]);
        if (input->columns == SIDE)
            vec_store(to + (SIDE - 1) * step, transformed[SIDE - 1]);
    }
}

static void winograd_input(const spl_winograd_input *input) {
    for (unsigned c = 0; c < input->channels; c += DEEP)
        for (unsigned t = 0; t < input->tiles; t++)
            for (unsigned lane = 0; lane < DEEP; lane += LANES)
                winograd_input_vector(input, input->pixels[t] + c + lane,
                                      input->transformed + GROUP * c + DEEP * t + lane);
}

typedef enum fetching { FETCH_NOTHING, FETCH_NEAR, FETCH_FAR } fetching;

/* One element of the product, for `tiles` tiles from `first` on and `panels` panels from `panel`
 * on. The group of the first tile holds `left` tiles from it on. */
INLINE void winograd_product_tile(const spl_winograd_product *product, unsigned element,
                                  unsigned panel, const unsigned panels, unsigned first,
                                  const unsigned left, const unsigned tiles, const fetching fetch) {
    enum { VECTORS = TILE_CHANNELS / LANES };
    const size_t depth = (size_t)product->rows * product->run * TILE_CHANNELS;
    const float *input = product->input + element * product->input_step +
                         first / GROUP * product->group_step + DEEP * (first % GROUP);
    const float *weights =
        product->weights + element * product->weights_step + panel * product->weights_panel_step;
    const float *ahead =
        fetch ? product->ahead + element * depth + panel * product->ahead_panel_step : NULL;
    float *output = product->output + element * product->output_step +
                    panel * product->output_panel_step + (size_t)first * TILE_CHANNELS;
    vec sum[PRODUCT_PANELS][PRODUCT_MOST_TILES * VECTORS];
#pragma GCC unroll 2
    for (unsigned q = 0; q < panels; q++)
#pragma GCC unroll 24
        for (unsigned i = 0; i < tiles * VECTORS; i++)
            sum[q][i] = product->add ? vec_load(output + q * product->output_panel_step + LANES * i)
                                     : vec_splat(0);
    for (unsigned r = 0; r < product->rows; r++, input += product->row_step) {
        const float *in = input;
        for (unsigned k = 0; k < product->run; k += DEEP, in += GROUP * DEEP) {
#pragma GCC unroll 2
            for (unsigned lane = 0; lane < DEEP; lane++, weights += TILE_CHANNELS) {
                vec weight[PRODUCT_PANELS][VECTORS];
#pragma GCC unroll 2
                for (unsigned q = 0; q < panels; q++) {
                    if (fetch == FETCH_FAR)
                        __builtin_prefetch(ahead + q * product->ahead_panel_step, 0, 2);
                    else if (fetch)
                        __builtin_prefetch(ahead + q * product->ahead_panel_step, 0, 3);
#pragma GCC unroll 4
                    for (unsigned v = 0; v < VECTORS; v++)
                        weight[q][v] =
                            vec_load(weights + q * product->weights_panel_step + LANES * v);
                }
                if (fetch)
                    ahead += TILE_CHANNELS;
#pragma GCC unroll 16
                for (unsigned t = 0; t < tiles; t++) {
                    const unsigned group = (t + GROUP - left) / GROUP;
                    const vec one = vec_splat(
                        in[group * (product->group_step - GROUP * DEEP) + DEEP * t + lane]);
#pragma GCC unroll 2
                    for (unsigned q = 0; q < panels; q++)
#pragma GCC unroll 4
                        for (unsigned v = 0; v < VECTORS; v++)
                            sum[q][t * VECTORS + v] += one * weight[q][v];
                }
            }
        }
    }
#pragma GCC unroll 2
    for (unsigned q = 0; q < panels; q++)
#pragma GCC unroll 24
        for (unsigned i = 0; i < tiles * VECTORS; i++)
            vec_store(output + q * product->output_panel_step + LANES * i, sum[q][i]);
}

/* As winograd_product_tile; the first tiles also prefetch the data ahead. */
INLINE void winograd_product_tiles(const spl_winograd_product *product, unsigned element,
                                   unsigned panel, const unsigned panels, unsigned first,
                                   const unsigned left, const unsigned tiles) {
    if (first > 0 || element >= product->ahead_elements)
        winograd_product_tile(product, element, panel, panels, first, left, tiles, FETCH_NOTHING);
    else if (product->ahead_far)
        winograd_product_tile(product, element, panel, panels, first, left, tiles, FETCH_FAR);
    else
        winograd_product_tile(product, element, panel, panels, first, left, tiles, FETCH_NEAR);
}

/* All panels of a few tiles, whose inputs then stay in the first-level cache after the first
 * panel. */
INLINE void winograd_product_panels(const spl_winograd_product *product, unsigned element,
                                    unsigned first, const unsigned left, const unsigned tiles) {
    for (unsigned panel = 0; panel < product->panels; panel++)
        winograd_product_tiles(product, element, panel, 1, first, left, tiles);
}

static void winograd_product(const spl_winograd_product *product) {
    enum { FEW = PRODUCT_TILES, MOST = PRODUCT_MOST_TILES };
    const unsigned tiles = product->groups * GROUP;
    for (unsigned element = 0; element < product->elements; element++) {
        unsigned first = 0;
        for (; PRODUCT_PANELS == 2 && product->panels == 2 && first < tiles; first += FEW)
            winograd_product_tiles(product, element, 0, 2, first, GROUP, FEW);
        /* a last whole group, which MOST may not divide, is left to the FEW loop */
        for (; first + MOST <= tiles && first + GROUP != tiles; first += MOST)
            if (MOST == 6 && first % GROUP == 6)
                winograd_product_panels(product, element, first, 2, MOST);
            else if (MOST == 6 && first % GROUP == 4)
                winograd_product_panels(product, element, first, 4, MOST);
            else
                winograd_product_panels(product, element, first, GROUP, MOST);
        for (; first < tiles; first += FEW)
            winograd_product_panels(product, element, first, GROUP, FEW);
    }
}

INLINE void winograd_output_1d(const vec *m, vec *ret) {
    const vec sum_a = m[1] + m[2], difference_a = m[1] - m[2];
    const vec sum_b = m[3] + m[4], difference_b = m[3] - m[4];
    ret[0] = m[0] * SCALE_0 + sum_a * SCALE_A + sum_b * SCALE_B;
    ret[1] = difference_a * (A * SCALE_A) + difference_b * (B * SCALE_B);
    ret[2] = sum_a * (A * A * SCALE_A) + sum_b * (B * B * SCALE_B);
    ret[3] = difference_a * (A * A * A * SCALE_A) + difference_b * (B * B * B * SCALE_B) + m[5];
}

/* Computes and stores the pixels of one tile, and prefetches the output pixels to their right. */
INLINE void winograd_output_tile(const spl_winograd_output *output, const unsigned tile,
                                 const spl_finish_order order, const spl_activation activation) {
    enum { VECTORS = TILE_CHANNELS / LANES };
    const ptrdiff_t step = output->element_step;
    const float *products = output->products + (size_t)tile * TILE_CHANNELS;
    const unsigned width = output->width - TILE * tile;
    vec half[VECTORS][TILE][SIDE]; /* [][row][transformed column] */
    for (unsigned v = 0; v < VECTORS; v++)
#pragma GCC unroll 6
        for (unsigned j = 0; j < SIDE; j++) {
            const float *from = products + j * step + LANES * v;
            const bool present = j < SIDE - 1 || output->columns == SIDE;
            vec m[SIDE], pixels[TILE];
#pragma GCC unroll 6
            for (unsigned i = 0; i < SIDE; i++)
                m[i] = present && (i < SIDE - 1 || output->rows == SIDE)
                           ? vec_load(from + SIDE * i * step)
                           : vec_splat(0);
            winograd_output_1d(m, pixels);
#pragma GCC unroll 4
            for (unsigned row = 0; row < TILE; row++)
                half[v][row][j] = pixels[row];
        }
    for (unsigned row = 0; row < output->height; row++) {
        const ptrdiff_t raw_at = row * output->raw_row_step + TILE * tile * output->finish.raw_step,
                        out_at = row * output->out_row_step + TILE * tile * output->finish.out_step;
        if (order != SPL_FINISH_RAW)
#pragma GCC unroll 4
            for (unsigned column = 0; column < TILE; column++)
                __builtin_prefetch(
                    output->finish.out + out_at + (TILE + column) * output->finish.out_step, 1);
#pragma GCC unroll 4
        for (unsigned v = 0; v < VECTORS; v++) {
            const finish_channels channels = finish_channels_at(&output->finish, LANES * v);
            vec pixels[TILE];
            winograd_output_1d(half[v][row], pixels);
#pragma GCC unroll 4
            for (unsigned column = 0; column < TILE; column++)
                if (column < width)
                    finish_vector(&output->finish, &channels, LANES * v, LANES, pixels[column],
                                  raw_at + column * output->finish.raw_step,
                                  out_at + column * output->finish.out_step, order, activation);
        }
    }
}

INLINE void winograd_output_as(const spl_winograd_output *output, const spl_finish_order order,
                               const spl_activation activation) {
    for (unsigned tile = 0; tile < output->tiles; tile++)
        winograd_output_tile(output, tile, order, activation);
}

static void winograd_output(const spl_winograd_output *output) {
    WITH_CONSTANT_FINISH(&output->finish, winograd_output_as, output);
}

#undef A
#undef B

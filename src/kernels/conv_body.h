/* SPDX-License-Identifier: MIT
 *
 * Convolution rows, the mask layer, and what is done to sums.
 *
 * A tile of a few pixels x 16 channels stays in registers while the whole kernel
 * window passes by: each step loads two vectors of weights and broadcasts one
 * input of each pixel.
 */
#include "kernels/kernels.h"
#include "kernels/vector.h"

/* Pixels of a tile of 16 channels: 6 where it fills 12 of 16 AVX or 24 of 32 NEON registers, 2 with 16 SSE registers. */
#if defined(__AVX2__) || defined(__aarch64__)
enum { TILE_PIXELS = 6 };
#else
enum { TILE_PIXELS = 2 };
#endif

enum { TILE_CHANNELS = 16, TILE_VECTORS = TILE_PIXELS * TILE_CHANNELS / LANES };

INLINE vec activate(spl_activation activation, vec value) {
    const vec zero = vec_splat(0);
    switch (activation) {
    case SPL_ACTIVATION_RELU:
        return vec_select(value < zero, zero, value);
    case SPL_ACTIVATION_LEAKY_RELU:
        return vec_select(value < zero, value * 0.2f, value);
    case SPL_ACTIVATION_ELU:
        break;
    }
    return vec_select(value < zero, vec_exp(value) - 1.0f, value);
}

/* Calls function(..., order, activation) with both as constants, so that each of the seven ways is compiled for itself. */
#define WITH_CONSTANT_FINISH(finish, function, ...)                                                \
    do {                                                                                           \
        if ((finish)->order == SPL_FINISH_RAW)                                                     \
            function(__VA_ARGS__, SPL_FINISH_RAW, SPL_ACTIVATION_RELU);                            \
        else if ((finish)->order == SPL_FINISH_NORM_ACT)                                           \
            WITH_CONSTANT_ACTIVATION(finish, function, __VA_ARGS__, SPL_FINISH_NORM_ACT);          \
        else                                                                                       \
            WITH_CONSTANT_ACTIVATION(finish, function, __VA_ARGS__, SPL_FINISH_ACT_NORM);          \
    } while (0)

#define WITH_CONSTANT_ACTIVATION(finish, function, ...)                                            \
    do {                                                                                           \
        if ((finish)->activation == SPL_ACTIVATION_RELU)                                           \
            function(__VA_ARGS__, SPL_ACTIVATION_RELU);                                            \
        else if ((finish)->activation == SPL_ACTIVATION_LEAKY_RELU)                                \
            function(__VA_ARGS__, SPL_ACTIVATION_LEAKY_RELU);                                      \
        else                                                                                       \
            function(__VA_ARGS__, SPL_ACTIVATION_ELU);                                             \
    } while (0)

INLINE void store_channels(float *to, vec value, unsigned channels) {
    if (channels >= LANES) {
        vec_store(to, value);
        return;
    }
    for (unsigned o = 0; o < channels; o++)
        to[o] = value[o];
}

/* `channels` channels from `first` on of one pixel, at most LANES, whose raw and out values stand raw_at and out_at floats from
 * those of pixel 0. */
INLINE void finish_vector(const spl_finish *finish, unsigned first, unsigned channels, vec sum,
                          ptrdiff_t raw_at, ptrdiff_t out_at, const spl_finish_order order,
                          const spl_activation activation) {
    vec value = sum + vec_load(finish->bias + first);
    if (finish->raw)
        store_channels(finish->raw + raw_at + first, value, channels);
    if (order == SPL_FINISH_RAW)
        return;
    const vec scale = vec_load(finish->scale + first), shift = vec_load(finish->shift + first);
    if (order == SPL_FINISH_NORM_ACT)
        value = activate(activation, value * scale + shift);
    else
        value = activate(activation, value) * scale + shift;
    store_channels(finish->out + out_at + first, value, channels);
}

INLINE void finish_tile(const spl_conv_row *row, unsigned x, unsigned pixels, unsigned vectors,
                        const float *sums, const spl_finish_order order,
                        const spl_activation activation) {
    const spl_finish *finish = &row->finish;
    for (unsigned p = 0; p < pixels; p++)
        for (unsigned first = 0; first < finish->channels; first += LANES)
            finish_vector(finish, first, finish->channels - first,
                          vec_load(sums + LANES * p * vectors + first),
                          (ptrdiff_t)(x + p) * finish->raw_step,
                          (ptrdiff_t)(x + p) * finish->out_step, order, activation);
}

static void finish_any_tile(const spl_conv_row *row, unsigned x, unsigned pixels, unsigned vectors,
                            const float *sums) {
    WITH_CONSTANT_FINISH(&row->finish, finish_tile, row, x, pixels, vectors, sums);
}

INLINE void conv_tile(const spl_conv_row *row, unsigned x, const unsigned pixels,
                      const unsigned vectors) {
    vec sum[TILE_VECTORS];
#pragma GCC unroll 24
    for (unsigned i = 0; i < pixels * vectors; i++)
        sum[i] = vec_splat(0);

    const float *weights = row->weights;
    const ptrdiff_t step = row->step;
    for (unsigned r = 0; r < row->rows; r++) {
        const float *input = row->input + r * row->row_stride + x * step;
        for (unsigned k = 0; k < row->run; k++, input++, weights += LANES * vectors) {
            vec weight[TILE_CHANNELS / LANES];
#pragma GCC unroll 4
            for (unsigned v = 0; v < vectors; v++)
                weight[v] = vec_load(weights + LANES * v);
#pragma GCC unroll 12
            for (unsigned p = 0; p < pixels; p++) {
                const vec in = vec_splat(input[p * step]);
#pragma GCC unroll 4
                for (unsigned v = 0; v < vectors; v++)
                    sum[p * vectors + v] += in * weight[v];
            }
        }
    }

    /* Through memory, since registers cannot be indexed. */
    float sums[TILE_VECTORS * LANES];
#pragma GCC unroll 24
    for (unsigned i = 0; i < pixels * vectors; i++)
        vec_store(sums + LANES * i, sum[i]);
    finish_any_tile(row, x, pixels, vectors, sums);
}

static void conv_tile_16(const spl_conv_row *row, unsigned x, unsigned pixels) {
    switch (pixels) {
#if defined(__AVX2__) || defined(__aarch64__)
    case 6:
        conv_tile(row, x, 6, TILE_CHANNELS / LANES);
        break;
    case 5:
        conv_tile(row, x, 5, TILE_CHANNELS / LANES);
        break;
    case 4:
        conv_tile(row, x, 4, TILE_CHANNELS / LANES);
        break;
    case 3:
        conv_tile(row, x, 3, TILE_CHANNELS / LANES);
        break;
#endif
    case 2:
        conv_tile(row, x, 2, TILE_CHANNELS / LANES);
        break;
    default:
        conv_tile(row, x, 1, TILE_CHANNELS / LANES);
    }
}

/* Tiles of nearly equal width, so that none is too narrow to hide the latency of the multiply-adds. */
static void conv_row(const spl_conv_row *row) {
    unsigned x = 0;
    if (row->lanes == 8) {
        for (; x + 2 * TILE_PIXELS <= row->width; x += 2 * TILE_PIXELS)
            conv_tile(row, x, 2 * TILE_PIXELS, 8 / LANES);
        for (; x + 4 <= row->width; x += 4)
            conv_tile(row, x, 4, 8 / LANES);
        for (; x < row->width; x++)
            conv_tile(row, x, 1, 8 / LANES);
        return;
    }
    for (unsigned tiles = (row->width + TILE_PIXELS - 1) / TILE_PIXELS; tiles > 0; tiles--) {
        const unsigned pixels = (row->width - x + tiles - 1) / tiles;
        conv_tile_16(row, x, pixels);
        x += pixels;
    }
}

INLINE vec mask_pixels(const spl_mask_row *row, unsigned x, unsigned c) {
    vec logit = vec_splat(row->bias[c]);
    for (unsigned r = 0; r < 4; r++)
        for (unsigned k = 0; k < 4; k++)
            logit += vec_load(row->input + 2 * r * row->row_stride + x + 2 * k) *
                     row->weights[(r * 4 + k) * 2 + c];
    if (!row->magnitude[c])
        return logit;
    return vec_load(row->magnitude[c] + x) / (vec_exp(-logit) + 1.0f);
}

/* The last vector of a row is moved back to end with the row; it gives the pixels it shares the same values. */
static void mask_row(const spl_mask_row *row) {
    for (unsigned c = 0; c < 2; c++)
        for (unsigned x = 0; x < row->width; x += LANES) {
            const unsigned at = x + LANES <= row->width ? x : row->width - LANES;
            vec_store(row->out[c] + at, mask_pixels(row, at, c));
        }
}

static float peak(unsigned steps) {
    enum { CHAINS = 96 / LANES };
    vec chain[CHAINS];
    for (unsigned c = 0; c < CHAINS; c++)
        chain[c] = vec_splat((float)c);
    const vec factor = vec_splat(0.5f);
    for (unsigned i = 0; i < steps; i++) {
#pragma GCC unroll 24
        for (unsigned c = 0; c < CHAINS; c++)
            chain[c] = chain[c] * factor + factor;
    }
    vec sum = chain[0];
    for (unsigned c = 1; c < CHAINS; c++)
        sum += chain[c];
    return sum[0];
}

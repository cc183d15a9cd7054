/* SPDX-License-Identifier: MIT
 *
 * The layers with one channel on one side: the last transposed convolution, and the mask. Pixels
 * are in the lanes. Include conv_body.h first.
 */
#include "lib/kernels/kernels.h"
#include "lib/kernels/vector.h"

static void transpose(const float *pixels, ptrdiff_t pixel_step, unsigned width, unsigned channels,
                      float *to, ptrdiff_t step) {
    const unsigned whole_width = width / LANES * LANES, whole_channels = channels / LANES * LANES;
    for (unsigned x = 0; x < whole_width; x += LANES)
        for (unsigned c = 0; c < whole_channels; c += LANES) {
            vec v[LANES];
#pragma GCC unroll 16
            for (unsigned i = 0; i < LANES; i++)
                v[i] = vec_load(pixels + (ptrdiff_t)(x + i) * pixel_step + c);
            interleave(v, LANES);
#pragma GCC unroll 16
            for (unsigned i = 0; i < LANES; i++)
                vec_store(to + (ptrdiff_t)(c + i) * step + x, v[i]);
        }
    for (unsigned x = 0; x < width; x++)
        for (unsigned c = x < whole_width ? whole_channels : 0; c < channels; c++)
            to[(ptrdiff_t)c * step + x] = pixels[(ptrdiff_t)x * pixel_step + c];
}

/* Input rows (or columns) 0 and 1 contribute to both outputs, the last one only to the odd output.
 * All nine inputs contribute to the output with odd row and odd column, so its sum is split in two
 * to shorten the dependency chain. */
INLINE void single_block(const spl_single_row *row, unsigned x, const spl_activation activation) {
    enum { VECTORS = 2 };
    vec sum[2][2][VECTORS]; /* [output row][output column] */
    vec beyond[VECTORS];    /* the part of [1][1] from the last row and column */
    for (unsigned i = 0; i < 4 * VECTORS; i++)
        sum[i / VECTORS / 2][i / VECTORS % 2][i % VECTORS] = vec_splat(row->bias);
    for (unsigned v = 0; v < VECTORS; v++)
        beyond[v] = vec_splat(0);
    const float *weights = row->weights, *ahead = row->ahead + (size_t)x * row->channels;
    for (unsigned c = 0; c < row->channels; c++, weights += SPL_SINGLE_TAPS, ahead += 2 * LANES) {
        __builtin_prefetch(ahead);
        if (LANES == 16)
            __builtin_prefetch(ahead + LANES);
        unsigned tap = 0;
#pragma GCC unroll 3
        for (unsigned r = 0; r < 3; r++)
#pragma GCC unroll 3
            for (unsigned k = 0; k < 3; k++) {
                const float *input = row->input[r] + (ptrdiff_t)c * row->channel_step + x + k - 1;
                vec in[VECTORS];
#pragma GCC unroll 2
                for (unsigned v = 0; v < VECTORS; v++)
                    in[v] = vec_load(input + LANES * v);
#pragma GCC unroll 2
                for (unsigned i = r == 2; i < 2; i++)
#pragma GCC unroll 2
                    for (unsigned j = k == 2; j < 2; j++) {
                        const vec weight = vec_splat(weights[tap++]);
#pragma GCC unroll 2
                        for (unsigned v = 0; v < VECTORS; v++) {
                            vec *to = i == 1 && j == 1 && (r == 2 || k == 2) ? beyond : sum[i][j];
                            to[v] += in[v] * weight;
                        }
                    }
            }
    }
    for (unsigned v = 0; v < VECTORS; v++)
        sum[1][1][v] += beyond[v];
    for (unsigned i = 0; i < 2; i++)
        for (unsigned v = 0; v < VECTORS; v++) {
            vec out[2];
            for (unsigned j = 0; j < 2; j++)
                out[j] = activate(activation, sum[i][j][v]) * row->scale + row->shift;
            float *to = row->out[i] + 2 * (x + LANES * v);
            vec_store(to, zip_low(out[0], out[1]));
            vec_store(to + LANES, zip_high(out[0], out[1]));
        }
}

INLINE void single_row_as(const spl_single_row *row, const spl_activation activation) {
    for (unsigned x = 0; x < row->width; x += 2 * LANES)
        single_block(row, x, activation);
}

static void single_row(const spl_single_row *row) {
    WITH_CONSTANT_ACTIVATION(row, single_row_as, row);
}

INLINE void mask_pixels(const spl_mask_row *row, unsigned x, const unsigned vectors) {
    vec logit[2][4];
#pragma GCC unroll 4
    for (unsigned v = 0; v < vectors; v++)
        for (unsigned c = 0; c < 2; c++)
            logit[c][v] = vec_splat(row->bias[c]);
    for (unsigned r = 0; r < 4; r++)
        for (unsigned k = 0; k < 4; k++) {
            const float *input = row->input + 2 * r * row->row_stride + x + 2 * k;
            const float *weights = row->weights + (r * 4 + k) * 2;
            const vec left = vec_splat(weights[0]), right = vec_splat(weights[1]);
#pragma GCC unroll 4
            for (unsigned v = 0; v < vectors; v++) {
                const vec in = vec_load(input + LANES * v);
                logit[0][v] += in * left;
                logit[1][v] += in * right;
            }
        }
#pragma GCC unroll 2
    for (unsigned c = 0; c < 2; c++)
#pragma GCC unroll 4
        for (unsigned v = 0; v < vectors; v++) {
            const unsigned at = x + LANES * v;
            vec value = logit[c][v];
            if (row->magnitude[c])
                value = vec_load(row->magnitude[c] + at) / (vec_exp(-value) + 1.0f);
            vec_store(row->out[c] + at, value);
        }
}

/* The last vector of a row is moved back to end with the row. The pixels it overlaps get the same
 * values again. */
static void mask_row(const spl_mask_row *row) {
    unsigned x = 0;
    for (; x + 4 * LANES <= row->width; x += 4 * LANES)
        mask_pixels(row, x, 4);
    for (; x < row->width; x += LANES)
        mask_pixels(row, x + LANES <= row->width ? x : row->width - LANES, 1);
}

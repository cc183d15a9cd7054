/* SPDX-License-Identifier: MIT
 *
 * Winograd's transforms of tiles, a vector of channels at a time, and the products between them; conv_body.h comes before.
 *
 * One way of the input transform, with the points 0, +-a, +-b, infinity, is
 *   v0 = a^2 b^2 d0 - (a^2 + b^2) d2 + d4        v5 = a^2 b^2 d1 - (a^2 + b^2) d3 + d5
 *   v1, v2 = (d4 - b^2 d2) +- a (d3 - b^2 d1)    v3, v4 = (d4 - a^2 d2) +- b (d3 - a^2 d1)
 * and of the output transform
 *   y0 = m0 + (m1 + m2) + (m3 + m4)              y1 = a (m1 - m2) + b (m3 - m4)
 *   y2 = a^2 (m1 + m2) + b^2 (m3 + m4)           y3 = a^3 (m1 - m2) + b^3 (m3 - m4) + m5
 * With the points 0, +-1, infinity they are
 *   v0 = d0 - d2    v1, v2 = d2 +- d1    v3 = d3 - d1        y0 = m0 + m1 + m2    y1 = m1 - m2 + m3
 */
#include "kernels/winograd_points.h"

enum { GROUP = SPL_WINOGRAD_GROUP, DEEP = 8 /* channels that stand together */ };

#define A ((float)SPL_WINOGRAD_A)
#define B ((float)SPL_WINOGRAD_B)

INLINE void winograd_input_1d(const unsigned tile, const vec *d, vec *ret) {
    if (tile == 2) {
        ret[0] = d[0] - d[2];
        ret[1] = d[2] + d[1];
        ret[2] = d[2] - d[1];
        ret[3] = d[3] - d[1];
        return;
    }
    const vec even_a = d[4] - d[2] * (B * B), odd_a = (d[3] - d[1] * (B * B)) * A;
    const vec even_b = d[4] - d[2] * (A * A), odd_b = (d[3] - d[1] * (A * A)) * B;
    ret[0] = d[0] * (A * A * B * B) - d[2] * (A * A + B * B) + d[4];
    ret[1] = even_a + odd_a;
    ret[2] = even_a - odd_a;
    ret[3] = even_b + odd_b;
    ret[4] = even_b - odd_b;
    ret[5] = d[1] * (A * A * B * B) - d[3] * (A * A + B * B) + d[5];
}

INLINE void winograd_input_vector(const spl_winograd_input *input, const unsigned tile,
                                  const float *pixels, float *to) {
    const unsigned n = tile + 2;
    vec half[6][6]; /* [row point][column] */
#pragma GCC unroll 6
    for (unsigned column = 0; column < n; column++) {
        vec d[6], points[6];
#pragma GCC unroll 6
        for (unsigned row = 0; row < n; row++)
            d[row] = vec_load(pixels + row * input->row_step + column * input->column_step);
        if (column < tile)
#pragma GCC unroll 6
            for (unsigned row = 0; row < n; row++)
                __builtin_prefetch(pixels + input->ahead + row * input->row_step +
                                   column * input->column_step);
        winograd_input_1d(tile, d, points);
#pragma GCC unroll 6
        for (unsigned i = 0; i < n; i++)
            half[i][column] = points[i];
    }
    const ptrdiff_t step = input->point_step;
    for (unsigned i = 0; i < input->rows; i++, to += n * step) {
        vec points[6];
        winograd_input_1d(tile, half[i], points);
#pragma GCC unroll 6
        for (unsigned j = 0; j < n - 1; j++)
            vec_store(to + j * step, points[j]);
        if (input->columns == n)
            vec_store(to + (n - 1) * step, points[n - 1]);
    }
}

INLINE void winograd_input_as(const spl_winograd_input *input, const unsigned tile) {
    for (unsigned c = 0; c < input->channels; c += DEEP)
        for (unsigned t = 0; t < input->tiles; t++)
            for (unsigned lane = 0; lane < DEEP; lane += LANES)
                winograd_input_vector(input, tile, input->pixels[t] + c + lane,
                                      input->points + GROUP * c + DEEP * t + lane);
}

static void winograd_input(const spl_winograd_input *input) {
    if (input->tile == 4)
        winograd_input_as(input, 4);
    else
        winograd_input_as(input, 2);
}

/* The first TILE_PIXELS tiles of a group; the next panel's weights are on their way meanwhile. */
INLINE void winograd_product_tile(const spl_winograd_product *product, const float *input,
                                  float *output, const bool ahead) {
    vec sum[TILE_VECTORS];
#pragma GCC unroll 24
    for (unsigned i = 0; i < TILE_VECTORS; i++)
        sum[i] = vec_splat(0);
    const float *weights = product->weights;
    const size_t panel = (size_t)product->rows * product->run * TILE_CHANNELS;
    for (unsigned r = 0; r < product->rows; r++, input += product->row_step) {
        const float *in = input;
        for (unsigned k = 0; k < product->run; k += DEEP, in += GROUP * DEEP) {
#pragma GCC unroll 2
            for (unsigned lane = 0; lane < DEEP; lane++, weights += TILE_CHANNELS) {
                vec weight[TILE_CHANNELS / LANES];
                if (ahead)
                    __builtin_prefetch(weights + panel, 0, 2);
#pragma GCC unroll 4
                for (unsigned v = 0; v < TILE_CHANNELS / LANES; v++)
                    weight[v] = vec_load(weights + LANES * v);
#pragma GCC unroll 6
                for (unsigned p = 0; p < TILE_PIXELS; p++) {
                    const vec one = vec_splat(in[DEEP * p + lane]);
#pragma GCC unroll 4
                    for (unsigned v = 0; v < TILE_CHANNELS / LANES; v++)
                        sum[p * (TILE_CHANNELS / LANES) + v] += one * weight[v];
                }
            }
        }
    }
#pragma GCC unroll 24
    for (unsigned i = 0; i < TILE_VECTORS; i++)
        vec_store(output + LANES * i, sum[i]);
}

static void winograd_product(const spl_winograd_product *product) {
    const float *input = product->input;
    float *output = product->output;
    for (unsigned group = 0; group < product->groups; group++, input += product->group_step)
        for (unsigned t = 0; t < GROUP; t += TILE_PIXELS, output += TILE_PIXELS * TILE_CHANNELS) {
            if (group == 0 && t == 0)
                winograd_product_tile(product, input + DEEP * t, output, true);
            else
                winograd_product_tile(product, input + DEEP * t, output, false);
        }
}

INLINE void winograd_output_1d(const unsigned tile, const vec *m, vec *ret) {
    const vec sum_a = m[1] + m[2], difference_a = m[1] - m[2];
    if (tile == 2) {
        ret[0] = m[0] + sum_a;
        ret[1] = difference_a + m[3];
        return;
    }
    const vec sum_b = m[3] + m[4], difference_b = m[3] - m[4];
    ret[0] = m[0] + sum_a + sum_b;
    ret[1] = difference_a * A + difference_b * B;
    ret[2] = sum_a * (A * A) + sum_b * (B * B);
    ret[3] = difference_a * (A * A * A) + difference_b * (B * B * B) + m[5];
}

INLINE void winograd_output_as(const spl_winograd_output *output, const unsigned tile,
                               const spl_finish_order order, const spl_activation activation) {
    const unsigned n = tile + 2;
    const ptrdiff_t step = output->point_step;
    for (unsigned c = 0; c < output->finish.channels; c += LANES) {
        vec half[4][6]; /* [row][column point] */
#pragma GCC unroll 6
        for (unsigned j = 0; j < n; j++) {
            const float *from = output->points + j * step + c;
            const bool present = j < n - 1 || output->columns == n;
            vec m[6], pixels[4];
#pragma GCC unroll 6
            for (unsigned i = 0; i < n; i++)
                m[i] = present && (i < n - 1 || output->rows == n) ? vec_load(from + n * i * step)
                                                                   : vec_splat(0);
            winograd_output_1d(tile, m, pixels);
#pragma GCC unroll 4
            for (unsigned row = 0; row < tile; row++)
                half[row][j] = pixels[row];
        }
        const finish_channels channels = finish_channels_at(&output->finish, c);
        for (unsigned row = 0; row < output->height; row++) {
            vec pixels[4];
            if (c == 0)
#pragma GCC unroll 4
                for (unsigned column = 0; column < tile; column++) {
                    if (output->finish.raw)
                        __builtin_prefetch(output->finish.raw + output->raw_ahead +
                                               row * output->raw_row_step +
                                               column * output->finish.raw_step,
                                           1);
                    if (order != SPL_FINISH_RAW)
                        __builtin_prefetch(output->finish.out + output->out_ahead +
                                               row * output->out_row_step +
                                               column * output->finish.out_step,
                                           1);
                }
            winograd_output_1d(tile, half[row], pixels);
#pragma GCC unroll 4
            for (unsigned column = 0; column < tile; column++)
                if (column < output->width)
                    finish_vector(&output->finish, &channels, c, LANES, pixels[column],
                                  row * output->raw_row_step + column * output->finish.raw_step,
                                  row * output->out_row_step + column * output->finish.out_step,
                                  order, activation);
        }
    }
}

static void winograd_output(const spl_winograd_output *output) {
    if (output->tile == 4)
        WITH_CONSTANT_FINISH(&output->finish, winograd_output_as, output, 4);
    else
        WITH_CONSTANT_FINISH(&output->finish, winograd_output_as, output, 2);
}

#undef A
#undef B

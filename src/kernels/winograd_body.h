/* SPDX-License-Identifier: MIT
 *
 * Winograd's transforms of tiles, a vector of channels at a time; conv_body.h comes before.
 *
 * One way of the input transform, with the points 0, +-a, +-b, infinity, is
 *   v0 = a^2 b^2 d0 - (a^2 + b^2) d2 + d4        v5 = a^2 b^2 d1 - (a^2 + b^2) d3 + d5
 *   v1, v2 = (d4 - b^2 d2) +- a (d3 - b^2 d1)    v3, v4 = (d4 - a^2 d2) +- b (d3 - a^2 d1)
 * and of the output transform
 *   y0 = m0 + (m1 + m2) + (m3 + m4)              y1 = a (m1 - m2) + b (m3 - m4)
 *   y2 = a^2 (m1 + m2) + b^2 (m3 + m4)           y3 = a^3 (m1 - m2) + b^3 (m3 - m4) + m5
 */
#include "kernels/winograd_points.h"

#define A ((float)SPL_WINOGRAD_A)
#define B ((float)SPL_WINOGRAD_B)

INLINE void winograd_input_1d(const vec *d, unsigned stride, vec *ret) {
    const vec d0 = d[0], d1 = d[stride], d2 = d[2 * stride], d3 = d[3 * stride];
    const vec d4 = d[4 * stride], d5 = d[5 * stride];
    const vec even_a = d4 - d2 * (B * B), odd_a = (d3 - d1 * (B * B)) * A;
    const vec even_b = d4 - d2 * (A * A), odd_b = (d3 - d1 * (A * A)) * B;
    ret[0] = d0 * (A * A * B * B) - d2 * (A * A + B * B) + d4;
    ret[1] = even_a + odd_a;
    ret[2] = even_a - odd_a;
    ret[3] = even_b + odd_b;
    ret[4] = even_b - odd_b;
    ret[5] = d1 * (A * A * B * B) - d3 * (A * A + B * B) + d5;
}

static void winograd_input(const spl_winograd_input *input) {
    for (unsigned c = 0; c < input->channels; c += LANES) {
        vec half[6][6]; /* [row point][column] */
        for (unsigned column = 0; column < 6; column++) {
            vec pixels[6], points[6];
#pragma GCC unroll 6
            for (unsigned row = 0; row < 6; row++)
                pixels[row] = vec_load(input->pixels + row * input->row_step +
                                       column * input->column_step + c);
            winograd_input_1d(pixels, 1, points);
#pragma GCC unroll 6
            for (unsigned i = 0; i < 6; i++)
                half[i][column] = points[i];
        }
        for (unsigned i = 0; i < input->rows; i++) {
            vec points[6];
            winograd_input_1d(half[i], 1, points);
            float *to = input->points + 6 * i * input->point_step + c;
#pragma GCC unroll 5
            for (unsigned j = 0; j < 5; j++)
                vec_store(to + j * input->point_step, points[j]);
            if (input->columns == 6)
                vec_store(to + 5 * input->point_step, points[5]);
        }
    }
}

INLINE void winograd_output_1d(const vec *m, vec *ret) {
    const vec sum_a = m[1] + m[2], difference_a = m[1] - m[2];
    const vec sum_b = m[3] + m[4], difference_b = m[3] - m[4];
    ret[0] = m[0] + sum_a + sum_b;
    ret[1] = difference_a * A + difference_b * B;
    ret[2] = sum_a * (A * A) + sum_b * (B * B);
    ret[3] = difference_a * (A * A * A) + difference_b * (B * B * B) + m[5];
}

INLINE void winograd_output_as(const spl_winograd_output *output, const spl_finish_order order,
                               const spl_activation activation) {
    const ptrdiff_t step = output->point_step;
    for (unsigned c = 0; c < output->finish.channels; c += LANES) {
        vec half[4][6]; /* [row][column point] */
        for (unsigned j = 0; j < 6; j++) {
            const float *from = output->points + j * step + c;
            vec points[6], pixels[4];
#pragma GCC unroll 5
            for (unsigned i = 0; i < 5; i++)
                points[i] = j < output->columns ? vec_load(from + 6 * i * step) : vec_splat(0);
            points[5] = j < output->columns && output->rows == 6 ? vec_load(from + 30 * step)
                                                                 : vec_splat(0);
            winograd_output_1d(points, pixels);
#pragma GCC unroll 4
            for (unsigned row = 0; row < 4; row++)
                half[row][j] = pixels[row];
        }
        for (unsigned row = 0; row < output->height; row++) {
            vec pixels[4];
            winograd_output_1d(half[row], pixels);
#pragma GCC unroll 4
            for (unsigned column = 0; column < 4; column++)
                if (column < output->width)
                    finish_vector(&output->finish, c, LANES, pixels[column],
                                  row * output->raw_row_step + column * output->finish.raw_step,
                                  row * output->out_row_step + column * output->finish.out_step,
                                  order, activation);
        }
    }
}

static void winograd_output(const spl_winograd_output *output) {
    WITH_CONSTANT_FINISH(&output->finish, winograd_output_as, output);
}

#undef A
#undef B

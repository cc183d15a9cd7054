/* SPDX-License-Identifier: MIT
 *
 * Every kernel of every instruction set of this CPU against its definition in double precision, in padded buffers, at
 * sizes around its tile; with --bench, its speed as a share of this core's measured FMA peak.
 *
 * Tolerances come from the operands: a sum of n products may be off by n * epsilon times the sum of their magnitudes.
 */
#include "base/macros.h"
#include "kernels/kernels.h"

#include <complex.h>
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* Those to be tested; the first `table_count` are set. */
static const spl_kernels *tables[3];
static size_t table_count;

#define GUARD 64
static const float guard_value = -7777.0f;

static uint32_t random_state = 1;

static float uniform(void) {
    random_state = random_state * 1664525u + 1013904223u;
    return (float)(random_state >> 8) / (float)(1 << 23) - 1.0f;
}

/* `count` random floats between two guards of GUARD floats. */
static float *buffer_new(size_t count) {
    float *all = malloc((count + 2 * GUARD) * sizeof(float));
    assert_non_null(all);
    for (size_t i = 0; i < count + 2 * GUARD; i++)
        all[i] = i < GUARD || i >= GUARD + count ? guard_value : uniform();
    return all + GUARD;
}

static void buffer_free(float *buffer, size_t count) {
    for (size_t i = 0; i < GUARD; i++) {
        assert_true(buffer[-1 - (ptrdiff_t)i] == guard_value);
        assert_true(buffer[count + i] == guard_value);
    }
    free(buffer - GUARD);
}

static double now_s(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* A convolution row of one size and kind; everything it points to belongs to it. */
typedef struct row_case {
    spl_conv_row row;
    size_t input_count, weights_count, out_count;
    float *input, *weights, *bias, *scale, *shift, *raw, *out;
} row_case;

static row_case row_case_new(unsigned rows, unsigned run, unsigned step, unsigned width,
                             unsigned channels) {
    enum { LANES = SPL_PANEL };
    row_case c = {0};
    const size_t row_stride = (size_t)step * width + run + 3;
    c.input_count = row_stride * (rows - 1) + (size_t)step * (width - 1) + run;
    c.weights_count = (size_t)rows * run * LANES;
    c.out_count = (size_t)(width - 1) * (channels + 5) + channels;
    c.input = buffer_new(c.input_count);
    c.weights = buffer_new(c.weights_count);
    c.bias = buffer_new(LANES);
    c.scale = buffer_new(LANES);
    c.shift = buffer_new(LANES);
    c.raw = buffer_new(c.out_count);
    c.out = buffer_new(c.out_count);
    c.row = (spl_conv_row){
        .input = c.input,
        .row_stride = (ptrdiff_t)row_stride,
        .rows = rows,
        .run = run,
        .step = step,
        .width = width,
        .weights = c.weights,
        .finish = {.bias = c.bias,
                   .scale = c.scale,
                   .shift = c.shift,
                   .channels = channels,
                   .raw = c.raw,
                   .raw_step = channels + 5,
                   .out = c.out,
                   .out_step = channels + 5},
    };
    return c;
}

static void row_case_free(row_case *c) {
    buffer_free(c->input, c->input_count);
    buffer_free(c->weights, c->weights_count);
    buffer_free(c->bias, SPL_PANEL);
    buffer_free(c->scale, SPL_PANEL);
    buffer_free(c->shift, SPL_PANEL);
    buffer_free(c->raw, c->out_count);
    buffer_free(c->out, c->out_count);
}

static double activate(spl_activation activation, double value) {
    if (!(value < 0))
        return value;
    return activation == SPL_ACTIVATION_RELU  ? 0
           : activation == SPL_ACTIVATION_ELU ? expm1(value)
                                              : 0.2 * value;
}

/* The finished value of a sum for channel o. */
static double finished(const spl_finish *finish, unsigned o, double sum) {
    const double value = sum + (double)finish->bias[o];
    const double scale = (double)finish->scale[o], shift = (double)finish->shift[o];
    if (finish->order == SPL_FINISH_NORM_ACT)
        return activate(finish->activation, value * scale + shift);
    return activate(finish->activation, value) * scale + shift;
}

static void assert_near(const char *what, float got, double want, double tolerance) {
    const bool same = isnan(want) ? isnan(got) : fabs((double)got - want) <= tolerance;
    if (!same)
        fail_msg("%s: %.9g, want %.9g", what, (double)got, want);
}

static void check_row(const spl_kernels *kernels, unsigned rows, unsigned run, unsigned step,
                      unsigned width, unsigned channels, spl_finish_order order,
                      spl_activation activation, float special) {
    row_case c = row_case_new(rows, run, step, width, channels);
    c.row.finish.order = order;
    c.row.finish.activation = activation;
    if (special != 0)
        c.input[c.input_count / 2] = special;
    float *before = buffer_new(c.out_count);
    memcpy(before, c.out, c.out_count * sizeof(float));
    kernels->conv_row(&c.row);

    const double tolerance = (double)FLT_EPSILON * (rows * run + 16) * 4;
    for (unsigned x = 0; x < width; x++)
        for (unsigned o = 0; o < channels + 5 && x * (channels + 5) + o < c.out_count; o++) {
            const size_t at = x * (channels + 5) + o;
            if (o >= channels || order == SPL_FINISH_RAW)
                assert_true(c.out[at] == before[at]);
            if (o >= channels)
                continue;
            double sum = 0, magnitude = 0;
            for (unsigned r = 0; r < rows; r++)
                for (unsigned k = 0; k < run; k++) {
                    const double product = (double)c.input[r * c.row.row_stride + x * step + k] *
                                           (double)c.weights[(r * run + k) * SPL_PANEL + o];
                    sum += product;
                    magnitude += fabs(product);
                }
            const double bound = tolerance * (1 + magnitude);
            assert_near("raw", c.raw[at], sum + (double)c.bias[o], bound);
            if (order != SPL_FINISH_RAW)
                assert_near("out", c.out[at], finished(&c.row.finish, o, sum), bound);
        }
    buffer_free(before, c.out_count);
    row_case_free(&c);
}

static void conv_row_follows_definition(void **state) {
    (void)state;
    static const unsigned runs[] = {1, 2, 10, 80, 129};
    for (size_t t = 0; t < table_count; t++) {
        for (unsigned width = 1; width <= 26; width++)
            for (unsigned rows = 1; rows <= 5; rows++)
                for (unsigned r = 0; r < SPL_ARRAY_SIZE(runs); r++)
                    check_row(tables[t], rows, runs[r], runs[r] / 2 + 1, width,
                              1 + (width + rows) % SPL_PANEL, (spl_finish_order)(width % 3),
                              (spl_activation)(rows % 3), 0);
        for (int activation = 0; activation < 3; activation++)
            for (int order = 0; order < 3; order++) {
                check_row(tables[t], 3, 32, 16, 13, 16, (spl_finish_order)order,
                          (spl_activation)activation, 0);
                check_row(tables[t], 3, 32, 16, 13, 16, (spl_finish_order)order,
                          (spl_activation)activation, NAN);
            }
    }
}

/* A row computed in two parts has the same bytes as in one. */
static void conv_row_does_not_depend_on_position(void **state) {
    (void)state;
    for (size_t t = 0; t < table_count; t++)
        for (unsigned cut = 1; cut < 31; cut++) {
            row_case c = row_case_new(5, 40, 16, 31, SPL_PANEL);
            c.row.finish.order = SPL_FINISH_NORM_ACT;
            c.row.finish.activation = SPL_ACTIVATION_ELU;
            tables[t]->conv_row(&c.row);
            float *whole = buffer_new(c.out_count);
            memcpy(whole, c.out, c.out_count * sizeof(float));
            spl_conv_row first = c.row, second = c.row;
            first.width = cut;
            second.width = 31 - cut;
            second.input += (ptrdiff_t)cut * c.row.step;
            second.finish.raw += (ptrdiff_t)cut * c.row.finish.raw_step;
            second.finish.out += (ptrdiff_t)cut * c.row.finish.out_step;
            tables[t]->conv_row(&first);
            tables[t]->conv_row(&second);
            assert_memory_equal(whole, c.out, c.out_count * sizeof(float));
            buffer_free(whole, c.out_count);
            row_case_free(&c);
        }
}

/* One channel out of a transposed convolution, each output as the sum over the taps that reach it. */
static void single_row_follows_definition(void **state) {
    (void)state;
    for (size_t t = 0; t < table_count; t++)
        for (unsigned channels = 1; channels <= 34; channels += 11)
            for (unsigned width = 32; width <= 96; width += 32) {
                const size_t step = width + 2 + channels % 3, count = channels * step;
                float *rows[3], *kernel = buffer_new((size_t)SPL_SINGLE_TAPS * channels);
                float *packed = buffer_new((size_t)SPL_SINGLE_TAPS * channels), *to = packed;
                for (unsigned r = 0; r < 3; r++)
                    rows[r] = buffer_new(count);
                for (unsigned c = 0; c < channels; c++) /* kernel: [channel][5][5] */
                    for (int r = 0; r < 3; r++)
                        for (int k = 0; k < 3; k++)
                            for (int i = r == 2; i < 2; i++)
                                for (int j = k == 2; j < 2; j++)
                                    *to++ = kernel[c * SPL_SINGLE_TAPS +
                                                   (unsigned)((i + 3 - 2 * r) * 5 + j + 3 - 2 * k)];
                float *out[2] = {buffer_new(2 * width), buffer_new(2 * width)};
                const spl_single_row row = {
                    .input = {rows[0] + 1, rows[1] + 1, rows[2] + 1},
                    .channel_step = (ptrdiff_t)step,
                    .channels = channels,
                    .width = width,
                    .weights = packed,
                    .ahead = packed,
                    .activation = (spl_activation)(channels % 3),
                    .bias = 0.25f,
                    .scale = 1.5f,
                    .shift = -0.5f,
                    .out = {out[0], out[1]},
                };
                tables[t]->single_row(&row);
                for (int i = 0; i < 2; i++)
                    for (int x = 0; x < 2 * (int)width; x++) {
                        double sum = 0.25;
                        for (unsigned c = 0; c < channels; c++)
                            for (int r = 0; r < 3; r++)
                                for (int k = 0; k < 3; k++) {
                                    const int tap_row = i + 3 - 2 * r, tap = x % 2 + 3 - 2 * k;
                                    if (tap_row >= 0 && tap >= 0)
                                        sum += (double)kernel[c * SPL_SINGLE_TAPS +
                                                              (unsigned)(tap_row * 5 + tap)] *
                                               (double)rows[r][c * step + (unsigned)(x / 2 + k)];
                                }
                        assert_near("single", out[i][x], activate(row.activation, sum) * 1.5 - 0.5,
                                    2e-5);
                    }
                for (unsigned r = 0; r < 3; r++)
                    buffer_free(rows[r], count);
                buffer_free(kernel, (size_t)SPL_SINGLE_TAPS * channels);
                buffer_free(packed, (size_t)SPL_SINGLE_TAPS * channels);
                buffer_free(out[0], 2 * width);
                buffer_free(out[1], 2 * width);
            }
}

static void transpose_follows_definition(void **state) {
    (void)state;
    for (size_t t = 0; t < table_count; t++)
        for (unsigned channels = 1; channels <= 33; channels++)
            for (unsigned width = 1; width <= 34; width += 3) {
                const size_t step = width + 1, to_count = (channels - 1) * step + width;
                const size_t pixel_step = channels + width % 2;
                const size_t count = (width - 1) * pixel_step + channels;
                float *pixels = buffer_new(count), *to = buffer_new(to_count);
                tables[t]->transpose(pixels, (ptrdiff_t)pixel_step, width, channels, to,
                                     (ptrdiff_t)step);
                for (unsigned x = 0; x < width; x++)
                    for (unsigned c = 0; c < channels; c++)
                        assert_true(to[c * step + x] == pixels[x * pixel_step + c]);
                buffer_free(pixels, count);
                buffer_free(to, to_count);
            }
}

static void mask_row_follows_definition(void **state) {
    (void)state;
    for (size_t t = 0; t < table_count; t++)
        for (unsigned width = 16; width <= 80; width++)
            for (unsigned logits = 0; logits < 2; logits++) {
                const size_t stride = width + 9, input_count = 6 * stride + width + 6;
                float *input = buffer_new(input_count), *weights = buffer_new(32);
                float *bias = buffer_new(2), *magnitude = buffer_new(2 * width);
                float *out = buffer_new(2 * width);
                for (size_t i = 0; i < input_count; i++)
                    input[i] *= 20;
                tables[t]->mask_row(&(spl_mask_row){
                    .input = input,
                    .row_stride = (ptrdiff_t)stride,
                    .width = width,
                    .weights = weights,
                    .bias = bias,
                    .magnitude = {logits ? NULL : magnitude, logits ? NULL : magnitude + width},
                    .out = {out, out + width},
                });
                for (unsigned c = 0; c < 2; c++)
                    for (unsigned x = 0; x < width; x++) {
                        double logit = (double)bias[c];
                        for (unsigned r = 0; r < 4; r++)
                            for (unsigned k = 0; k < 4; k++)
                                logit += (double)input[2 * r * stride + x + 2 * k] *
                                         (double)weights[(r * 4 + k) * 2 + c];
                        const double masked = (double)magnitude[c * width + x] / (1 + exp(-logit));
                        assert_near("mask", out[c * width + x], logits ? logit : masked, 2e-5);
                    }
                buffer_free(input, input_count);
                buffer_free(weights, 32);
                buffer_free(bias, 2);
                buffer_free(magnitude, 2 * width);
                buffer_free(out, 2 * width);
            }
}

/* A group of tiles through all three stages, with kernels of 2 or 3 taps each way, is the convolution. The tiles of the result stand
 * side by side, the last of them as wide as `last_width`. */
static void check_winograd(const spl_kernels *kernels, unsigned tiles, unsigned channels,
                           unsigned row_taps, unsigned column_taps, unsigned height,
                           unsigned last_width, spl_finish_order order) {
    enum {
        PANEL = SPL_PANEL,
        GROUP = SPL_WINOGRAD_GROUP,
        MAX = 48,
        SIDE = SPL_WINOGRAD_SIDE,
        POINTS = SPL_WINOGRAD_POINTS
    };
    const size_t row_step = 9 * channels, column_step = channels + 3;
    const size_t pixel_count = (SIDE - 1) * (row_step + column_step) + channels;
    const size_t input_step = GROUP * channels + 16, input_count = POINTS * input_step;
    const size_t output_step = GROUP * PANEL + 16, output_count = POINTS * output_step;
    const size_t weights_step = (size_t)channels * PANEL + 16;
    const size_t out_row = (4 * (size_t)tiles + 1) * PANEL, out_count = 4 * out_row - PANEL;
    float *pixels[SPL_WINOGRAD_GROUP], *input = buffer_new(input_count),
                                       *output = buffer_new(output_count);
    float *weights = buffer_new(POINTS * weights_step), *bias = buffer_new(PANEL);
    float *scale = buffer_new(PANEL), *shift = buffer_new(PANEL);
    static double kernel[MAX][PANEL][9];

    spl_winograd_input in = {
        .tiles = tiles,
        .row_step = (ptrdiff_t)row_step,
        .column_step = (ptrdiff_t)column_step,
        .channels = channels,
        .rows = SIDE - (row_taps == 2),
        .columns = SIDE - (column_taps == 2),
        .points = input,
        .point_step = (ptrdiff_t)input_step,
    };
    for (unsigned i = 0; i < tiles; i++)
        in.pixels[i] = pixels[i] = buffer_new(pixel_count);
    kernels->winograd_input(&in);

    const size_t taps_count = (size_t)channels * row_taps * column_taps * PANEL;
    float *taps = buffer_new(taps_count), *next = taps;
    memset(kernel, 0, sizeof(kernel));
    for (unsigned c = 0; c < channels; c++)
        for (unsigned r = 0; r < row_taps; r++)
            for (unsigned k = 0; k < column_taps; k++)
                for (unsigned o = 0; o < PANEL; o++)
                    kernel[c][o][3 * r + k] = (double)*next++;
    for (unsigned row = 0; row < in.rows; row++)
        kernels->winograd_weights(&(spl_winograd_weights){
            .row = row,
            .tap_rows = row_taps,
            .tap_columns = column_taps,
            .channels = channels,
            .taps = taps,
            .points = weights + SIDE * row * weights_step,
            .point_step = weights_step,
            .last = weights + (SIDE * row + SIDE - 1) * weights_step,
        });
    buffer_free(taps, taps_count);
    kernels->winograd_product(&(spl_winograd_product){
        .points = POINTS,
        .panels = 1,
        .groups = 1,
        .rows = channels / 16,
        .run = 16,
        .input = input,
        .input_step = input_step,
        .row_step = (ptrdiff_t)(16 * GROUP),
        .weights = weights,
        .weights_step = weights_step,
        .ahead = weights,
        .ahead_points = 1,
        .output = output,
        .output_step = output_step,
    });

    float *raw = buffer_new(out_count), *out = buffer_new(out_count);
    float *before = buffer_new(out_count);
    memcpy(before, raw, out_count * sizeof(float));
    const spl_winograd_output to = {
        .tiles = tiles,
        .points = output,
        .point_step = (ptrdiff_t)output_step,
        .rows = in.rows,
        .columns = in.columns,
        .height = height,
        .width = 4 * (tiles - 1) + last_width,
        .finish = {.order = order,
                   .activation = SPL_ACTIVATION_ELU,
                   .bias = bias,
                   .scale = scale,
                   .shift = shift,
                   .channels = PANEL,
                   .raw = raw,
                   .raw_step = PANEL,
                   .out = out,
                   .out_step = PANEL},
        .raw_row_step = (ptrdiff_t)out_row,
        .out_row_step = (ptrdiff_t)out_row,
    };
    kernels->winograd_output(&to);
    for (unsigned y = 0; y < 4; y++)
        for (unsigned x = 0; x < 4 * tiles; x++)
            for (unsigned o = 0; o < PANEL; o++) {
                const size_t at = y * out_row + x * PANEL + o;
                if (y >= height || x >= to.width) {
                    assert_true(raw[at] == before[at]);
                    continue;
                }
                double sum = 0, magnitude = 1;
                for (unsigned c = 0; c < channels; c++)
                    for (unsigned tap = 0; tap < 9; tap++) {
                        const double product =
                            kernel[c][o][tap] *
                            (double)pixels[x / 4][(y + tap / 3) * row_step +
                                                  (x % 4 + tap % 3) * column_step + c];
                        sum += product;
                        magnitude += fabs(product);
                    }
                const double bound = 16 * (double)FLT_EPSILON * magnitude;
                assert_near("raw", raw[at], sum + (double)bias[o], bound);
                if (order != SPL_FINISH_RAW)
                    assert_near("out", out[at], finished(&to.finish, o, sum), bound);
            }
    for (unsigned i = 0; i < tiles; i++)
        buffer_free(pixels[i], pixel_count);
    buffer_free(raw, out_count);
    buffer_free(out, out_count);
    buffer_free(before, out_count);
    buffer_free(input, input_count);
    buffer_free(output, output_count);
    buffer_free(weights, POINTS * weights_step);
    buffer_free(bias, PANEL);
    buffer_free(scale, PANEL);
    buffer_free(shift, PANEL);
}

static void winograd_is_convolution(void **state) {
    (void)state;
    for (size_t t = 0; t < table_count; t++)
        for (unsigned channels = 16; channels <= 48; channels += 16)
            for (unsigned taps = 0; taps < 4; taps++)
                for (unsigned size = 0; size < 16; size++)
                    check_winograd(tables[t], 1 + (size + taps) % SPL_WINOGRAD_GROUP, channels,
                                   2 + taps / 2, 2 + taps % 2, 1 + size / 4, 1 + size % 4,
                                   (spl_finish_order)(channels / 16 % 3));
}

/* Groups and panels that are multiplied together have the same bytes as each by itself, and sums in parts the same as whole. */
static void winograd_product_does_not_depend_on_parts(void **state) {
    (void)state;
    enum { GROUPS = 5, RUN = 32, PANELS = 2 };
    const size_t step = (size_t)SPL_WINOGRAD_GROUP * RUN, input_count = GROUPS * step;
    const size_t weights_step = (size_t)RUN * SPL_PANEL, weights_count = PANELS * weights_step;
    const size_t alone_count = (size_t)SPL_WINOGRAD_GROUP * SPL_PANEL;
    for (size_t t = 0; t < table_count; t++)
        for (unsigned groups = 1; groups <= GROUPS; groups++) {
            const size_t panel_count = groups * alone_count, together_count = PANELS * panel_count;
            float *input = buffer_new(input_count), *weights = buffer_new(weights_count);
            float *together = buffer_new(together_count), *alone = buffer_new(alone_count);
            spl_winograd_product product = {
                .points = 1,
                .panels = PANELS,
                .groups = groups,
                .input = input,
                .group_step = (ptrdiff_t)step,
                .rows = 1,
                .run = RUN,
                .weights = weights,
                .weights_panel_step = weights_step,
                .ahead = weights,
                .ahead_points = 1,
                .output = together,
                .output_panel_step = panel_count,
            };
            tables[t]->winograd_product(&product);
            product.panels = 1;
            product.groups = 1;
            product.output = alone;
            for (unsigned i = 0; i < PANELS * groups; i++) {
                product.input = input + i % groups * step;
                product.weights = weights + i / groups * weights_step;
                tables[t]->winograd_product(&product);
                assert_memory_equal(together + i * alone_count, alone, alone_count * sizeof(float));
            }
            product.input = input;
            product.weights = weights;
            product.run = RUN / 2;
            tables[t]->winograd_product(&product);
            product.input += SPL_WINOGRAD_GROUP * RUN / 2;
            product.weights += RUN / 2 * SPL_PANEL;
            product.add = true;
            tables[t]->winograd_product(&product);
            assert_memory_equal(together, alone, alone_count * sizeof(float));
            buffer_free(input, input_count);
            buffer_free(weights, weights_count);
            buffer_free(together, together_count);
            buffer_free(alone, alone_count);
        }
}

/* Within 120 dB of the definition for noise, a spike and a sinusoid; the inverse gives the input back. */
static void fft_matches_definition(void **state) {
    (void)state;
    enum { N = SPL_FFT_SIZE };
    static spl_fft_tables twiddles;
    spl_fft_tables_init(&twiddles);
    static double complex roots[N];
    for (unsigned n = 0; n < N; n++)
        roots[n] = cexp(-2 * M_PI * I * n / N);
    for (size_t t = 0; t < table_count; t++)
        for (unsigned signal = 0; signal < 3; signal++) {
            float *re = buffer_new(N), *im = buffer_new(N), *scratch = buffer_new(2 * N);
            static float in_re[N], in_im[N];
            for (unsigned n = 0; n < N; n++) {
                if (signal == 1)
                    re[n] = n == 5, im[n] = n == 4095;
                if (signal == 2)
                    re[n] = cosf(0.37f * (float)n), im[n] = 0;
                in_re[n] = re[n];
                in_im[n] = im[n];
            }
            tables[t]->fft(&twiddles, re, im, scratch);
            double error = 0, energy = 0;
            for (unsigned k = 0; k < N; k += 7) {
                double complex want = 0;
                for (unsigned n = 0; n < N; n++)
                    want += ((double)in_re[n] + I * (double)in_im[n]) * roots[k * n % N];
                const double complex difference = want - ((double)re[k] + I * (double)im[k]);
                error += creal(difference * conj(difference));
                energy += creal(want * conj(want));
            }
            assert_true(error <= energy * 1e-12);
            tables[t]->fft(&twiddles, im, re, scratch);
            for (unsigned n = 0; n < N; n++) {
                assert_true(fabsf(re[n] / N - in_re[n]) < 2e-6f);
                assert_true(fabsf(im[n] / N - in_im[n]) < 2e-6f);
            }
            buffer_free(re, N);
            buffer_free(im, N);
            buffer_free(scratch, 2 * N);
        }
}

/* Gain 1 gives the packed spectrum back; gains of one channel leave the other alone; magnitudes are those of the two signals. */
static void spectrum_separates_channels(void **state) {
    (void)state;
    enum { N = SPL_FFT_SIZE };
    static spl_fft_tables twiddles;
    spl_fft_tables_init(&twiddles);
    for (size_t t = 0; t < table_count; t++) {
        const spl_kernels *kernels = tables[t];
        float *re = buffer_new(N), *im = buffer_new(N), *scratch = buffer_new(2 * N);
        float *left = buffer_new(SPL_BINS), *right = buffer_new(SPL_BINS), *both = buffer_new(4096);
        float *to_re = buffer_new(N), *to_im = buffer_new(N);
        static float in_left[N], in_right[N], zero[N];
        memcpy(in_left, re, sizeof(in_left));
        memcpy(in_right, im, sizeof(in_right));
        kernels->fft(&twiddles, re, im, scratch);

        kernels->magnitude(re, im, 2048, left, right, both);
        static float left_re[N], left_im[N];
        memcpy(left_re, in_left, sizeof(left_re));
        memcpy(left_im, zero, sizeof(left_im));
        kernels->fft(&twiddles, left_re, left_im, scratch);
        for (unsigned k = 0; k < 2048; k++) {
            assert_true(fabsf(left[k] - hypotf(left_re[k], left_im[k])) < 1e-4f);
            assert_true(both[2 * k] == left[k] && both[2 * k + 1] == right[k]);
        }

        for (unsigned k = 0; k < SPL_BINS; k++)
            left[k] = 1, right[k] = 0;
        kernels->apply(re, im, left, right, to_re, to_im);
        kernels->fft(&twiddles, to_im, to_re, scratch);
        for (unsigned n = 0; n < N; n++) {
            assert_true(fabsf(to_re[n] / N - in_left[n]) < 2e-6f);
            assert_true(fabsf(to_im[n] / N) < 2e-6f);
        }
        buffer_free(re, N);
        buffer_free(im, N);
        buffer_free(scratch, 2 * N);
        buffer_free(left, SPL_BINS);
        buffer_free(right, SPL_BINS);
        buffer_free(both, 4096);
        buffer_free(to_re, N);
        buffer_free(to_im, N);
    }
}

static void gains_and_softmax_follow_definitions(void **state) {
    (void)state;
    static const double exponents[] = {1, 2, 0.5, 3};
    enum { STEMS = 3, SOFTMAX = SPL_ARRAY_SIZE(exponents) };
    for (size_t t = 0; t < table_count; t++)
        for (unsigned kind = 0; kind <= SOFTMAX; kind++)
            for (unsigned count = 1; count < 600; count += 83) {
                float *values[STEMS], *magnitudes = buffer_new(count);
                double want[STEMS][600];
                for (unsigned i = 0; i < STEMS; i++) {
                    values[i] = buffer_new(count);
                    for (unsigned k = 0; k < count; k++)
                        values[i][k] = kind == SOFTMAX ? 50 * values[i][k]
                                       : k == 0        ? 0
                                                       : fabsf(values[i][k]);
                }
                for (unsigned k = 0; k < count; k++) {
                    double sum = kind == SOFTMAX ? 0 : 1e-10;
                    for (unsigned i = 0; i < STEMS; i++) {
                        const double value = (double)values[i][k];
                        want[i][k] = kind == SOFTMAX ? exp(value) : pow(value, exponents[kind]);
                        sum += want[i][k];
                    }
                    for (unsigned i = 0; i < STEMS; i++)
                        want[i][k] = kind == SOFTMAX ? want[i][k] * (double)magnitudes[k] / sum
                                                     : (want[i][k] + 1e-10 / STEMS) / sum;
                }
                if (kind == SOFTMAX)
                    tables[t]->softmax(values, STEMS, count, magnitudes);
                else
                    tables[t]->gains(values, STEMS, count, (float)exponents[kind], 1e-10f / STEMS,
                                     1e-10f);
                for (unsigned i = 0; i < STEMS; i++) {
                    for (unsigned k = 0; k < count; k++)
                        assert_true(fabs((double)values[i][k] - want[i][k]) < 1e-6);
                    buffer_free(values[i], count);
                }
                buffer_free(magnitudes, count);
            }
}

static double measured_peak(const spl_kernels *kernels) {
    enum { STEPS = 1000000 };
    double best = 0;
    for (int repeat = 0; repeat < 10; repeat++) {
        const double start = now_s();
        const float sum = kernels->peak(STEPS);
        const double seconds = now_s() - start;
        assert_true(sum > 0);
        best = fmax(best, 2.0 * kernels->peak_lanes * STEPS / seconds);
    }
    return best;
}

typedef struct bench_case {
    const char *name;
    double flops;
    void (*run)(const spl_kernels *kernels, void *user);
    void *user;
} bench_case;

static void bench_one(const spl_kernels *kernels, const bench_case *c, double peak) {
    double best = 0;
    for (int repeat = 0; repeat < 200; repeat++) {
        const double start = now_s();
        c->run(kernels, c->user);
        best = fmax(best, c->flops / (now_s() - start));
    }
    printf("%-10s %-28s %10.1f %7.0f%%\n", kernels->isa, c->name, best / 1e9, 100 * best / peak);
}

static void bench_row(const spl_kernels *kernels, void *user) {
    kernels->conv_row(&((row_case *)user)->row);
}

static void bench_fft(const spl_kernels *kernels, void *user) {
    static spl_fft_tables twiddles;
    if (twiddles.re[0][0] == 0)
        spl_fft_tables_init(&twiddles);
    float *re = user, *im = re + SPL_FFT_SIZE, *scratch = im + SPL_FFT_SIZE;
    kernels->fft(&twiddles, re, im, scratch);
    memset(re, 0, 2 * SPL_FFT_SIZE * sizeof(float));
}

enum { BENCH_CHANNELS = 64, BENCH_TILES = 48, BENCH_STEP = BENCH_TILES * BENCH_CHANNELS + 16 };

static void bench_winograd_weights(const spl_kernels *kernels, void *user) {
    float *points = (float *)user + 9 * BENCH_CHANNELS * SPL_PANEL;
    for (unsigned row = 0; row < SPL_WINOGRAD_SIDE; row++)
        kernels->winograd_weights(&(spl_winograd_weights){
            .row = row,
            .tap_rows = 3,
            .tap_columns = 3,
            .channels = BENCH_CHANNELS,
            .taps = user,
            .points = points,
            .point_step = BENCH_CHANNELS * SPL_PANEL + 16,
            .last = points + 5 * (BENCH_CHANNELS * SPL_PANEL + 16),
        });
}

static void bench_winograd_input(const spl_kernels *kernels, void *user) {
    const float *pixels = user;
    for (unsigned first = 0; first < BENCH_TILES; first += SPL_WINOGRAD_GROUP) {
        spl_winograd_input input = {
            .tiles = SPL_WINOGRAD_GROUP,
            .row_step = 34 * BENCH_CHANNELS,
            .column_step = BENCH_CHANNELS,
            .channels = BENCH_CHANNELS,
            .rows = 6,
            .columns = 6,
            .points = (float *)user + (6 * 34 + first) * BENCH_CHANNELS,
            .point_step = BENCH_STEP,
        };
        for (unsigned i = 0; i < input.tiles; i++)
            input.pixels[i] = pixels + (size_t)4 * i * BENCH_CHANNELS;
        kernels->winograd_input(&input);
    }
}

static void bench_winograd_product(const spl_kernels *kernels, void *user) {
    float *points = user, *weights = points + 2 * BENCH_STEP;
    kernels->winograd_product(&(spl_winograd_product){
        .points = 1,
        .panels = 1,
        .groups = BENCH_TILES / SPL_WINOGRAD_GROUP,
        .input = points,
        .group_step = SPL_WINOGRAD_GROUP * BENCH_CHANNELS,
        .rows = 1,
        .run = BENCH_CHANNELS,
        .weights = weights,
        .ahead = weights,
        .ahead_points = 1,
        .output = points + BENCH_STEP,
    });
}

static void bench_winograd_output(const spl_kernels *kernels, void *user) {
    float *points = user, *out = points + SPL_WINOGRAD_POINTS * BENCH_STEP;
    kernels->winograd_output(&(spl_winograd_output){
        .tiles = BENCH_TILES,
        .points = points,
        .point_step = BENCH_STEP,
        .rows = 6,
        .columns = 6,
        .height = 4,
        .width = 4 * BENCH_TILES,
        .finish = {.order = SPL_FINISH_ACT_NORM,
                   .activation = SPL_ACTIVATION_RELU,
                   .bias = points,
                   .scale = points,
                   .shift = points,
                   .channels = SPL_PANEL,
                   .out = out,
                   .out_step = SPL_PANEL},
        .out_row_step = (ptrdiff_t)4 * BENCH_TILES * SPL_PANEL,
    });
}

static void bench_single_row(const spl_kernels *kernels, void *user) {
    enum { STEP = 528 };
    float *rows = user, *out = rows + (size_t)3 * 32 * STEP;
    spl_single_row row = {.channel_step = STEP,
                          .channels = 32,
                          .width = 512,
                          .weights = rows,
                          .ahead = rows,
                          .activation = SPL_ACTIVATION_RELU,
                          .out = {out, out + 1024}};
    for (unsigned r = 0; r < 3; r++)
        row.input[r] = rows + (size_t)r * 32 * STEP + 1;
    kernels->single_row(&row);
}

static void bench_mask_row(const spl_kernels *kernels, void *user) {
    enum { WIDTH = 1024, STRIDE = WIDTH + 6 };
    float *input = user, *out = input + 7 * STRIDE;
    kernels->mask_row(&(spl_mask_row){.input = input,
                                      .row_stride = STRIDE,
                                      .width = WIDTH,
                                      .weights = input,
                                      .bias = input,
                                      .magnitude = {input, input + WIDTH},
                                      .out = {out, out + WIDTH}});
}

static void bench(void) {
    const double peak = measured_peak(tables[table_count - 1]);
    printf("%-10s %-28s %10s %8s\n", "isa", "kernel", "GFLOP/s", "of peak");
    static const struct {
        const char *name;
        unsigned rows, run, step, width;
    } rows[] = {
        {"conv_row 5x5x2", 5, 10, 4, 512},
        {"conv_row 5x5x256", 5, 1280, 512, 16},
    };
    for (size_t t = 0; t < table_count; t++) {
        for (unsigned i = 0; i < SPL_ARRAY_SIZE(rows); i++) {
            row_case c =
                row_case_new(rows[i].rows, rows[i].run, rows[i].step, rows[i].width, SPL_PANEL);
            c.row.finish.order = SPL_FINISH_NORM_ACT;
            const bench_case one = {rows[i].name,
                                    2.0 * rows[i].rows * rows[i].run * rows[i].width * SPL_PANEL,
                                    bench_row, &c};
            bench_one(tables[t], &one, peak);
            row_case_free(&c);
        }
        const bench_case cases[] = {
            {"winograd_weights 64x16", 6 * (18.0 + 13) * BENCH_CHANNELS * SPL_PANEL,
             bench_winograd_weights, NULL},
            {"winograd_input 48x64", BENCH_TILES * 12.0 * 22 * BENCH_CHANNELS, bench_winograd_input,
             NULL},
            {"winograd_product 48x64x16", 2.0 * BENCH_TILES * BENCH_CHANNELS * SPL_PANEL,
             bench_winograd_product, NULL},
            {"winograd_output 48x16", BENCH_TILES * 10.0 * 20 * SPL_PANEL, bench_winograd_output,
             NULL},
            {"single_row 32x512", 2.0 * SPL_SINGLE_TAPS * 32 * 512, bench_single_row, NULL},
            {"mask_row 1024", 2.0 * 2 * 16 * 1024, bench_mask_row, NULL},
        };
        const size_t count = (size_t)(SPL_WINOGRAD_POINTS + 8) * BENCH_STEP + (1 << 17);
        float *memory = buffer_new(count);
        for (unsigned i = 0; i < SPL_ARRAY_SIZE(cases); i++) {
            bench_case one = cases[i];
            one.user = memory;
            bench_one(tables[t], &one, peak);
        }
        buffer_free(memory, count);
        float *frame = buffer_new(4 * SPL_FFT_SIZE);
        bench_one(tables[t], &(bench_case){"fft 4096", 5.0 * SPL_FFT_SIZE * 12, bench_fft, frame},
                  peak);
        buffer_free(frame, 4 * SPL_FFT_SIZE);
    }
}

int main(int argc, char **argv) {
    static const unsigned sets[] = {0, SPL_CPU_AVX2, SPL_CPU_AVX2 | SPL_CPU_AVX512};
    for (unsigned i = 0; i < SPL_ARRAY_SIZE(sets); i++)
        if ((spl_cpu_flags() & sets[i]) == sets[i])
            if (table_count == 0 || tables[table_count - 1] != spl_kernels_get(sets[i]))
                tables[table_count++] = spl_kernels_get(sets[i]);
    if (argc > 1 && strcmp(argv[1], "--bench") == 0) {
        bench();
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conv_row_follows_definition),
        cmocka_unit_test(conv_row_does_not_depend_on_position),
        cmocka_unit_test(single_row_follows_definition),
        cmocka_unit_test(transpose_follows_definition),
        cmocka_unit_test(mask_row_follows_definition),
        cmocka_unit_test(winograd_is_convolution),
        cmocka_unit_test(winograd_product_does_not_depend_on_parts),
        cmocka_unit_test(fft_matches_definition),
        cmocka_unit_test(spectrum_separates_channels),
        cmocka_unit_test(gains_and_softmax_follow_definitions),
    };
    return cmocka_run_group_tests_name("kernels", tests, NULL, NULL);
}

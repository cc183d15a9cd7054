/* SPDX-License-Identifier: MIT
 *
 * Measures the speed of each kernel as a share of this core's measured FMA peak.
 */
#include "base/macros.h"
#include "kernels_fixture.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static double now_s(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
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
    float *transformed = (float *)user + 9 * BENCH_CHANNELS * SPL_PANEL;
    for (unsigned row = 0; row < SPL_WINOGRAD_SIDE; row++)
        kernels->winograd_weights(&(spl_winograd_weights){
            .row = row,
            .tap_rows = 3,
            .tap_columns = 3,
            .channels = BENCH_CHANNELS,
            .taps = user,
            .transformed = transformed,
            .element_step = BENCH_CHANNELS * SPL_PANEL + 16,
            .last = transformed + 5 * (BENCH_CHANNELS * SPL_PANEL + 16),
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
            .transformed = (float *)user + (6 * 34 + first) * BENCH_CHANNELS,
            .element_step = BENCH_STEP,
        };
        for (unsigned i = 0; i < input.tiles; i++)
            input.pixels[i] = pixels + (size_t)4 * i * BENCH_CHANNELS;
        kernels->winograd_input(&input);
    }
}

static void bench_winograd_product(const spl_kernels *kernels, void *user) {
    float *input = user, *weights = input + 2 * BENCH_STEP;
    kernels->winograd_product(&(spl_winograd_product){
        .elements = 1,
        .panels = 1,
        .groups = BENCH_TILES / SPL_WINOGRAD_GROUP,
        .input = input,
        .group_step = SPL_WINOGRAD_GROUP * BENCH_CHANNELS,
        .rows = 1,
        .run = BENCH_CHANNELS,
        .weights = weights,
        .ahead = weights,
        .ahead_elements = 1,
        .output = input + BENCH_STEP,
    });
}

static void bench_winograd_output(const spl_kernels *kernels, void *user) {
    float *products = user, *out = products + SPL_WINOGRAD_ELEMENTS * BENCH_STEP;
    kernels->winograd_output(&(spl_winograd_output){
        .tiles = BENCH_TILES,
        .products = products,
        .element_step = BENCH_STEP,
        .rows = 6,
        .columns = 6,
        .height = 4,
        .width = 4 * BENCH_TILES,
        .finish = {.order = SPL_FINISH_ACT_NORM,
                   .activation = SPL_ACTIVATION_RELU,
                   .bias = products,
                   .scale = products,
                   .shift = products,
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

int main(void) {
    kernels_find();
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
        const size_t count = (size_t)(SPL_WINOGRAD_ELEMENTS + 8) * BENCH_STEP + (1 << 17);
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

/* SPDX-License-Identifier: MIT
 *
 * Every kernel against its reference, in padded buffers, at sizes around its tile; with --bench, its speed as a share of
 * this core's measured FMA peak.
 *
 * Tolerances come from the operands: a sum of n products may differ by n * epsilon times the sum of their magnitudes.
 * Transforms are held to the double-precision definition.
 */
#include "base/macros.h"
#include "kernels/conv.h"
#include "kernels/cpu.h"
#include "kernels/fft.h"
#include "kernels/spectrum.h"

#include <complex.h>
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

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
                             unsigned lanes, unsigned channels) {
    row_case c = {0};
    const size_t row_stride = (size_t)step * width + run + 3;
    c.input_count = row_stride * (rows - 1) + (size_t)step * (width - 1) + run;
    c.weights_count = (size_t)rows * run * lanes;
    c.out_count = (size_t)(width - 1) * (channels + 5) + channels;
    c.input = buffer_new(c.input_count);
    c.weights = buffer_new(c.weights_count);
    c.bias = buffer_new(lanes);
    c.scale = buffer_new(lanes);
    c.shift = buffer_new(lanes);
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
        .lanes = lanes,
        .channels = channels,
        .bias = c.bias,
        .scale = c.scale,
        .shift = c.shift,
        .raw = c.raw,
        .raw_step = channels + 5,
        .out = c.out,
        .out_step = channels + 5,
    };
    return c;
}

static void row_case_free(row_case *c) {
    const unsigned lanes = c->row.lanes;
    buffer_free(c->input, c->input_count);
    buffer_free(c->weights, c->weights_count);
    buffer_free(c->bias, lanes);
    buffer_free(c->scale, lanes);
    buffer_free(c->shift, lanes);
    buffer_free(c->raw, c->out_count);
    buffer_free(c->out, c->out_count);
}

static void check_row(const spl_conv_kernels *kernels, unsigned rows, unsigned run, unsigned step,
                      unsigned width, unsigned lanes, unsigned channels, spl_conv_finish finish,
                      spl_activation activation, float special) {
    row_case c = row_case_new(rows, run, step, width, lanes, channels);
    c.row.finish = finish;
    c.row.activation = activation;
    if (special != 0)
        c.input[c.input_count / 2] = special;
    float *got_raw = buffer_new(c.out_count), *got_out = buffer_new(c.out_count);
    memcpy(got_raw, c.raw, c.out_count * sizeof(float));
    memcpy(got_out, c.out, c.out_count * sizeof(float));
    spl_conv_row_f32_c(&c.row);
    spl_conv_row got = c.row;
    got.raw = got_raw;
    got.out = got_out;
    kernels->row(&got);

    const float tolerance = 4 * FLT_EPSILON * (float)(rows * run + 8);
    for (size_t i = 0; i < c.out_count; i++) {
        const float *want[] = {c.raw, c.out}, *have[] = {got_raw, got_out};
        for (int kind = 0; kind < 2; kind++) {
            const float w = want[kind][i], h = have[kind][i];
            const bool same = isnan(w)   ? isnan(h)
                              : isinf(w) ? w == h
                                         : fabsf(w - h) <= tolerance * (2 + fabsf(w));
            if (!same)
                fail_msg("rows %u run %u width %u lanes %u channels %u finish %d activation %d: "
                         "%s[%zu] = %g, want %g",
                         rows, run, width, lanes, channels, (int)finish, (int)activation,
                         kind ? "out" : "raw", i, (double)h, (double)w);
        }
    }
    buffer_free(got_raw, c.out_count);
    buffer_free(got_out, c.out_count);
    row_case_free(&c);
}

static spl_conv_kernels best_conv(void) {
    spl_conv_kernels kernels;
    spl_conv_kernels_init(&kernels, spl_cpu_flags());
    return kernels;
}

static void conv_row_matches_reference(void **state) {
    (void)state;
    const spl_conv_kernels kernels = best_conv();
    static const unsigned runs[] = {1, 2, 10, 80, 129};
    for (unsigned lanes = 8; lanes <= 16; lanes += 8)
        for (unsigned width = 1; width <= 26; width++)
            for (unsigned rows = 1; rows <= 5; rows++)
                for (unsigned r = 0; r < SPL_ARRAY_SIZE(runs); r++)
                    check_row(&kernels, rows, runs[r], runs[r] / 2 + 1, width, lanes,
                              1 + (width + rows) % lanes, (spl_conv_finish)(width % 3),
                              (spl_activation)(rows % 3), 0);
    for (int activation = 0; activation < 3; activation++)
        for (int finish = 0; finish < 3; finish++) {
            check_row(&kernels, 3, 32, 16, 13, 16, 16, (spl_conv_finish)finish,
                      (spl_activation)activation, 0);
            check_row(&kernels, 3, 32, 16, 13, 16, 16, (spl_conv_finish)finish,
                      (spl_activation)activation, NAN);
        }
}

/* A row computed in two parts has the same bytes as in one. */
static void conv_row_does_not_depend_on_position(void **state) {
    (void)state;
    const spl_conv_kernels kernels = best_conv();
    for (unsigned lanes = 8; lanes <= 16; lanes += 8)
        for (unsigned cut = 1; cut < 31; cut++) {
            row_case c = row_case_new(5, 40, 16, 31, lanes, lanes);
            c.row.finish = SPL_FINISH_NORM_ACT;
            c.row.activation = SPL_ACTIVATION_ELU;
            kernels.row(&c.row);
            float *whole = buffer_new(c.out_count);
            memcpy(whole, c.out, c.out_count * sizeof(float));
            spl_conv_row first = c.row, second = c.row;
            first.width = cut;
            second.width = 31 - cut;
            second.input += (ptrdiff_t)cut * c.row.step;
            second.raw += (ptrdiff_t)cut * c.row.raw_step;
            second.out += (ptrdiff_t)cut * c.row.out_step;
            kernels.row(&first);
            kernels.row(&second);
            assert_memory_equal(whole, c.out, c.out_count * sizeof(float));
            buffer_free(whole, c.out_count);
            row_case_free(&c);
        }
}

static void mask_row_matches_reference(void **state) {
    (void)state;
    const spl_conv_kernels kernels = best_conv();
    for (unsigned width = 1; width <= 40; width++)
        for (unsigned logits = 0; logits < 2; logits++) {
            const size_t stride = width + 9, input_count = 6 * stride + width + 6;
            float *input = buffer_new(input_count), *weights = buffer_new(32),
                  *bias = buffer_new(2);
            float *magnitude = buffer_new(2 * width), *want = buffer_new(2 * width),
                  *have = buffer_new(2 * width);
            for (size_t i = 0; i < input_count; i++)
                input[i] *= 20;
            spl_conv_mask_row row = {
                .input = input,
                .row_stride = (ptrdiff_t)stride,
                .width = width,
                .weights = weights,
                .bias = bias,
                .magnitude = {logits ? NULL : magnitude, logits ? NULL : magnitude + width},
                .out = {want, want + width},
            };
            spl_conv_mask_row_f32_c(&row);
            row.out[0] = have;
            row.out[1] = have + width;
            kernels.mask_row(&row);
            for (unsigned i = 0; i < 2 * width; i++)
                assert_true(fabsf(want[i] - have[i]) <= 1e-5f * (1 + fabsf(want[i])));
            buffer_free(input, input_count);
            buffer_free(weights, 32);
            buffer_free(bias, 2);
            buffer_free(magnitude, 2 * width);
            buffer_free(want, 2 * width);
            buffer_free(have, 2 * width);
        }
}

/* Within 120 dB of the definition for noise, a spike and a sinusoid; the inverse gives the input back. */
static void fft_matches_definition(void **state) {
    (void)state;
    enum { N = SPL_FFT_SIZE };
    static spl_fft_tables tables;
    spl_fft_tables_init(&tables);
    const spl_fft_fn kernels[] = {spl_fft_kernel(0), spl_fft_kernel(spl_cpu_flags())};
    static double complex roots[N];
    for (unsigned n = 0; n < N; n++)
        roots[n] = cexp(-2 * M_PI * I * n / N);
    for (unsigned kernel = 0; kernel < SPL_ARRAY_SIZE(kernels); kernel++)
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
            kernels[kernel](&tables, re, im, scratch);
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
            kernels[kernel](&tables, im, re, scratch);
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
    static spl_fft_tables tables;
    spl_fft_tables_init(&tables);
    for (unsigned flags = 0; flags < 2; flags++) {
        spl_spectrum_kernels kernels;
        spl_spectrum_kernels_init(&kernels, flags ? spl_cpu_flags() : 0);
        float *re = buffer_new(N), *im = buffer_new(N), *scratch = buffer_new(2 * N);
        float *left = buffer_new(SPL_BINS), *right = buffer_new(SPL_BINS), *both = buffer_new(4096);
        float *to_re = buffer_new(N), *to_im = buffer_new(N);
        static float in_left[N], in_right[N], zero[N];
        memcpy(in_left, re, sizeof(in_left));
        memcpy(in_right, im, sizeof(in_right));
        spl_fft_f32_c(&tables, re, im, scratch);

        kernels.magnitude(re, im, 2048, left, right, both);
        static float left_re[N], left_im[N];
        memcpy(left_re, in_left, sizeof(left_re));
        memcpy(left_im, zero, sizeof(left_im));
        spl_fft_f32_c(&tables, left_re, left_im, scratch);
        for (unsigned k = 0; k < 2048; k++) {
            assert_true(fabsf(left[k] - hypotf(left_re[k], left_im[k])) < 1e-4f);
            assert_true(both[2 * k] == left[k] && both[2 * k + 1] == right[k]);
        }

        for (unsigned k = 0; k < SPL_BINS; k++)
            left[k] = 1, right[k] = 0;
        kernels.apply(re, im, left, right, to_re, to_im);
        spl_fft_f32_c(&tables, to_im, to_re, scratch);
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
    for (unsigned flags = 0; flags < 2; flags++)
        for (unsigned kind = 0; kind <= SOFTMAX; kind++)
            for (unsigned count = 1; count < 600; count += 83) {
                spl_spectrum_kernels kernels;
                spl_spectrum_kernels_init(&kernels, flags ? spl_cpu_flags() : 0);
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
                    kernels.softmax(values, STEMS, count, magnitudes);
                else
                    kernels.gains(values, STEMS, count, (float)exponents[kind], 1e-10f / STEMS,
                                  1e-10f);
                for (unsigned i = 0; i < STEMS; i++) {
                    for (unsigned k = 0; k < count; k++)
                        assert_true(fabs((double)values[i][k] - want[i][k]) < 1e-6);
                    buffer_free(values[i], count);
                }
                buffer_free(magnitudes, count);
            }
}

/* FLOP/s of 12 independent FMA chains of 8 lanes on this core. */
typedef float v8 __attribute__((vector_size(32)));
#if defined(__x86_64__)
__attribute__((target("avx2,fma")))
#endif
static double
measured_peak(void) {
    enum { CHAINS = 12, STEPS = 4000000 };
    double best = 0;
    for (int repeat = 0; repeat < 5; repeat++) {
        v8 chain[CHAINS] = {0};
        const v8 factor = {0.5f, 0.5f, 0.5f, 0.5f, 0.5f, 0.5f, 0.5f, 0.5f};
        const double start = now_s();
        for (unsigned i = 0; i < STEPS; i++) {
#pragma GCC unroll 12
            for (unsigned c = 0; c < CHAINS; c++)
                chain[c] = chain[c] * factor + factor;
#pragma GCC unroll 12
            for (unsigned c = 0; c < CHAINS; c++)
                __asm__ volatile("" : "+x"(chain[c]));
        }
        best = fmax(best, 16.0 * CHAINS * STEPS / (now_s() - start));
    }
    return best;
}

static void bench(void) {
    const spl_conv_kernels kernels = best_conv();
    const double peak = measured_peak();
    printf("%-28s %10s %8s\n", "kernel", "GFLOP/s", "of peak");
    static const struct {
        const char *name;
        unsigned rows, run, step, width, lanes;
    } cases[] = {
        {"conv1 5x5x2", 5, 10, 4, 512, 16},        {"conv2 5x5x16", 5, 80, 32, 256, 16},
        {"conv4 5x5x64", 5, 320, 128, 64, 16},     {"conv6 5x5x256", 5, 1280, 512, 16, 16},
        {"up5 3x3x64", 3, 192, 64, 256, 16},       {"up3 3x3x256", 3, 768, 256, 64, 16},
        {"up6 3x4x32, pairs", 3, 128, 64, 256, 8},
    };
    for (unsigned i = 0; i < SPL_ARRAY_SIZE(cases); i++) {
        row_case c = row_case_new(cases[i].rows, cases[i].run, cases[i].step, cases[i].width,
                                  cases[i].lanes, cases[i].lanes);
        c.row.finish = SPL_FINISH_NORM_ACT;
        double best = 0;
        for (int repeat = 0; repeat < 30; repeat++) {
            const double start = now_s();
            kernels.row(&c.row);
            best = fmax(best, 2.0 * c.row.rows * c.row.run * c.row.width * c.row.lanes /
                                  (now_s() - start));
        }
        printf("%-28s %10.1f %7.0f%%\n", cases[i].name, best / 1e9, 100 * best / peak);
        row_case_free(&c);
    }
    static spl_fft_tables tables;
    spl_fft_tables_init(&tables);
    float *re = buffer_new(SPL_FFT_SIZE), *im = buffer_new(SPL_FFT_SIZE),
          *scratch = buffer_new(2 * SPL_FFT_SIZE);
    double best = 0;
    for (int repeat = 0; repeat < 200; repeat++) {
        const double start = now_s();
        spl_fft_kernel(spl_cpu_flags())(&tables, re, im, scratch);
        best = fmax(best, 5.0 * SPL_FFT_SIZE * 12 / (now_s() - start));
        memset(re, 0, SPL_FFT_SIZE * sizeof(float));
    }
    printf("%-28s %10.1f %7.0f%%\n", "fft 4096", best / 1e9, 100 * best / peak);
    buffer_free(re, SPL_FFT_SIZE);
    buffer_free(im, SPL_FFT_SIZE);
    buffer_free(scratch, 2 * SPL_FFT_SIZE);
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "--bench") == 0) {
        bench();
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conv_row_matches_reference),
        cmocka_unit_test(conv_row_does_not_depend_on_position),
        cmocka_unit_test(mask_row_matches_reference),
        cmocka_unit_test(fft_matches_definition),
        cmocka_unit_test(spectrum_separates_channels),
        cmocka_unit_test(gains_and_softmax_follow_definitions),
    };
    return cmocka_run_group_tests_name("kernels", tests, NULL, NULL);
}

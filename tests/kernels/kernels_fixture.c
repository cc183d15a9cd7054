/* SPDX-License-Identifier: MIT */
#include "kernels_fixture.h"

#include "base/macros.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

const spl_kernels *tables[3];
size_t table_count;

#define GUARD 64
static const float guard_value = -7777.0f;

static uint32_t random_state = 1;

static float uniform(void) {
    random_state = random_state * 1664525u + 1013904223u;
    return (float)(random_state >> 8) / (float)(1 << 23) - 1.0f;
}

float *buffer_new(size_t count) {
    float *all = malloc((count + 2 * GUARD) * sizeof(float));
    assert_non_null(all);
    for (size_t i = 0; i < count + 2 * GUARD; i++)
        all[i] = i < GUARD || i >= GUARD + count ? guard_value : uniform();
    return all + GUARD;
}

void buffer_free(float *buffer, size_t count) {
    for (size_t i = 0; i < GUARD; i++) {
        assert_true(buffer[-1 - (ptrdiff_t)i] == guard_value);
        assert_true(buffer[count + i] == guard_value);
    }
    free(buffer - GUARD);
}

row_case row_case_new(unsigned rows, unsigned run, unsigned step, unsigned width,
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

void row_case_free(row_case *c) {
    buffer_free(c->input, c->input_count);
    buffer_free(c->weights, c->weights_count);
    buffer_free(c->bias, SPL_PANEL);
    buffer_free(c->scale, SPL_PANEL);
    buffer_free(c->shift, SPL_PANEL);
    buffer_free(c->raw, c->out_count);
    buffer_free(c->out, c->out_count);
}

double activate(spl_activation activation, double value) {
    if (!(value < 0))
        return value;
    return activation == SPL_ACTIVATION_RELU  ? 0
           : activation == SPL_ACTIVATION_ELU ? expm1(value)
                                              : 0.2 * value;
}

double finished(const spl_finish *finish, unsigned o, double sum) {
    const double value = sum + (double)finish->bias[o];
    const double scale = (double)finish->scale[o], shift = (double)finish->shift[o];
    if (finish->order == SPL_FINISH_NORM_ACT)
        return activate(finish->activation, value * scale + shift);
    return activate(finish->activation, value) * scale + shift;
}

void assert_near(const char *what, float got, double want, double tolerance) {
    const bool same = isnan(want) ? isnan(got) : fabs((double)got - want) <= tolerance;
    if (!same)
        fail_msg("%s: %.9g, want %.9g", what, (double)got, want);
}

void kernels_find(void) {
    static const unsigned sets[] = {0, SPL_CPU_AVX2, SPL_CPU_AVX2 | SPL_CPU_AVX512};
    for (unsigned i = 0; i < SPL_ARRAY_SIZE(sets); i++)
        if ((spl_cpu_flags() & sets[i]) == sets[i])
            if (table_count == 0 || tables[table_count - 1] != spl_kernels_get(sets[i]))
                tables[table_count++] = spl_kernels_get(sets[i]);
}

/* SPDX-License-Identifier: MIT
 *
 * What the kernel tests and kernels_bench.c share. Each test checks one family of kernels against
 * its definition in double precision, for every instruction set of this CPU, in guarded buffers, at
 * sizes around the kernel's tile.
 *
 * Tolerances come from the operands: a sum of n products may be off by n * epsilon times the sum of
 * their magnitudes.
 */
#ifndef KERNELS_FIXTURE_H
#define KERNELS_FIXTURE_H

#include "lib/kernels/kernels.h"

/* The kernels of each instruction set of this CPU, best last; `table_count` are set by
 * kernels_find(). */
extern const spl_kernels *tables[3];
extern size_t table_count;

/* Fills `tables`. To be called once, before anything else here. */
void kernels_find(void);

/* `count` random floats in [-1, 1), the same in each run, between two guards. */
float *buffer_new(size_t count);

/* Asserts that the guards are intact, and frees the buffer. */
void buffer_free(float *buffer, size_t count);

/* A convolution row of one size and kind; everything it points to belongs to it. */
typedef struct row_case {
    spl_conv_row row;
    size_t input_count, weights_count, out_count;
    float *input, *weights, *bias, *scale, *shift, *raw, *out;
} row_case;

row_case row_case_new(unsigned rows, unsigned run, unsigned step, unsigned width,
                      unsigned channels);
void row_case_free(row_case *c);

double activate(spl_activation activation, double value);

/* The finished value of a sum for channel o. */
double finished(const spl_finish *finish, unsigned o, double sum);

/* Both NaN, or at most `tolerance` apart. */
void assert_near(const char *what, float got, double want, double tolerance);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Shared by the kernel tests and kernels_bench.c. Each test checks one family of kernels against
 * its definition in double precision, for every instruction set that this CPU supports, in guarded
 * buffers, at sizes around the kernel's tile.
 *
 * Tolerances follow from the operands: a sum of n products may differ by n * epsilon times the sum
 * of their magnitudes.
 */
#ifndef KERNELS_FIXTURE_H
#define KERNELS_FIXTURE_H

#include "lib/kernels/kernels.h"

/* The kernels of each instruction set that this CPU supports, the best last. kernels_find() fills
 * in `tables` and `table_count`. */
extern const spl_kernels *tables[3];
extern size_t table_count;

/* Fills `tables`. Call it once, before anything else here. */
void kernels_find(void);

/* Returns `count` random floats in [-1, 1), the same in each run, between two guards. Free them
 * with buffer_free(). */
float *buffer_new(size_t count);

/* Asserts that the guards are intact, and frees the buffer. */
void buffer_free(float *buffer, size_t count);

/* A convolution row of one size and kind. It owns everything that it points to. */
typedef struct row_case {
    spl_conv_row row;
    size_t input_count, weights_count, out_count;
    float *input, *weights, *bias, *scale, *shift, *raw, *out;
} row_case;

row_case row_case_new(unsigned rows, unsigned run, unsigned step, unsigned width,
                      unsigned channels);
void row_case_free(row_case *c);

double activate(spl_activation activation, double value);

/* Returns the value of channel o after the kernel's finishing step for `sum`. */
double finished(const spl_finish *finish, unsigned o, double sum);

/* Asserts that both values are NaN, or that they differ by at most `tolerance`. */
void assert_near(const char *what, float got, double want, double tolerance);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Factors and solves symmetric positive definite block Toeplitz matrices, in O(n^2) for a fixed
 * block size.
 */
#ifndef SPL_APP_EVALUATE_TOEPLITZ_H
#define SPL_APP_EVALUATE_TOEPLITZ_H

#include "app/audio/audio.h"

typedef struct spl_toeplitz spl_toeplitz;

/* Factors the symmetric matrix of order n = lags * size whose block (a, b), a >= b, is
 * blocks[a - b]; `blocks` is [lags][size][size]. White noise of 1e-12 of each channel's power is
 * added, and up to 1e-6 if rounding still makes the matrix singular. Takes n * n / 2 doubles.
 * `stop` is polled for each of the n columns. *ret_matrix is owned by the caller. Errors: MEMORY,
 * FORMAT (far from positive definite, or not finite), CANCELED. */
SPL_WARN_UNUSED int spl_toeplitz_factor(const double *blocks, size_t size, size_t lags,
                                        const spl_stop *stop, spl_toeplitz **ret_matrix,
                                        spl_error *ret_error);

/* Solves for two right-hand sides at once: replaces the n elements of each by the solution x of
 * matrix * x = b. Element i of block `lag` is at [lag * size + i]. */
void spl_toeplitz_solve(const spl_toeplitz *matrix, double *first, double *second);

/* NULL is allowed. */
void spl_toeplitz_free(spl_toeplitz *matrix);

#endif

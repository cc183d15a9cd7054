/* SPDX-License-Identifier: MIT
 *
 * Symmetric positive definite block Toeplitz matrices: factored and solved in O(n^2).
 */
#ifndef SPL_APP_EVALUATE_TOEPLITZ_H
#define SPL_APP_EVALUATE_TOEPLITZ_H

#include "base/error.h"

typedef struct spl_toeplitz spl_toeplitz;

/* Factors the matrix of order n = lags * size whose block (a, b), a >= b, is blocks[a - b], and its
 * transpose above the diagonal; `blocks` is [lags][size][size]. A matrix that is singular within
 * rounding is factored as if a little white noise were in it. Takes n * n / 2 doubles. Errors:
 * MEMORY, FORMAT (far from positive definite, or not finite). */
SPL_WARN_UNUSED int spl_toeplitz_factor(const double *blocks, size_t size, size_t lags,
                                        spl_toeplitz **ret_matrix, spl_error *ret_error);

/* Solves for two right sides at once: replaces each n numbers b by x with matrix * x = b; x[lag *
 * size + i]. */
void spl_toeplitz_solve(const spl_toeplitz *matrix, double *first, double *second);

/* Frees; NULL is allowed. */
void spl_toeplitz_free(spl_toeplitz *matrix);

#endif

/* SPDX-License-Identifier: MIT
 *
 * The factoring of a block Toeplitz matrix solves a system, and ends when it has to stop.
 */
#include "app/evaluate/toeplitz.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SIZE 2
#define LAGS 8

/* Strongest at lag 0, so that the matrix is positive definite. */
static void make_blocks(double blocks[LAGS][SIZE][SIZE]) {
    for (size_t lag = 0; lag < LAGS; lag++)
        for (size_t i = 0; i < SIZE; i++)
            for (size_t j = 0; j < SIZE; j++)
                blocks[lag][i][j] = lag == 0 && i == j ? 4 : 0.1 / (double)(1 + lag + i + j);
}

/* Element (row, column) of the matrix. */
static double element(double blocks[LAGS][SIZE][SIZE], size_t row, size_t column) {
    const size_t a = row / SIZE, b = column / SIZE;
    return a >= b ? blocks[a - b][row % SIZE][column % SIZE]
                  : blocks[b - a][column % SIZE][row % SIZE];
}

static void solves(void **state) {
    (void)state;
    double blocks[LAGS][SIZE][SIZE], first[SIZE * LAGS] = {0}, second[SIZE * LAGS] = {0};
    make_blocks(blocks);
    for (size_t row = 0; row < SIZE * LAGS; row++) {
        for (size_t column = 0; column < SIZE * LAGS; column++) {
            first[row] += element(blocks, row, column) * (double)column;
            second[row] += element(blocks, row, column);
        }
    }
    spl_toeplitz *matrix;
    spl_error error;
    assert_int_equal(
        spl_toeplitz_factor(&blocks[0][0][0], SIZE, LAGS, &(spl_stop){0}, &matrix, &error), 0);
    spl_toeplitz_solve(matrix, first, second);
    for (size_t i = 0; i < SIZE * LAGS; i++) {
        assert_true(fabs(first[i] - (double)i) < 1e-9);
        assert_true(fabs(second[i] - 1) < 1e-9);
    }
    spl_toeplitz_free(matrix);
}

/* Requests the stop from the third call on. */
static bool ask(void *user) {
    return ++*(int *)user >= 3;
}

static void stops(void **state) {
    (void)state;
    double blocks[LAGS][SIZE][SIZE];
    make_blocks(blocks);
    int asked = 0;
    spl_toeplitz *matrix = NULL;
    spl_error error;
    assert_int_equal(spl_toeplitz_factor(&blocks[0][0][0], SIZE, LAGS, &(spl_stop){ask, &asked},
                                         &matrix, &error),
                     SPL_E_CANCELED);
    assert_null(matrix);
    assert_int_equal(asked, 4); /* the last one tells why */
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(solves), cmocka_unit_test(stops)};
    return cmocka_run_group_tests_name("toeplitz", tests, NULL, NULL);
}

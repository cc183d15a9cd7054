/* SPDX-License-Identifier: MIT
 *
 * The generalised Schur algorithm computes the Cholesky factor of T column by column from 2 * size
 * generator vectors P and N:
 *
 *     T - Z T Z' = P P' - N N'
 *
 * Z shifts down by one block, P is the first block column divided by the Cholesky factor of the
 * first block, and N is P without its first block. Each step reflects P and N (orthogonal), then
 * rotates them against each other (hyperbolic), so that only one element of the leading row, in P,
 * is non-zero. Its vector is the next column of the factor, and returns to P shifted down by one
 * block.
 *
 * The algorithm is as stable as Cholesky's (Chandrasekaran and Sayed, "Stabilizing the generalized
 * Schur algorithm", SIAM J. Matrix Anal. Appl. 17, 1996). It reads and writes n * n / 2 numbers
 * (4 * size) times.
 */
#include "app/evaluate/toeplitz.h"

#include <math.h>
#include <string.h>

#define ROWS_AT_ONCE 256
#define SILENT       1e-20 /* relative to the loudest channel's power: only rounding errors */
#define NOISE_MIN    1e-12 /* relative to each channel's power */
#define NOISE_MAX    1e-6
#define NOISE_STEP   100

struct spl_toeplitz {
    size_t size, order;
    double *scale;   /* [size]: 1 / sqrt(power of the channel); 0 for a silent one */
    double *columns; /* of the factor, each from the diagonal down */
};

/* The 2 * size generator vectors of length `order`. */
typedef struct generator {
    size_t size, order;
    double *positive, *negative; /* [size][order] */
    double *direction;           /* [size] */
} generator;

static void generator_clear(generator *g) {
    free(g->positive);
    free(g->negative);
    free(g->direction);
}

/* Computes the Cholesky factor of the first block with `noise` added to its diagonal; false when
 * the block is not positive definite. */
static bool root_of_first_block(const double *block, const double *scale, size_t size, double noise,
                                double *root) {
    for (size_t i = 0; i < size; i++) {
        for (size_t j = 0; j <= i; j++) {
            double sum = block[i * size + j] * scale[i] * scale[j] + (i == j ? noise : 0);
            for (size_t k = 0; k < j; k++)
                sum -= root[i * size + k] * root[j * size + k];
            if (i == j && !(sum > 0))
                return false;
            root[i * size + j] = i == j ? sqrt(sum) : sum / root[j * size + j];
        }
    }
    return true;
}

static void generator_fill(generator *g, const double *blocks, const double *scale,
                           const double *root, double noise) {
    const size_t size = g->size;
    for (size_t row = 0; row < g->order; row++) {
        const double *of_row = blocks + row * size;
        for (size_t j = 0; j < size; j++) {
            double sum = of_row[j] * scale[row % size] * scale[j] + (row == j ? noise : 0);
            for (size_t k = 0; k < j; k++)
                sum -= g->positive[k * g->order + row] * root[j * size + k];
            g->positive[j * g->order + row] = sum / root[j * size + j];
            g->negative[j * g->order + row] = row < size ? 0 : g->positive[j * g->order + row];
        }
    }
}

/* Reflects the `size` vectors so that row `row` is zero but for its first element, which it
 * returns. */
static double reflect(const generator *g, double *vectors, size_t row) {
    const size_t size = g->size, order = g->order;
    double *direction = g->direction;
    double norm = 0;
    for (size_t k = 0; k < size; k++) {
        direction[k] = vectors[k * order + row];
        norm += direction[k] * direction[k];
    }
    norm = sqrt(norm);
    const double left = direction[0] > 0 ? -norm : norm;
    direction[0] -= left;
    double length = 0;
    for (size_t k = 0; k < size; k++)
        length += direction[k] * direction[k];
    if (length == 0)
        return left;
    for (size_t begin = row; begin < order; begin += ROWS_AT_ONCE) {
        const size_t count = SPL_MIN((size_t)ROWS_AT_ONCE, order - begin);
        double along[ROWS_AT_ONCE] = {0};
        for (size_t k = 0; k < size; k++) {
            const double *restrict vector = vectors + k * order + begin;
            for (size_t r = 0; r < count; r++)
                along[r] += direction[k] * vector[r];
        }
        for (size_t k = 0; k < size; k++) {
            const double factor = 2 / length * direction[k];
            double *restrict vector = vectors + k * order + begin;
            for (size_t r = 0; r < count; r++)
                vector[r] -= factor * along[r];
        }
    }
    return left;
}

/* Computes column `row` of the factor; false when the matrix is not positive definite. */
static bool step(const generator *g, size_t row, double *column) {
    const double positive = reflect(g, g->positive, row);
    const double negative = reflect(g, g->negative, row);
    const double ratio = negative / positive;
    const double rest = (1 - ratio) * (1 + ratio);
    if (!(rest > 0))
        return false;
    const double scale = sqrt(rest), inverse = 1 / scale;
    const size_t count = g->order - row;
    double *restrict p = g->positive + row, *restrict n = g->negative + row;
    for (size_t r = 0; r < count; r++) {
        p[r] = (p[r] - ratio * n[r]) * inverse;
        n[r] = scale * n[r] - ratio * p[r];
    }
    memcpy(column, p, count * sizeof(*column));
    if (count > g->size)
        memmove(p + g->size, p, (count - g->size) * sizeof(*p));
    memset(p, 0, SPL_MIN(count, g->size) * sizeof(*p));
    return true;
}

/* Factors with `noise` added to each channel's power; false when it is not positive definite, or
 * the work has to stop. */
static bool factor(spl_toeplitz *matrix, generator *g, const double *blocks, double noise,
                   const spl_stop *stop, double *root) {
    if (!root_of_first_block(blocks, matrix->scale, matrix->size, noise, root))
        return false;
    generator_fill(g, blocks, matrix->scale, root, noise);
    double *column = matrix->columns;
    for (size_t row = 0; row < matrix->order; row++) {
        if (spl_stop_requested(stop) || !step(g, row, column))
            return false;
        column += matrix->order - row;
    }
    return true;
}

static void toeplitz_free_p(spl_toeplitz **matrix) {
    spl_toeplitz_free(*matrix);
}

int spl_toeplitz_factor(const double *blocks, size_t size, size_t lags, const spl_stop *stop,
                        spl_toeplitz **ret_matrix, spl_error *ret_error) {
    const size_t order = size * lags;
    SPL_CLEANUP(toeplitz_free_p) spl_toeplitz *matrix = calloc(1, sizeof(*matrix));
    SPL_CLEANUP(generator_clear) generator g = {.size = size, .order = order};
    SPL_CLEANUP(spl_free_p) double *root = calloc(size * size, sizeof(*root));
    if (!matrix || !root)
        return spl_fail_memory(ret_error);
    matrix->size = size;
    matrix->order = order;
    matrix->scale = calloc(size, sizeof(double));
    matrix->columns = malloc(order * (order + 1) / 2 * sizeof(double));
    g.positive = malloc(size * order * sizeof(double));
    g.negative = malloc(size * order * sizeof(double));
    g.direction = malloc(size * sizeof(double));
    if (!matrix->scale || !matrix->columns || !g.positive || !g.negative || !g.direction)
        return spl_fail_memory(ret_error);

    double largest = 0;
    for (size_t i = 0; i < size; i++)
        largest = fmax(largest, blocks[i * size + i]);
    for (size_t i = 0; i < size; i++) {
        const double power = blocks[i * size + i];
        matrix->scale[i] = power > SILENT * largest ? 1 / sqrt(power) : 0;
    }
    for (double noise = NOISE_MIN; noise <= NOISE_MAX; noise *= NOISE_STEP) {
        if (factor(matrix, &g, blocks, noise, stop, root)) {
            *ret_matrix = SPL_STEAL(matrix);
            return 0;
        }
        if (spl_stop_requested(stop))
            return spl_fail(ret_error, SPL_E_CANCELED, "interrupted");
    }
    return spl_fail(ret_error, SPL_E_FORMAT,
                    "the correlations of the references cannot be inverted");
}

void spl_toeplitz_solve(const spl_toeplitz *matrix, double *first, double *second) {
    const size_t order = matrix->order;
    for (size_t i = 0; i < order; i++) {
        first[i] *= matrix->scale[i % matrix->size];
        second[i] *= matrix->scale[i % matrix->size];
    }
    const double *column = matrix->columns;
    for (size_t i = 0; i < order; column += order - i, i++) {
        const double x = first[i] /= column[0], y = second[i] /= column[0];
        for (size_t r = 1; r < order - i; r++) {
            first[i + r] -= x * column[r];
            second[i + r] -= y * column[r];
        }
    }
    for (size_t i = order; i-- > 0;) {
        column -= order - i;
        double x = first[i], y = second[i];
        for (size_t r = 1; r < order - i; r++) {
            x -= first[i + r] * column[r];
            y -= second[i + r] * column[r];
        }
        first[i] = x / column[0];
        second[i] = y / column[0];
    }
    for (size_t i = 0; i < order; i++) {
        first[i] *= matrix->scale[i % matrix->size];
        second[i] *= matrix->scale[i % matrix->size];
    }
}

void spl_toeplitz_free(spl_toeplitz *matrix) {
    if (!matrix)
        return;
    free(matrix->scale);
    free(matrix->columns);
    free(matrix);
}

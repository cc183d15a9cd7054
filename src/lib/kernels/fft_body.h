/* SPDX-License-Identifier: MIT
 *
 * The FFT of 4,096 complex points.
 *
 * Radix-8 Stockham (self-sorting, decimation in frequency), four passes. Two passes at a time work
 * on 64 vectors, which stay in the first-level cache. Real and imaginary parts are separate arrays.
 */
#include "lib/kernels/kernels.h"
#include "lib/kernels/vector.h"

typedef struct complex_vec {
    vec re, im;
} complex_vec;

INLINE complex_vec plus(complex_vec a, complex_vec b) {
    return (complex_vec){a.re + b.re, a.im + b.im};
}

INLINE complex_vec minus(complex_vec a, complex_vec b) {
    return (complex_vec){a.re - b.re, a.im - b.im};
}

INLINE complex_vec times(complex_vec a, complex_vec b) {
    return (complex_vec){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

/* a - i b and a + i b */
INLINE complex_vec minus_i(complex_vec a, complex_vec b) {
    return (complex_vec){a.re + b.im, a.im - b.re};
}

INLINE complex_vec plus_i(complex_vec a, complex_vec b) {
    return (complex_vec){a.re - b.im, a.im + b.re};
}

/* The transform of four points, to ret[0], ret[step], ... */
INLINE void transform_4(complex_vec a, complex_vec b, complex_vec c, complex_vec d,
                        complex_vec *ret, const unsigned step) {
    const complex_vec sum_ac = plus(a, c), difference_ac = minus(a, c);
    const complex_vec sum_bd = plus(b, d), difference_bd = minus(b, d);
    ret[0] = plus(sum_ac, sum_bd);
    ret[step] = minus_i(difference_ac, difference_bd);
    ret[2 * step] = minus(sum_ac, sum_bd);
    ret[3 * step] = plus_i(difference_ac, difference_bd);
}

/* The transform of eight points. */
INLINE void transform_8(const complex_vec *x, complex_vec *ret) {
    const float half_root = 0.70710678f;
    transform_4(plus(x[0], x[4]), plus(x[1], x[5]), plus(x[2], x[6]), plus(x[3], x[7]), ret, 2);
    const complex_vec b = minus(x[1], x[5]), c = minus(x[2], x[6]), d = minus(x[3], x[7]);
    transform_4(minus(x[0], x[4]),
                (complex_vec){(b.re + b.im) * half_root, (b.im - b.re) * half_root},
                (complex_vec){c.im, -c.re},
                (complex_vec){(d.im - d.re) * half_root, (d.im + d.re) * -half_root}, ret + 1, 2);
}

INLINE void load_eighths(const float *re, const float *im, complex_vec *ret) {
    const unsigned eighth = SPL_FFT_SIZE / 8;
#pragma GCC unroll 8
    for (unsigned i = 0; i < 8; i++)
        ret[i] = (complex_vec){vec_load(re + i * eighth), vec_load(im + i * eighth)};
}

/* Transposes 64 vectors: stores the 64 values of each lane consecutively. */
INLINE void store_lanes(vec *values, float *to) {
    for (unsigned first = 0; first < 64; first += LANES) {
        interleave(values + first, LANES);
#pragma GCC unroll 16
        for (unsigned lane = 0; lane < LANES; lane++)
            vec_store(to + 64 * lane + first, values[first + lane]);
    }
}

/* Passes 1 and 2: lanes are adjacent in the input and 64 apart in the output. */
static void first_passes(const spl_fft_tables *tables, const float *re, const float *im,
                         float *to_re, float *to_im) {
    for (unsigned p = 0; p < 64; p += LANES) {
        complex_vec block[8][8], x[8], y[8];
        for (unsigned i = 0; i < 8; i++) {
            const unsigned at = 64 * i + p;
            load_eighths(re + at, im + at, x);
            transform_8(x, y);
            block[0][i] = y[0];
#pragma GCC unroll 8
            for (unsigned k = 1; k < 8; k++)
                block[k][i] = times(y[k], (complex_vec){vec_load(tables->re[k - 1] + at),
                                                        vec_load(tables->im[k - 1] + at)});
        }
        vec out_re[64], out_im[64];
        for (unsigned k = 0; k < 8; k++) {
            transform_8(block[k], y);
#pragma GCC unroll 8
            for (unsigned j = 0; j < 8; j++) {
                if (j > 0)
                    y[j] = times(y[j], (complex_vec){vec_load(tables->re[j - 1] + 512 + p),
                                                     vec_load(tables->im[j - 1] + 512 + p)});
                out_re[8 * j + k] = y[j].re;
                out_im[8 * j + k] = y[j].im;
            }
        }
        store_lanes(out_re, to_re + 64 * p);
        store_lanes(out_im, to_im + 64 * p);
    }
}

/* Passes 3 and 4: lanes are adjacent throughout. The last pass has no twiddle factors. */
static void last_passes(const spl_fft_tables *tables, const float *re, const float *im,
                        float *to_re, float *to_im) {
    for (unsigned q = 0; q < 64; q += LANES) {
        complex_vec block[8][8], x[8], y[8];
        for (unsigned p = 0; p < 8; p++) {
            const unsigned at = 64 * p + q;
            load_eighths(re + at, im + at, x);
            transform_8(x, y);
            block[0][p] = y[0];
#pragma GCC unroll 8
            for (unsigned k = 1; k < 8; k++)
                block[k][p] =
                    times(y[k], (complex_vec){vec_splat(tables->re[k - 1][512 + 64 + p]),
                                              vec_splat(tables->im[k - 1][512 + 64 + p])});
        }
        for (unsigned k = 0; k < 8; k++) {
            transform_8(block[k], y);
#pragma GCC unroll 8
            for (unsigned j = 0; j < 8; j++) {
                vec_store(to_re + 512 * j + 64 * k + q, y[j].re);
                vec_store(to_im + 512 * j + 64 * k + q, y[j].im);
            }
        }
    }
}

static void fft(const spl_fft_tables *tables, float *re, float *im, float *scratch) {
    float *other_re = scratch, *other_im = scratch + SPL_FFT_SIZE;
    first_passes(tables, re, im, other_re, other_im);
    last_passes(tables, other_re, other_im, re, im);
}

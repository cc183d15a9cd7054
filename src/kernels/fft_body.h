/* SPDX-License-Identifier: MIT
 *
 * The FFT of 4,096 complex points.
 *
 * Radix-8 Stockham (self-sorting, decimation in frequency): four passes between two buffers, each reading and writing
 * contiguous runs. Real and imaginary parts are separate arrays.
 */
#include "kernels/kernels.h"
#include "kernels/vector.h"

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

/* The transform of four points; ret[0], ret[step], ... */
INLINE void transform_4(complex_vec a, complex_vec b, complex_vec c, complex_vec d,
                        complex_vec *ret, const unsigned step) {
    const complex_vec sum_ac = plus(a, c), difference_ac = minus(a, c);
    const complex_vec sum_bd = plus(b, d), difference_bd = minus(b, d);
    ret[0] = plus(sum_ac, sum_bd);
    ret[step] = minus_i(difference_ac, difference_bd);
    ret[2 * step] = minus(sum_ac, sum_bd);
    ret[3 * step] = plus_i(difference_ac, difference_bd);
}

/* Eight inputs, an eighth of the data apart, to eight results, which wait for their twiddle factors. */
INLINE void butterfly(const float *re, const float *im, unsigned at, complex_vec *ret) {
    const unsigned eighth = SPL_FFT_SIZE / 8;
    const float half_root = 0.70710678f;
    complex_vec x[8];
#pragma GCC unroll 8
    for (unsigned i = 0; i < 8; i++)
        x[i] = (complex_vec){vec_load(re + at + i * eighth), vec_load(im + at + i * eighth)};
    transform_4(plus(x[0], x[4]), plus(x[1], x[5]), plus(x[2], x[6]), plus(x[3], x[7]), ret, 2);
    const complex_vec b = minus(x[1], x[5]), c = minus(x[2], x[6]), d = minus(x[3], x[7]);
    transform_4(minus(x[0], x[4]),
                (complex_vec){(b.re + b.im) * half_root, (b.im - b.re) * half_root},
                (complex_vec){c.im, -c.re},
                (complex_vec){(d.im - d.re) * half_root, (d.im + d.re) * -half_root}, ret + 1, 2);
}

/* to[8 j + k] = values[k][j] for each lane j */
INLINE void store_interleaved(float *to, const vec *values) {
    for (unsigned first = 0; first < 8; first += LANES) {
        vec square[LANES];
#pragma GCC unroll 8
        for (unsigned i = 0; i < LANES; i++)
            square[i] = values[first + i];
        transpose_square(square);
#pragma GCC unroll 8
        for (unsigned lane = 0; lane < LANES; lane++)
            vec_store(to + 8 * lane + first, square[lane]);
    }
}

static void first_pass(const spl_fft_tables *tables, const float *re, const float *im, float *to_re,
                       float *to_im) {
    for (unsigned p = 0; p < SPL_FFT_SIZE / 8; p += LANES) {
        complex_vec y[8];
        vec y_re[8], y_im[8];
        butterfly(re, im, p, y);
#pragma GCC unroll 8
        for (unsigned k = 0; k < 8; k++) {
            if (k > 0)
                y[k] = times(y[k], (complex_vec){vec_load(tables->re[k - 1] + p),
                                                 vec_load(tables->im[k - 1] + p)});
            y_re[k] = y[k].re;
            y_im[k] = y[k].im;
        }
        store_interleaved(to_re + 8 * p, y_re);
        store_interleaved(to_im + 8 * p, y_im);
    }
}

/* The passes with 8, 64 and 512 columns; the last has no twiddle factors. */
INLINE void wide_pass(const spl_fft_tables *tables, unsigned table, const unsigned columns,
                      const float *re, const float *im, float *to_re, float *to_im) {
    for (unsigned p = 0; p < SPL_FFT_SIZE / 8 / columns; p++)
        for (unsigned q = 0; q < columns; q += LANES) {
            complex_vec y[8];
            butterfly(re, im, p * columns + q, y);
#pragma GCC unroll 8
            for (unsigned k = 0; k < 8; k++) {
                if (k > 0 && columns < 512)
                    y[k] = times(y[k], (complex_vec){vec_splat(tables->re[k - 1][table + p]),
                                                     vec_splat(tables->im[k - 1][table + p])});
                vec_store(to_re + (8 * p + k) * columns + q, y[k].re);
                vec_store(to_im + (8 * p + k) * columns + q, y[k].im);
            }
        }
}

static void fft(const spl_fft_tables *tables, float *re, float *im, float *scratch) {
    float *other_re = scratch, *other_im = scratch + SPL_FFT_SIZE;
    first_pass(tables, re, im, other_re, other_im);
    wide_pass(tables, 512, 8, other_re, other_im, re, im);
    wide_pass(tables, 512 + 64, 64, re, im, other_re, other_im);
    wide_pass(tables, 0, 512, other_re, other_im, re, im);
}

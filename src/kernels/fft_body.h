/* SPDX-License-Identifier: MIT
 *
 * The FFT of 4,096 complex points.
 *
 * Radix-4 Stockham (self-sorting, decimation in frequency): six passes between
 * two buffers, each reading and writing contiguous runs. Real and imaginary
 * parts are separate arrays.
 */
#include "kernels/kernels.h"
#include "kernels/vector.h"

typedef struct complex_vec {
    vec re, im;
} complex_vec;

INLINE complex_vec times(complex_vec a, complex_vec b) {
    return (complex_vec){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

/* One butterfly: four inputs a quarter of the data apart, four results, each but the first times its twiddle factor. */
INLINE void butterfly(const float *re, const float *im, unsigned at, const complex_vec *twiddles,
                      complex_vec *ret) {
    const unsigned quarter = SPL_FFT_SIZE / 4;
    complex_vec x[4];
    for (unsigned i = 0; i < 4; i++)
        x[i] = (complex_vec){vec_load(re + at + i * quarter), vec_load(im + at + i * quarter)};
    const complex_vec sum02 = {x[0].re + x[2].re, x[0].im + x[2].im};
    const complex_vec difference02 = {x[0].re - x[2].re, x[0].im - x[2].im};
    const complex_vec sum13 = {x[1].re + x[3].re, x[1].im + x[3].im};
    const complex_vec difference13 = {x[1].re - x[3].re, x[1].im - x[3].im};
    ret[0] = (complex_vec){sum02.re + sum13.re, sum02.im + sum13.im};
    ret[1] = (complex_vec){difference02.re + difference13.im, difference02.im - difference13.re};
    ret[2] = (complex_vec){sum02.re - sum13.re, sum02.im - sum13.im};
    ret[3] = (complex_vec){difference02.re - difference13.im, difference02.im + difference13.re};
    if (twiddles)
        for (unsigned k = 1; k < 4; k++)
            ret[k] = times(ret[k], twiddles[k - 1]);
}

#if LANES == 8
/* Stores a[0] b[0] c[0] d[0] a[1] b[1] ... */
INLINE void store_interleaved(float *to, vec a, vec b, vec c, vec d) {
    const vec low_ab = SHUFFLE(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
    const vec high_ab = SHUFFLE(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
    const vec low_cd = SHUFFLE(c, d, 0, 8, 1, 9, 2, 10, 3, 11);
    const vec high_cd = SHUFFLE(c, d, 4, 12, 5, 13, 6, 14, 7, 15);
    vec_store(to, SHUFFLE(low_ab, low_cd, 0, 1, 8, 9, 2, 3, 10, 11));
    vec_store(to + 8, SHUFFLE(low_ab, low_cd, 4, 5, 12, 13, 6, 7, 14, 15));
    vec_store(to + 16, SHUFFLE(high_ab, high_cd, 0, 1, 8, 9, 2, 3, 10, 11));
    vec_store(to + 24, SHUFFLE(high_ab, high_cd, 4, 5, 12, 13, 6, 7, 14, 15));
}

/* Stores a[0..3] b[0..3] c[0..3] d[0..3] a[4..7] b[4..7] ... */
INLINE void store_quads(float *to, vec a, vec b, vec c, vec d) {
    vec_store(to, SHUFFLE(a, b, 0, 1, 2, 3, 8, 9, 10, 11));
    vec_store(to + 8, SHUFFLE(c, d, 0, 1, 2, 3, 8, 9, 10, 11));
    vec_store(to + 16, SHUFFLE(a, b, 4, 5, 6, 7, 12, 13, 14, 15));
    vec_store(to + 24, SHUFFLE(c, d, 4, 5, 6, 7, 12, 13, 14, 15));
}
#else
INLINE void store_interleaved(float *to, vec a, vec b, vec c, vec d) {
    const vec low_ab = SHUFFLE(a, b, 0, 4, 1, 5), high_ab = SHUFFLE(a, b, 2, 6, 3, 7);
    const vec low_cd = SHUFFLE(c, d, 0, 4, 1, 5), high_cd = SHUFFLE(c, d, 2, 6, 3, 7);
    vec_store(to, SHUFFLE(low_ab, low_cd, 0, 1, 4, 5));
    vec_store(to + 4, SHUFFLE(low_ab, low_cd, 2, 3, 6, 7));
    vec_store(to + 8, SHUFFLE(high_ab, high_cd, 0, 1, 4, 5));
    vec_store(to + 12, SHUFFLE(high_ab, high_cd, 2, 3, 6, 7));
}

INLINE void store_quads(float *to, vec a, vec b, vec c, vec d) {
    vec_store(to, a);
    vec_store(to + 4, b);
    vec_store(to + 8, c);
    vec_store(to + 12, d);
}
#endif

INLINE void load_twiddles(const spl_fft_tables *tables, unsigned at, complex_vec *ret) {
    for (unsigned k = 0; k < 3; k++)
        ret[k] = (complex_vec){vec_load(tables->re[k] + at), vec_load(tables->im[k] + at)};
}

/* The passes whose runs are at least a vector long: `columns` = 16, 64, 256 or 1024. */
INLINE void wide_pass(const spl_fft_tables *tables, unsigned table, unsigned columns,
                      const float *re, const float *im, float *to_re, float *to_im) {
    for (unsigned p = 0; p < SPL_FFT_SIZE / 4 / columns; p++) {
        complex_vec twiddles[3];
        if (columns < 1024)
            for (unsigned k = 0; k < 3; k++)
                twiddles[k] = (complex_vec){vec_splat(tables->re[k][table + p]),
                                            vec_splat(tables->im[k][table + p])};
        for (unsigned q = 0; q < columns; q += LANES) {
            complex_vec y[4];
            butterfly(re, im, p * columns + q, columns < 1024 ? twiddles : NULL, y);
            for (unsigned k = 0; k < 4; k++) {
                vec_store(to_re + (4 * p + k) * columns + q, y[k].re);
                vec_store(to_im + (4 * p + k) * columns + q, y[k].im);
            }
        }
    }
}

static void fft(const spl_fft_tables *tables, float *re, float *im, float *scratch) {
    float *other_re = scratch, *other_im = scratch + SPL_FFT_SIZE;
    complex_vec twiddles[3], y[4];
    for (unsigned p = 0; p < 1024; p += LANES) {
        load_twiddles(tables, p, twiddles);
        butterfly(re, im, p, twiddles, y);
        store_interleaved(other_re + 4 * p, y[0].re, y[1].re, y[2].re, y[3].re);
        store_interleaved(other_im + 4 * p, y[0].im, y[1].im, y[2].im, y[3].im);
    }
    for (unsigned p = 0; p < 1024; p += LANES) {
        load_twiddles(tables, 1024 + p, twiddles);
        butterfly(other_re, other_im, p, twiddles, y);
        store_quads(re + 4 * p, y[0].re, y[1].re, y[2].re, y[3].re);
        store_quads(im + 4 * p, y[0].im, y[1].im, y[2].im, y[3].im);
    }
    wide_pass(tables, 2048, 16, re, im, other_re, other_im);
    wide_pass(tables, 2048 + 64, 64, other_re, other_im, re, im);
    wide_pass(tables, 2048 + 64 + 16, 256, re, im, other_re, other_im);
    wide_pass(tables, 0, 1024, other_re, other_im, re, im);
}

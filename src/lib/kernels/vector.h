/* SPDX-License-Identifier: MIT
 *
 * Vectors of floats as long as a register, with the compiler's vector extensions: 16 lanes with
 * AVX-512, 8 with AVX2, otherwise 4 (SSE2, NEON). GCC would keep longer vectors in memory wherever
 * they live across a loop or are shuffled.
 */
#ifndef SPL_LIB_KERNELS_VECTOR_H
#define SPL_LIB_KERNELS_VECTOR_H

#include <stdint.h>
#include <string.h>
#if defined(__SSE__)
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline))

/* Selects lanes of two vectors by index. The second vector's indices continue after the first's. */
#define SHUFFLE __builtin_shufflevector

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX2__)
#define LANES 8
#else
#define LANES 4
#endif

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t veci __attribute__((vector_size(4 * LANES)));

INLINE vec vec_load(const float *from) {
    vec value;
    memcpy(&value, from, sizeof(value));
    return value;
}

INLINE void vec_store(float *to, vec value) {
    memcpy(to, &value, sizeof(value));
}

/* Stores a value that will not be read soon. Bypasses the caches where the instruction set can and
 * `to` is aligned. Other threads see the store after the storing thread's next atomic
 * read-modify-write, such as the one a pool executes between tasks. */
INLINE void vec_stream(float *to, vec value) {
#if defined(__SSE__)
    if ((uintptr_t)to % sizeof(vec) == 0) {
#if LANES == 16
        _mm512_stream_ps(to, (__m512)value);
#elif LANES == 8
        _mm256_stream_ps(to, (__m256)value);
#else
        _mm_stream_ps(to, (__m128)value);
#endif
        return;
    }
#endif
    vec_store(to, value);
}

INLINE vec vec_splat(float value) {
    return value - (vec){0}; /* x - 0 is x, also for x = -0 */
}

/* mask ? a : b in each lane. The lanes of a mask are 0 or -1, as from a comparison. */
INLINE vec vec_select(veci mask, vec a, vec b) {
    return (vec)((mask & (veci)a) | (~mask & (veci)b));
}

/* The minimum and maximum of each lane; b if either is NaN. */
#if LANES == 16
INLINE vec vec_min(vec a, vec b) {
    return (vec)_mm512_min_ps((__m512)a, (__m512)b);
}

INLINE vec vec_max(vec a, vec b) {
    return (vec)_mm512_max_ps((__m512)a, (__m512)b);
}
#elif LANES == 8
INLINE vec vec_min(vec a, vec b) {
    return (vec)_mm256_min_ps((__m256)a, (__m256)b);
}

INLINE vec vec_max(vec a, vec b) {
    return (vec)_mm256_max_ps((__m256)a, (__m256)b);
}
#elif defined(__SSE__)
INLINE vec vec_min(vec a, vec b) {
    return (vec)_mm_min_ps((__m128)a, (__m128)b);
}

INLINE vec vec_max(vec a, vec b) {
    return (vec)_mm_max_ps((__m128)a, (__m128)b);
}
#else
INLINE vec vec_min(vec a, vec b) {
    return vec_select(a < b, a, b);
}

INLINE vec vec_max(vec a, vec b) {
    return vec_select(a > b, a, b);
}
#endif

/* a[0] b[0] a[1] b[1] ..., in two vectors. */
#if LANES == 16
INLINE vec zip_low(vec a, vec b) {
    return SHUFFLE(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}

INLINE vec zip_high(vec a, vec b) {
    return SHUFFLE(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}
#elif LANES == 8
INLINE vec zip_low(vec a, vec b) {
    return SHUFFLE(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
}

INLINE vec zip_high(vec a, vec b) {
    return SHUFFLE(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
}
#else
INLINE vec zip_low(vec a, vec b) {
    return SHUFFLE(a, b, 0, 4, 1, 5);
}

INLINE vec zip_high(vec a, vec b) {
    return SHUFFLE(a, b, 2, 6, 3, 7);
}
#endif

/* Reorders `count` vectors, a power of 2, to hold all first lanes, then all second lanes, and so
 * on. With as many vectors as lanes, this is the transpose: v[i][j] becomes v[j][i]. */
#if LANES == 8
INLINE void interleave(vec *v, const unsigned count) {
    (void)count; /* always 8; full zips would take two instructions each */
    vec w[8];
#pragma GCC unroll 4
    for (unsigned i = 0; i < 4; i++) { /* lanes 0 to 3 of rows i and i + 4, then lanes 4 to 7 */
        w[i] = SHUFFLE(v[i], v[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        w[i + 4] = SHUFFLE(v[i], v[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
#pragma GCC unroll 2
    for (unsigned h = 0; h < 8; h += 4) {
        const vec even_low = SHUFFLE(w[h], w[h + 2], 0, 8, 1, 9, 4, 12, 5, 13);
        const vec even_high = SHUFFLE(w[h], w[h + 2], 2, 10, 3, 11, 6, 14, 7, 15);
        const vec odd_low = SHUFFLE(w[h + 1], w[h + 3], 0, 8, 1, 9, 4, 12, 5, 13);
        const vec odd_high = SHUFFLE(w[h + 1], w[h + 3], 2, 10, 3, 11, 6, 14, 7, 15);
        v[h] = SHUFFLE(even_low, odd_low, 0, 8, 1, 9, 4, 12, 5, 13);
        v[h + 1] = SHUFFLE(even_low, odd_low, 2, 10, 3, 11, 6, 14, 7, 15);
        v[h + 2] = SHUFFLE(even_high, odd_high, 0, 8, 1, 9, 4, 12, 5, 13);
        v[h + 3] = SHUFFLE(even_high, odd_high, 2, 10, 3, 11, 6, 14, 7, 15);
    }
}
#else
INLINE void interleave(vec *v, const unsigned count) {
#pragma GCC unroll 4
    for (unsigned round = 1; round < count; round *= 2) {
        vec w[16];
#pragma GCC unroll 8
        for (unsigned i = 0; i < count / 2; i++) {
            w[2 * i] = zip_low(v[i], v[i + count / 2]);
            w[2 * i + 1] = zip_high(v[i], v[i + count / 2]);
        }
#pragma GCC unroll 16
        for (unsigned i = 0; i < count; i++)
            v[i] = w[i];
    }
}
#endif

/* exp(x), within 2 units in the last place for -87 <= x <= 88. Arguments beyond are clamped; NaN
 * stays NaN. x is split into n ln 2 + r, |r| <= ln 2 / 2, and exp(r) is a polynomial of degree 6,
 * as in Cephes' expf. */
INLINE vec vec_exp(vec x) {
    x = vec_min(vec_splat(88), vec_max(vec_splat(-87), x));
    /* Adding 1.5 * 2^23 rounds to an integer, which ends up in the last bits of the sum, here with
     * the bias of the exponent. */
    const vec magic = vec_splat(12582912 + 127);
    const vec sum = x * 1.44269504f + magic, n = sum - magic;
    const vec r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
    vec p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + (r + 1.0f);
    return p * (vec)((veci)sum << 23);
}

#endif

/* SPDX-License-Identifier: MIT
 *
 * Vectors of floats that fill a register, by the compiler's vector extensions: 8 lanes with AVX2, else 4 (SSE2, NEON).
 * GCC would keep wider ones in memory wherever they live across a loop or are shuffled.
 */
#ifndef SPL_KERNELS_VECTOR_H
#define SPL_KERNELS_VECTOR_H

#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

/* Lanes of two vectors by their numbers; those of the second go on where the first ends. */
#define SHUFFLE __builtin_shufflevector

#if defined(__AVX2__)
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

INLINE vec vec_splat(float value) {
    return value - (vec){0}; /* x - 0 is x, also for x = -0 */
}

/* mask ? a : b in each lane; the lanes of a mask, as comparisons give it, are 0 or -1. */
INLINE vec vec_select(veci mask, vec a, vec b) {
    return (vec)((mask & (veci)a) | (~mask & (veci)b));
}

/* exp(x), within 2 units in the last place for -87 <= x <= 88; arguments beyond are taken as those limits, NaN stays NaN.
 * x is split into n ln 2 + r, |r| <= ln 2 / 2, and exp(r) is a polynomial of degree 6, as in Cephes' expf. */
INLINE vec vec_exp(vec x) {
    const vec low = vec_splat(-87), high = vec_splat(88);
    x = vec_select(x < low, low, x);
    x = vec_select(x > high, high, x);
    const vec magic = vec_splat(12582912); /* 1.5 * 2^23: adding it rounds to an integer */
    const vec n = (x * 1.44269504f + magic) - magic;
    const vec r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
    vec p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + (r + 1.0f);
    const veci bits = (__builtin_convertvector(n, veci) + 127) << 23;
    return vec_select(x == x, p * (vec)bits, x);
}

#endif

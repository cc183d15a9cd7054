/* SPDX-License-Identifier: MIT
 *
 * Vectors of 8 floats, by the compiler's vector extensions: one register with AVX2, two where registers have 4 lanes.
 */
#ifndef SPL_KERNELS_VECTOR_H
#define SPL_KERNELS_VECTOR_H

#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

typedef float v8 __attribute__((vector_size(32)));
typedef int32_t v8i __attribute__((vector_size(32)));

INLINE v8 v8_load(const float *from) {
    v8 value;
    memcpy(&value, from, sizeof(value));
    return value;
}

INLINE void v8_store(float *to, v8 value) {
    memcpy(to, &value, sizeof(value));
}

INLINE v8 v8_splat(float value) {
    return (v8){value, value, value, value, value, value, value, value};
}

/* mask ? a : b in each lane; the lanes of a mask, as comparisons give it, are 0 or -1. */
INLINE v8 v8_select(v8i mask, v8 a, v8 b) {
    return (v8)((mask & (v8i)a) | (~mask & (v8i)b));
}

/* exp(x), within 2 units in the last place for -87 <= x <= 88; arguments beyond are taken as those limits, NaN stays NaN.
 * x is split into n ln 2 + r, |r| <= ln 2 / 2, and exp(r) is a polynomial of degree 6, as in Cephes' expf. */
INLINE v8 v8_exp(v8 x) {
    const v8 low = v8_splat(-87), high = v8_splat(88);
    x = v8_select(x < low, low, x);
    x = v8_select(x > high, high, x);
    const v8 magic = v8_splat(12582912); /* 1.5 * 2^23: adding it rounds to an integer */
    const v8 n = (x * 1.44269504f + magic) - magic;
    const v8 r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
    v8 p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + (r + 1.0f);
    const v8i bits = (__builtin_convertvector(n, v8i) + 127) << 23;
    return v8_select(x == x, p * (v8)bits, x);
}

#endif

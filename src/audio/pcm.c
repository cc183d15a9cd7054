/* SPDX-License-Identifier: MIT
 *
 * Float samples to integers.
 */
#include "audio/pcm.h"

#include <math.h>

/* To the nearest integer, ties to even, for |value| < 2^22; compilers have no vector form of lrintf everywhere. */
static int32_t round_to_even(float value) {
    const float magic = 12582912; /* 1.5 * 2^23: adding it rounds to an integer */
    return (int32_t)((value + magic) - magic);
}

uint64_t spl_pcm_to_s16(const float *samples, size_t count, int16_t *ret_pcm) {
    const float largest = 32767, smallest = -32768;
    uint32_t clipped = 0;
    for (size_t i = 0; i < count; i++) {
        float value = samples[i] * 32768;
        /* 32767.5 would round to 32768, but -32768.5 to -32768. */
        clipped += (value >= 32767.5f) | (value < -32768.5f);
        value = value > largest ? largest : value;
        value = value < smallest ? smallest : value;
        ret_pcm[i] = (int16_t)round_to_even(value);
    }
    return clipped;
}

uint64_t spl_pcm_to_s24(const float *samples, size_t count, int32_t *ret_pcm) {
    const float largest = 8388607, smallest = -8388608;
    uint32_t clipped = 0;
    for (size_t i = 0; i < count; i++) {
        float value = samples[i] * 8388608;
        clipped += (value >= 8388607.5f) | (value < smallest);
        value = value > largest ? largest : value;
        value = value < smallest ? smallest : value;
        ret_pcm[i] = (int32_t)lrintf(value);
    }
    return clipped;
}

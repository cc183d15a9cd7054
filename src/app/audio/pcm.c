/* SPDX-License-Identifier: MIT
 *
 * Conversion of float samples to integers.
 */
#include "app/audio/pcm.h"

#include <math.h>
#include <string.h>

uint64_t spl_pcm_to_s16(const float *samples, size_t count, int16_t *ret_pcm) {
    /* The bounds of the values that round into the range. With ties to even, 32767.5 would round to
     * 32768, but -32768.5 rounds to -32768. */
    const float largest = 32767.498f, smallest = -32768.5f;
    const float magic = 12582912; /* 1.5 * 2^23: the low bits of a sum with it are the integer */
    uint32_t clipped = 0;
    for (size_t i = 0; i < count; i++) {
        const float value = samples[i] * 32768;
        float inside = value < smallest ? smallest : value;
        inside = inside > largest ? largest : inside;
        clipped += inside != value;
        const float sum = inside + magic;
        int32_t bits;
        memcpy(&bits, &sum, sizeof(bits));
        ret_pcm[i] = (int16_t)bits;
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

/* SPDX-License-Identifier: MIT
 *
 * Float samples to integers: x * 2^(bits - 1), rounded to nearest (ties to
 * even), clipped. For 16 bits this is what ffmpeg does, so that files are
 * equal to Spleeter's. (For 24 bits ffmpeg rounds to 32 and cuts the rest off.)
 */
#ifndef SPL_APP_AUDIO_PCM_H
#define SPL_APP_AUDIO_PCM_H

#include <stddef.h>
#include <stdint.h>

/* To 16 bits. Returns how many values were clipped. NaN becomes 0 or the smallest value. */
uint64_t spl_pcm_to_s16(const float *samples, size_t count, int16_t *ret_pcm);

/* To 24 bits, each in an int32_t as a value from -2^23 to 2^23 - 1. Returns how many values were
 * clipped. */
uint64_t spl_pcm_to_s24(const float *samples, size_t count, int32_t *ret_pcm);

#endif

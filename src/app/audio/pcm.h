/* SPDX-License-Identifier: MIT
 *
 * Conversion of float samples to integers: x * 2^(bits - 1), rounded to nearest (ties to even) and
 * clipped. For 16 bits this equals ffmpeg's conversion, so that files are identical to Spleeter's.
 * (For 24 bits, ffmpeg rounds to 32 bits and truncates.)
 */
#ifndef SPL_APP_AUDIO_PCM_H
#define SPL_APP_AUDIO_PCM_H

#include <stddef.h>
#include <stdint.h>

/* To 16 bits. Returns the number of clipped values. NaN becomes 0 or the smallest value. */
uint64_t spl_pcm_to_s16(const float *samples, size_t count, int16_t *ret_pcm);

/* To 24 bits, each an int32_t from -2^23 to 2^23 - 1. Returns the number of clipped values. */
uint64_t spl_pcm_to_s24(const float *samples, size_t count, int32_t *ret_pcm);

#endif

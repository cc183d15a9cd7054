/* SPDX-License-Identifier: MIT
 *
 * Magnitudes are compared as integers. Without the sign, floats order like their bit patterns, and
 * infinity and NaN are above all finite numbers.
 */
#include "base/samples.h"

#include <inttypes.h>
#include <math.h>
#include <spleeter/separate.h>

static int32_t magnitude_bits(float value) {
    int32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits & INT32_MAX;
}

static bool all_within(const float *values, size_t count, int32_t most) {
    int32_t outside = 0;
    for (size_t n = 0; n < count; n++)
        outside |= magnitude_bits(values[n]) > most;
    return !outside;
}

int spl_samples_check(const float *samples, size_t count, unsigned channels, uint64_t first,
                      spl_error *ret_error) {
    const int32_t most = magnitude_bits(SPL_SAMPLE_MAX);
    if (all_within(samples, count * channels, most))
        return 0;
    size_t n = 0;
    while (magnitude_bits(samples[n]) <= most)
        n++;
    const uint64_t at = first + n / channels;
    const double seconds = (double)at / SPL_SAMPLE_RATE_HZ;
    if (!isfinite(samples[n]))
        return spl_fail(ret_error, SPL_E_SAMPLE,
                        "sample %" PRIu64 " (at %.3f s) is not a finite number", at, seconds);
    return spl_fail(ret_error, SPL_E_SAMPLE,
                    "sample %" PRIu64 " (at %.3f s) is %g, where up to %g can be separated; scale "
                    "the song to +-1 first",
                    at, seconds, (double)samples[n], (double)SPL_SAMPLE_MAX);
}

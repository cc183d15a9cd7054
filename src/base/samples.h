/* SPDX-License-Identifier: MIT
 *
 * Whether samples can be computed with.
 */
#ifndef SPL_BASE_SAMPLES_H
#define SPL_BASE_SAMPLES_H

#include "base/error.h"

/* Checks `count` samples of `channels` values each: all must be finite and within +-SPL_SAMPLE_MAX.
 * `first` is the number of the first one, at 44,100 Hz, for the message. Errors: SAMPLE. */
SPL_WARN_UNUSED int spl_samples_check(const float *samples, size_t count, unsigned channels,
                                      uint64_t first, spl_error *ret_error);

#endif

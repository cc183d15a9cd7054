/* SPDX-License-Identifier: MIT
 *
 * Validation of samples.
 */
#ifndef SPL_BASE_SAMPLES_H
#define SPL_BASE_SAMPLES_H

#include "base/error.h"

/* Checks that `count` samples of `channels` values each are finite and within +-SPL_SAMPLE_MAX.
 * `first` is the index of the first sample, at 44,100 Hz, for the message. Errors: SAMPLE. */
SPL_WARN_UNUSED int spl_samples_check(const float *samples, size_t count, unsigned channels,
                                      uint64_t first, spl_error *ret_error);

#endif

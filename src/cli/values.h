/* SPDX-License-Identifier: MIT
 *
 * Values of options, from text. Each function fails with ARGUMENT and a message that says what to give.
 */
#ifndef SPL_CLI_VALUES_H
#define SPL_CLI_VALUES_H

#include "audio/audio.h"

#include <spleeter/separate.h>

/* Seconds, >= 0; `option` is for the message. */
SPL_WARN_UNUSED int cli_parse_seconds(const char *option, const char *value, double *ret_seconds,
                                      spl_error *ret_error);

/* "128k" or "128000" bits per second. */
SPL_WARN_UNUSED int cli_parse_bitrate(const char *value, unsigned *ret_bps, spl_error *ret_error);

/* 1 to 1,024. */
SPL_WARN_UNUSED int cli_parse_threads(const char *value, unsigned *ret_threads,
                                      spl_error *ret_error);

/* 11k, 16k or full. */
SPL_WARN_UNUSED int cli_parse_bandwidth(const char *value, spl_bandwidth *ret_bandwidth,
                                        spl_error *ret_error);

/* 16, 24 or float. */
SPL_WARN_UNUSED int cli_parse_bit_depth(const char *value, spl_sample_format *ret_format,
                                        spl_error *ret_error);

#endif

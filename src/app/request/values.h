/* SPDX-License-Identifier: MIT
 *
 * Parses option values for the command and the service. Each function fails with ARGUMENT and a
 * message that begins with `option`, as the caller writes it ("--bitrate", "bitrate"), and states
 * the accepted values.
 */
#ifndef SPL_APP_REQUEST_VALUES_H
#define SPL_APP_REQUEST_VALUES_H

#include "app/audio/audio.h"

#include <spleeter/separate.h>

/* Seconds from 0 to less than SPL_SECONDS_END. */
SPL_WARN_UNUSED int spl_seconds_parse(const char *option, const char *value, double *ret_seconds,
                                      spl_error *ret_error);

/* "128k" or "128000" bits per second, from 6,000 to 1,000,000. */
SPL_WARN_UNUSED int spl_bitrate_parse(const char *option, const char *value, unsigned *ret_bps,
                                      spl_error *ret_error);

/* 1 to 1,024. */
SPL_WARN_UNUSED int spl_threads_parse(const char *option, const char *value, unsigned *ret_threads,
                                      spl_error *ret_error);

/* wav, flac and so on. */
SPL_WARN_UNUSED int spl_codec_parse(const char *option, const char *value, spl_codec *ret_codec,
                                    spl_error *ret_error);

/* 11k, 16k or full. */
SPL_WARN_UNUSED int spl_bandwidth_parse(const char *option, const char *value,
                                        spl_bandwidth *ret_bandwidth, spl_error *ret_error);

/* 16, 24 or float. */
SPL_WARN_UNUSED int spl_bit_depth_parse(const char *option, const char *value,
                                        spl_sample_format *ret_format, spl_error *ret_error);

/* true or false. */
SPL_WARN_UNUSED int spl_switch_parse(const char *option, const char *value, bool *ret_on,
                                     spl_error *ret_error);

/* Checks that files of `codec` can have the bit depth. */
SPL_WARN_UNUSED int spl_bit_depth_check(const char *option, spl_sample_format format,
                                        spl_codec codec, spl_error *ret_error);

/* The names that the functions above parse, as static strings; SPL_BANDWIDTH_MODEL has none. */
const char *spl_bandwidth_name(spl_bandwidth bandwidth);
const char *spl_bit_depth_name(spl_sample_format format);

#endif

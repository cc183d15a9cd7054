/* SPDX-License-Identifier: MIT
 *
 * Parses option values.
 */
#include "app/request/values.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int spl_seconds_parse(const char *option, const char *value, double *ret_seconds,
                      spl_error *ret_error) {
    char *end;
    errno = 0;
    double seconds = strtod(value, &end);
    if (end == value || *end || errno || !(seconds >= 0 && seconds < SPL_SECONDS_END))
        return spl_fail(ret_error, SPL_E_ARGUMENT,
                        "%s %s: give seconds, such as 30 or 7.5, and less than 1e9", option, value);
    *ret_seconds = seconds;
    return 0;
}

int spl_bitrate_parse(const char *option, const char *value, unsigned *ret_bps,
                      spl_error *ret_error) {
    char *end;
    errno = 0;
    double rate = strtod(value, &end);
    if (end != value && (*end == 'k' || *end == 'K')) {
        rate *= 1000;
        end++;
    }
    if (end == value || *end || errno || !(rate >= 6000 && rate <= 1000000))
        return spl_fail(ret_error, SPL_E_ARGUMENT,
                        "%s %s: give bits per second from 6k to 1000k, such as 128k", option,
                        value);
    *ret_bps = (unsigned)rate;
    return 0;
}

int spl_threads_parse(const char *option, const char *value, unsigned *ret_threads,
                      spl_error *ret_error) {
    char *end;
    errno = 0;
    long threads = strtol(value, &end, 10);
    if (end == value || *end || errno || threads < 1 || threads > 1024)
        return spl_fail(ret_error, SPL_E_ARGUMENT, "%s %s: give a number from 1 to 1024", option,
                        value);
    *ret_threads = (unsigned)threads;
    return 0;
}

int spl_codec_parse(const char *option, const char *value, spl_codec *ret_codec,
                    spl_error *ret_error) {
    if (spl_codec_from_name(value, ret_codec))
        return 0;
    char names[128] = "";
    for (size_t i = 0, used = 0; i < SPL_CODEC_COUNT && used < sizeof(names); i++)
        used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", i ? ", " : "",
                                 spl_codec_name((spl_codec)i));
    return spl_fail(ret_error, SPL_E_ARGUMENT, "%s %s: give one of %s", option, value, names);
}

static const char *const bandwidths[] = {
    [SPL_BANDWIDTH_11K] = "11k", [SPL_BANDWIDTH_16K] = "16k", [SPL_BANDWIDTH_FULL] = "full"};
static const char *const bit_depths[] = {
    [SPL_SAMPLES_16] = "16", [SPL_SAMPLES_24] = "24", [SPL_SAMPLES_FLOAT] = "float"};

int spl_bandwidth_parse(const char *option, const char *value, spl_bandwidth *ret_bandwidth,
                        spl_error *ret_error) {
    for (int i = SPL_BANDWIDTH_11K; i <= SPL_BANDWIDTH_FULL; i++) {
        if (strcmp(value, bandwidths[i]) == 0) {
            *ret_bandwidth = (spl_bandwidth)i;
            return 0;
        }
    }
    return spl_fail(ret_error, SPL_E_ARGUMENT, "%s %s: give 11k, 16k or full", option, value);
}

int spl_bit_depth_parse(const char *option, const char *value, spl_sample_format *ret_format,
                        spl_error *ret_error) {
    for (int i = SPL_SAMPLES_16; i <= SPL_SAMPLES_FLOAT; i++) {
        if (strcmp(value, bit_depths[i]) == 0) {
            *ret_format = (spl_sample_format)i;
            return 0;
        }
    }
    return spl_fail(ret_error, SPL_E_ARGUMENT, "%s %s: give 16, 24 or float", option, value);
}

int spl_switch_parse(const char *option, const char *value, bool *ret_on, spl_error *ret_error) {
    const bool on = strcmp(value, "true") == 0;
    if (!on && strcmp(value, "false") != 0)
        return spl_fail(ret_error, SPL_E_ARGUMENT, "%s %s: give true or false", option, value);
    *ret_on = on;
    return 0;
}

int spl_bit_depth_check(const char *option, spl_sample_format format, spl_codec codec,
                        spl_error *ret_error) {
    if (codec != SPL_CODEC_WAV && codec != SPL_CODEC_FLAC)
        return spl_fail(ret_error, SPL_E_ARGUMENT,
                        "%s is for wav and flac, %s has none; choose a bitrate instead", option,
                        spl_codec_name(codec));
    if (codec == SPL_CODEC_FLAC && format == SPL_SAMPLES_FLOAT)
        return spl_fail(ret_error, SPL_E_ARGUMENT, "%s float needs wav; flac has 16 and 24",
                        option);
    return 0;
}

const char *spl_bandwidth_name(spl_bandwidth bandwidth) {
    return bandwidths[bandwidth];
}

const char *spl_bit_depth_name(spl_sample_format format) {
    return bit_depths[format];
}

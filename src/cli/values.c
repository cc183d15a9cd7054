/* SPDX-License-Identifier: MIT
 *
 * Values of options, from text.
 */
#include "cli/values.h"

#include <errno.h>
#include <math.h>
#include <string.h>

int cli_parse_seconds(const char *option, const char *value, double *ret_seconds,
                      spl_error *ret_error) {
    char *end;
    errno = 0;
    double seconds = strtod(value, &end);
    if (end == value || *end || errno || !isfinite(seconds) || seconds < 0)
        return spl_fail(ret_error, SPL_E_ARGUMENT, "%s %s: give seconds, such as 30 or 7.5", option,
                        value);
    *ret_seconds = seconds;
    return 0;
}

int cli_parse_bitrate(const char *value, unsigned *ret_bps, spl_error *ret_error) {
    char *end;
    errno = 0;
    double rate = strtod(value, &end);
    if (end != value && (*end == 'k' || *end == 'K')) {
        rate *= 1000;
        end++;
    }
    if (end == value || *end || errno || !(rate >= 6000 && rate <= 1000000))
        return spl_fail(ret_error, SPL_E_ARGUMENT,
                        "--bitrate %s: give bits per second from 6k to 1000k, such as 128k", value);
    *ret_bps = (unsigned)rate;
    return 0;
}

int cli_parse_threads(const char *value, unsigned *ret_threads, spl_error *ret_error) {
    char *end;
    errno = 0;
    long threads = strtol(value, &end, 10);
    if (end == value || *end || errno || threads < 1 || threads > 1024)
        return spl_fail(ret_error, SPL_E_ARGUMENT, "--threads %s: give a number from 1 to 1024",
                        value);
    *ret_threads = (unsigned)threads;
    return 0;
}

typedef struct choice {
    const char *name;
    int value;
} choice;

static const choice bandwidths[] = {
    {"11k", SPL_BANDWIDTH_11K}, {"16k", SPL_BANDWIDTH_16K}, {"full", SPL_BANDWIDTH_FULL}};
static const choice bit_depths[] = {
    {"16", SPL_SAMPLES_16}, {"24", SPL_SAMPLES_24}, {"float", SPL_SAMPLES_FLOAT}};

static int parse_choice(const char *option, const char *value, const choice choices[3],
                        int *ret_value, spl_error *ret_error) {
    for (size_t i = 0; i < 3; i++) {
        if (strcmp(value, choices[i].name) == 0) {
            *ret_value = choices[i].value;
            return 0;
        }
    }
    return spl_fail(ret_error, SPL_E_ARGUMENT, "%s %s: give %s, %s or %s", option, value,
                    choices[0].name, choices[1].name, choices[2].name);
}

int cli_parse_bandwidth(const char *value, spl_bandwidth *ret_bandwidth, spl_error *ret_error) {
    int number;
    int status = parse_choice("--bandwidth", value, bandwidths, &number, ret_error);
    if (status == 0)
        *ret_bandwidth = (spl_bandwidth)number;
    return status;
}

int cli_parse_bit_depth(const char *value, spl_sample_format *ret_format, spl_error *ret_error) {
    int number;
    int status = parse_choice("--bit-depth", value, bit_depths, &number, ret_error);
    if (status == 0)
        *ret_format = (spl_sample_format)number;
    return status;
}

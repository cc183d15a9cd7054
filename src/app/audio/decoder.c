/* SPDX-License-Identifier: MIT
 *
 * The decoder: requests a file's samples from the codec helper and reads its records.
 */
#include "app/audio/decoder.h"

#include "base/clock.h"
#include "base/samples.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Wall-clock limit of a probe. The CPU time limit (codec/decode.c) does not cover a blocked helper
 * or a busy machine. */
#define PROBE_MAX_S 30

/* By how much the helper may exceed the duration and the limit. */
#define MARGIN_S 1

struct spl_decoder {
    spl_helper helper;
    char *name;
    spl_audio_info info;
    unsigned channels;
    size_t pending;    /* samples of the current record that are not read from the socket yet */
    uint64_t position; /* in the song, of the next sample to read */
    uint64_t samples, samples_max; /* received; the most that the helper may send */
    bool ended;
    char warning[512];
};

int spl_decoder_attach(spl_helper helper, const char *name, spl_channel_policy channels,
                       spl_decoder **ret_decoder, spl_error *ret_error) {
    spl_decoder *decoder = calloc(1, sizeof(*decoder));
    char *name_copy = strdup(name);
    if (!decoder || !name_copy) {
        free(decoder);
        free(name_copy);
        spl_helper_end(&helper);
        return spl_fail_memory(ret_error);
    }
    decoder->helper = helper;
    decoder->name = name_copy;
    decoder->samples_max = UINT64_MAX;

    int status = 0;
    spl_record_header header;
    spl_decode_start start;
    bool good = spl_helper_receive_header(&decoder->helper, &header) == 0;
    if (good && header.type == SPL_RECORD_FAILURE)
        good = spl_helper_receive_failure(&decoder->helper, SPL_HELPER_DECODES, &header, name,
                                          ret_error, &status);
    else if (good)
        good = header.type == SPL_RECORD_START && header.size_bytes == sizeof(start) &&
               spl_helper_receive(&decoder->helper, &start, sizeof(start)) == 0 &&
               spl_decode_start_check(&start);
    if (!good)
        status = spl_helper_fail(&decoder->helper, name, ret_error);
    if (status < 0) {
        spl_decoder_free(decoder);
        return status;
    }

    decoder->info = start.info;
    decoder->channels = channels == SPL_CHANNELS_ALL ? start.info.channels : 2;
    if (start.without_landlock && spl_sandbox_warning())
        snprintf(decoder->warning, sizeof(decoder->warning), "%s", spl_sandbox_warning());
    *ret_decoder = decoder;
    return 0;
}

/* Sends the DECODE record. Each member is copied by itself, so that neither padding nor addresses
 * of this process reach the helper. */
static int send_request(spl_helper *helper, const spl_decode_options *options) {
    spl_decode_request request;
    memset(&request, 0, sizeof(request));
    request.version = SPL_PROTOCOL_VERSION;
    request.options.channels = options->channels;
    request.options.track = options->track;
    request.options.offset_s = options->offset_s;
    request.options.duration_s = options->duration_s;
    request.options.limit_s = options->limit_s;
    request.options.probe = options->probe;
    snprintf(request.options.containers, sizeof(request.options.containers), "%s",
             options->containers);
    return spl_helper_send(helper, SPL_RECORD_DECODE, &request, sizeof(request));
}

/* The most samples that an honest helper sends, with a margin for the rounding of resamplers. */
static uint64_t most_samples(const spl_decode_options *options) {
    double seconds = SPL_SECONDS_END;
    if (options->duration_s > 0)
        seconds = fmin(seconds, options->duration_s);
    if (options->limit_s > 0)
        seconds = fmin(seconds, options->limit_s);
    return (uint64_t)((seconds + MARGIN_S) * SPL_SAMPLE_RATE_HZ);
}

static bool is_seconds(double value) {
    return value >= 0 && value < SPL_SECONDS_END;
}

int spl_decoder_open(int fd, const char *name, const spl_decode_options *options,
                     spl_decoder **ret_decoder, spl_error *ret_error) {
    if (!is_seconds(options->offset_s) || !is_seconds(options->duration_s) ||
        !is_seconds(options->limit_s)) {
        return spl_fail(ret_error, SPL_E_ARGUMENT,
                        "offset, duration and limit must be seconds from 0 to 1e9");
    }
    struct stat file;
    if (fstat(fd, &file) < 0)
        return spl_fail_errno(ret_error, errno, "cannot read %s", name);
    if (!S_ISREG(file.st_mode))
        return spl_fail(ret_error, SPL_E_ARGUMENT, "%s is not a regular file", name);
    if (file.st_size == 0)
        return spl_fail(ret_error, SPL_E_FORMAT, "%s is empty", name);

    spl_helper helper;
    int status = spl_helper_start("decode", fd, &options->stop, &helper, ret_error);
    if (status < 0)
        return status;
    if (options->probe)
        helper.end_s = spl_now_s() + PROBE_MAX_S;
    if (send_request(&helper, options) < 0)
        return spl_helper_fail(&helper, name, ret_error);
    status = spl_decoder_attach(helper, name, options->channels, ret_decoder, ret_error);
    if (status < 0)
        return status;
    (*ret_decoder)->samples_max = most_samples(options);
    (*ret_decoder)->position = (uint64_t)llround(options->offset_s * SPL_SAMPLE_RATE_HZ);
    return 0;
}

const spl_audio_info *spl_decoder_info(const spl_decoder *decoder) {
    return &decoder->info;
}

unsigned spl_decoder_channels(const spl_decoder *decoder) {
    return decoder->channels;
}

static void add_warning(spl_decoder *decoder, const char *text) {
    size_t length = strlen(decoder->warning);
    snprintf(decoder->warning + length, sizeof(decoder->warning) - length, "%s%s",
             length > 0 ? "; " : "", text);
}

/* Reads the header of the next SAMPLES record, or the whole END_DECODE record. */
static int next_record(spl_decoder *decoder, spl_error *ret_error) {
    spl_helper *helper = &decoder->helper;
    spl_record_header header;
    if (spl_helper_receive_header(helper, &header) < 0)
        return spl_helper_fail(&decoder->helper, decoder->name, ret_error);

    const size_t sample_bytes = decoder->channels * sizeof(float);
    spl_decode_end end;
    int status;
    switch (header.type) {
    case SPL_RECORD_SAMPLES:
        if (header.size_bytes == 0 || header.size_bytes > SPL_RECORD_SAMPLES_MAX_BYTES ||
            header.size_bytes % sample_bytes != 0) {
            break;
        }
        decoder->pending = header.size_bytes / sample_bytes;
        decoder->samples += decoder->pending;
        if (decoder->samples > decoder->samples_max)
            break;
        return 0;
    case SPL_RECORD_END_DECODE:
        if (header.size_bytes != sizeof(end) || spl_helper_receive(helper, &end, sizeof(end)) < 0 ||
            end.samples != decoder->samples) {
            break;
        }
        spl_text_make_printable(end.warning, sizeof(end.warning));
        if (end.warning[0])
            add_warning(decoder, end.warning);
        decoder->ended = true;
        spl_helper_end(&decoder->helper);
        return 0;
    case SPL_RECORD_FAILURE:
        if (spl_helper_receive_failure(helper, SPL_HELPER_DECODES, &header, decoder->name,
                                       ret_error, &status))
            return status;
        break;
    default:
        break;
    }
    return spl_helper_fail(helper, decoder->name, ret_error);
}

int spl_decoder_read(spl_decoder *decoder, float *samples, size_t capacity, size_t *ret_count,
                     spl_error *ret_error) {
    while (decoder->pending == 0 && !decoder->ended) {
        int status = next_record(decoder, ret_error);
        if (status < 0)
            return status;
    }
    size_t count = SPL_MIN(decoder->pending, capacity);
    if (spl_helper_receive(&decoder->helper, samples, count * decoder->channels * sizeof(float)) <
        0)
        return spl_helper_fail(&decoder->helper, decoder->name, ret_error);
    spl_error error;
    const int status =
        spl_samples_check(samples, count, decoder->channels, decoder->position, &error);
    if (status < 0)
        return spl_fail(ret_error, status, "%s: %s", decoder->name, error.message);
    decoder->position += count;
    decoder->pending -= count;
    *ret_count = count;
    return 0;
}

const char *spl_decoder_warning(const spl_decoder *decoder) {
    return decoder->warning;
}

void spl_decoder_free(spl_decoder *decoder) {
    if (!decoder)
        return;
    spl_helper_end(&decoder->helper);
    free(decoder->name);
    free(decoder);
}

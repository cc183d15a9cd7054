/* SPDX-License-Identifier: MIT
 *
 * The encoder: writes WAV at 44,100 Hz itself, and sends the samples of all other files to the
 * codec helper.
 */
#include "app/audio/helper.h"
#include "app/audio/wav.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

/* Lossy encoders get no larger samples: far beyond full scale, libavcodec's AAC encoder hangs and
 * LAME aborts. */
#define LOUDEST 4.0f

/* CPU time that a helper may use: for a start, and for each second of a channel. An encoder that
 * takes this long hangs. */
#define START_CPU_S   30
#define CHANNEL_CPU_S 2

#define FILE_EXTRA_BYTES (1 << 20)

#define LOSSLESS_EXCESS 1.01
#define LOSSY_EXCESS    1.25

struct spl_encoder {
    char *name;
    int fd; /* the file's; the caller's */
    unsigned channels;
    uint64_t written, clipped, length; /* samples; values; samples */
    spl_wav_writer *wav;
    spl_helper helper; /* when `wav` is NULL */
    double rate;       /* samples of the file for each one that is written; at least 1 */
    bool lossy;
    float limited[SPL_RECORD_SAMPLES_MAX_BYTES / sizeof(float)]; /* the record's, within LOUDEST */
};

static const char *const codec_names[SPL_CODEC_COUNT] = {
    [SPL_CODEC_WAV] = "wav", [SPL_CODEC_FLAC] = "flac", [SPL_CODEC_MP3] = "mp3",
    [SPL_CODEC_OGG] = "ogg", [SPL_CODEC_OPUS] = "opus", [SPL_CODEC_M4A] = "m4a",
    [SPL_CODEC_WMA] = "wma",
};

const char *spl_codec_name(spl_codec codec) {
    return codec_names[codec];
}

bool spl_codec_from_name(const char *name, spl_codec *ret_codec) {
    for (int i = 0; i < SPL_CODEC_COUNT; i++) {
        if (strcmp(name, codec_names[i]) == 0) {
            *ret_codec = (spl_codec)i;
            return true;
        }
    }
    return false;
}

static bool is_lossy(spl_codec codec) {
    return codec != SPL_CODEC_WAV && codec != SPL_CODEC_FLAC;
}

double spl_encode_bytes_s(const spl_encode_options *options) {
    if (is_lossy(options->codec))
        return options->bitrate_bps / 8.0 * LOSSY_EXCESS;
    const unsigned value_bytes = options->sample_format == SPL_SAMPLES_16   ? 2
                                 : options->sample_format == SPL_SAMPLES_24 ? 3
                                                                            : 4;
    return (double)options->sample_rate_hz * options->channels * value_bytes * LOSSLESS_EXCESS;
}

/* With O_APPEND, writes go to the end of the file regardless of the position, so the file counts as
 * not seekable. */
static bool is_seekable(int fd) {
    return lseek(fd, 0, SEEK_CUR) >= 0 && !(fcntl(fd, F_GETFL) & O_APPEND);
}

/* Where the helper must stop writing: no format needs as much as twice the size of the samples as
 * floats. The rate may be raised to 48 kHz, and by less than two beyond that. */
static uint64_t end_of_file(int fd, const spl_encode_options *options) {
    if (options->seconds_max <= 0)
        return UINT64_MAX;
    const off_t start = SPL_MAX(lseek(fd, 0, SEEK_CUR), 0);
    const double rate_hz = SPL_MAX(options->sample_rate_hz, 48000u);
    return (uint64_t)start + FILE_EXTRA_BYTES +
           (uint64_t)((options->seconds_max + 1) * rate_hz * options->channels * sizeof(float) * 2);
}

/* Fails with the helper's FAILURE record, or with a protocol error when `header` is any other. */
static int fail(spl_encoder *encoder, const spl_record_header *header, spl_error *ret_error) {
    int status;
    if (header->type == SPL_RECORD_FAILURE &&
        spl_helper_receive_failure(&encoder->helper, SPL_HELPER_ENCODES, header, encoder->name,
                                   ret_error, &status))
        return status;
    return spl_helper_fail(&encoder->helper, encoder->name, ret_error);
}

/* Sending failed: the helper has sent a FAILURE record, or has exited. */
static int fail_to_send(spl_encoder *encoder, spl_error *ret_error) {
    spl_record_header header;
    if (encoder->helper.reason != SPL_HELPER_HUNG_UP ||
        spl_helper_receive_header(&encoder->helper, &header) < 0)
        return spl_helper_fail(&encoder->helper, encoder->name, ret_error);
    return fail(encoder, &header, ret_error);
}

/* Reads the helper's answer: the record `type` with a payload of `size` bytes, or FAILURE. */
static int receive_answer(spl_encoder *encoder, spl_record_type type, void *ret_payload,
                          size_t size, spl_error *ret_error) {
    spl_record_header header;
    if (spl_helper_receive_header(&encoder->helper, &header) < 0)
        return spl_helper_fail(&encoder->helper, encoder->name, ret_error);
    if (header.type != type || header.size_bytes != size)
        return fail(encoder, &header, ret_error);
    if (spl_helper_receive(&encoder->helper, ret_payload, size) < 0)
        return spl_helper_fail(&encoder->helper, encoder->name, ret_error);
    return 0;
}

static int start_helper(spl_encoder *encoder, int fd, const spl_encode_options *options,
                        spl_error *ret_error) {
    int status = spl_helper_start("encode", fd, &options->stop, &encoder->helper, ret_error);
    if (status < 0)
        return status;
    encoder->helper.cpu_max_s = START_CPU_S;
    /* Each member is copied by itself, so that neither padding nor addresses of this process reach
     * the helper. */
    spl_encode_request request;
    memset(&request, 0, sizeof(request));
    request.version = SPL_PROTOCOL_VERSION;
    request.seekable = is_seekable(fd);
    request.end_bytes = end_of_file(fd, options);
    request.options.codec = options->codec;
    request.options.sample_format = options->sample_format;
    request.options.bitrate_bps = options->bitrate_bps;
    request.options.channels = options->channels;
    request.options.channel_mask = options->channel_mask;
    request.options.sample_rate_hz = options->sample_rate_hz;
    if (spl_helper_send(&encoder->helper, SPL_RECORD_ENCODE, &request, sizeof(request)) < 0)
        return fail_to_send(encoder, ret_error);
    return receive_answer(encoder, SPL_RECORD_READY, NULL, 0, ret_error);
}

static int start_wav(spl_encoder *encoder, int fd, const spl_encode_options *options,
                     spl_error *ret_error) {
    const spl_wav_format format = {
        .sample_format = options->sample_format,
        .channels = options->channels,
        .channel_mask = options->channel_mask,
        .sample_rate_hz = options->sample_rate_hz,
    };
    return spl_wav_writer_open(fd, encoder->name, is_seekable(fd), &format, &options->stop,
                               &encoder->wav, ret_error);
}

static int check_options(const spl_encode_options *options, const char *name,
                         spl_error *ret_error) {
    const unsigned channels_max = options->codec == SPL_CODEC_WAV   ? SPL_CHANNELS_MAX
                                  : options->codec == SPL_CODEC_MP3 ? 2
                                  : options->codec == SPL_CODEC_WMA ? 2
                                                                    : 8;
    if (options->channels < 1 || options->channels > channels_max)
        return spl_fail(
            ret_error, SPL_E_UNSUPPORTED,
            "%s: there are %u channels, but %s files hold 1 to %u; choose another format", name,
            options->channels, spl_codec_name(options->codec), channels_max);
    if (options->channel_mask &&
        (unsigned)__builtin_popcountll(options->channel_mask) != options->channels)
        return spl_fail(ret_error, SPL_E_ARGUMENT, "%s: the channel mask does not have %u bits",
                        name, options->channels);
    if (options->codec == SPL_CODEC_FLAC && options->sample_format == SPL_SAMPLES_FLOAT)
        return spl_fail(ret_error, SPL_E_UNSUPPORTED,
                        "%s: flac files hold integers; choose 16 or 24 bits, or wav", name);
    if (options->sample_rate_hz == 0)
        return spl_fail(ret_error, SPL_E_ARGUMENT, "%s: a sample rate of 0 Hz", name);
    return 0;
}

bool spl_encode_needs_helper(const spl_encode_options *options) {
    return options->codec != SPL_CODEC_WAV || options->sample_rate_hz != SPL_SAMPLE_RATE_HZ;
}

int spl_encoder_open(int fd, const char *name, const spl_encode_options *options,
                     spl_encoder **ret_encoder, spl_error *ret_error) {
    int status = check_options(options, name, ret_error);
    if (status < 0)
        return status;
    spl_encoder *encoder = calloc(1, sizeof(*encoder));
    if (!encoder)
        return spl_fail_memory(ret_error);
    encoder->helper = (spl_helper)SPL_HELPER_INIT;
    encoder->fd = fd;
    encoder->channels = options->channels;
    encoder->rate = fmax(1, (double)options->sample_rate_hz / SPL_SAMPLE_RATE_HZ);
    encoder->lossy = is_lossy(options->codec);
    encoder->length = UINT64_MAX;
    encoder->name = strdup(name);
    if (!encoder->name)
        status = spl_fail_memory(ret_error);
    else if (!spl_encode_needs_helper(options))
        status = start_wav(encoder, fd, options, ret_error);
    else
        status = start_helper(encoder, fd, options, ret_error);
    if (status < 0) {
        spl_encoder_free(encoder);
        return status;
    }
    *ret_encoder = encoder;
    return 0;
}

static double cpu_limit_s(const spl_encoder *encoder) {
    const double seconds = (double)encoder->written / SPL_SAMPLE_RATE_HZ;
    return START_CPU_S + CHANNEL_CPU_S * seconds * encoder->channels * encoder->rate;
}

/* The values of a record, within what a lossy encoder can take. */
static const float *limit_values(spl_encoder *encoder, const float *values, size_t count) {
    uint64_t outside = 0;
    for (size_t i = 0; encoder->lossy && i < count; i++)
        outside += !(fabsf(values[i]) <= LOUDEST);
    if (outside == 0)
        return values;
    for (size_t i = 0; i < count; i++)
        encoder->limited[i] = fmaxf(-LOUDEST, fminf(values[i], LOUDEST));
    encoder->clipped += outside;
    return encoder->limited;
}

int spl_encoder_write(spl_encoder *encoder, const float *samples, size_t count,
                      spl_error *ret_error) {
    if (encoder->wav)
        return spl_wav_writer_write(encoder->wav, samples, count, ret_error);

    const size_t sample_bytes = encoder->channels * sizeof(float);
    const size_t record_samples = SPL_RECORD_SAMPLES_MAX_BYTES / sample_bytes;
    while (count > 0) {
        size_t part = SPL_MIN(count, record_samples);
        const float *values = limit_values(encoder, samples, part * encoder->channels);
        encoder->written += part;
        encoder->helper.cpu_max_s = cpu_limit_s(encoder);
        if (spl_helper_send(&encoder->helper, SPL_RECORD_SAMPLES, values, part * sample_bytes) < 0)
            return fail_to_send(encoder, ret_error);
        samples += part * encoder->channels;
        count -= part;
    }
    return 0;
}

void spl_encoder_set_length(spl_encoder *encoder, uint64_t samples) {
    encoder->length = samples;
}

int spl_encoder_finish(spl_encoder *encoder, spl_error *ret_error) {
    if (encoder->wav)
        return spl_wav_writer_finish(encoder->wav, ret_error);
    const spl_encode_finish finish = {.length = encoder->length};
    spl_encode_end end;
    if (spl_helper_send(&encoder->helper, SPL_RECORD_FINISH, &finish, sizeof(finish)) < 0)
        return fail_to_send(encoder, ret_error);
    int status = receive_answer(encoder, SPL_RECORD_END_ENCODE, &end, sizeof(end), ret_error);
    if (status < 0)
        return status;
    const double values =
        (double)(encoder->written + SPL_SAMPLE_RATE_HZ) * encoder->channels * encoder->rate;
    if ((double)end.clipped > values)
        return spl_helper_fail(&encoder->helper, encoder->name, ret_error);
    encoder->clipped += end.clipped;
    spl_helper_end(&encoder->helper); /* the file does not change any more */
    return 0;
}

uint64_t spl_encoder_clipped(const spl_encoder *encoder) {
    return encoder->wav ? spl_wav_writer_clipped(encoder->wav) : encoder->clipped;
}

uint64_t spl_encoder_bytes(const spl_encoder *encoder) {
    struct stat file;
    if (encoder->wav)
        return spl_wav_writer_bytes(encoder->wav);
    return fstat(encoder->fd, &file) == 0 ? (uint64_t)file.st_size : 0;
}

void spl_encoder_free(spl_encoder *encoder) {
    if (!encoder)
        return;
    spl_wav_writer_free(encoder->wav);
    spl_helper_end(&encoder->helper);
    free(encoder->name);
    free(encoder);
}

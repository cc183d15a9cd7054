/* SPDX-License-Identifier: MIT
 *
 * The audio module as a command, for the tests in this folder. Samples are raw 32-bit floats,
 * interleaved.
 *
 *   codec_tool decode FILE [track=N] [channels=downmix|first|all] [offset=S]
 *                      [duration=S] [limit=S] [probe=1] [info=1] > samples
 *                      (with info=1 the information of "info" is on standard error)
 *   codec_tool info FILE
 *   codec_tool encode FILE codec=NAME [bits=16|24|32] [bitrate=BPS] [channels=N]
 *                      [mask=N] [rate=HZ] [length=SAMPLES] < samples
 *   codec_tool header BYTES [bits=...] [channels=...] > header of a WAV file
 *                      with that many bytes of samples
 *
 * FILE "-" is standard output. Exit status: 0, or the negated spl_status, whose message goes to
 * standard error.
 */
#include "app/audio/audio.h"
#include "app/audio/wav.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *option(char **arguments, const char *name, const char *otherwise) {
    for (; *arguments; arguments++) {
        size_t length = strlen(name);
        if (strncmp(*arguments, name, length) == 0 && (*arguments)[length] == '=')
            return *arguments + length + 1;
    }
    return otherwise;
}

static double number(char **arguments, const char *name, const char *otherwise) {
    return strtod(option(arguments, name, otherwise), NULL);
}

static void print_info(const spl_audio_info *info, FILE *output) {
    fprintf(output,
            "container=%s\ncodec=%s\nrate=%u\nchannels=%u\nmask=%" PRIu64
            "\nbits=%u\nduration_us=%" PRIu64 "\n",
            info->container, info->codec, info->sample_rate_hz, info->channels, info->channel_mask,
            info->bits_per_sample, info->duration_us);
}

static int decode(const char *path, char **arguments, bool info_only, spl_error *error) {
    const char *channels = option(arguments, "channels", "all");
    const spl_decode_options options = {
        .channels = strcmp(channels, "downmix") == 0 ? SPL_CHANNELS_STEREO_DOWNMIX
                    : strcmp(channels, "first") == 0 ? SPL_CHANNELS_FIRST_TWO
                                                     : SPL_CHANNELS_ALL,
        .track = (unsigned)number(arguments, "track", "0"),
        .offset_s = number(arguments, "offset", "0"),
        .duration_s = number(arguments, "duration", "0"),
        .limit_s = number(arguments, "limit", "0"),
        .probe = number(arguments, "probe", "0") > 0,
    };
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return spl_fail(error, SPL_E_NOT_FOUND, "%s", path);
    spl_decoder *decoder;
    int status = spl_decoder_open(fd, path, &options, &decoder, error);
    if (status < 0)
        return status;
    if (info_only) {
        print_info(spl_decoder_info(decoder), stdout);
        spl_decoder_free(decoder);
        return 0;
    }
    if (number(arguments, "info", "0") > 0)
        print_info(spl_decoder_info(decoder), stderr);
    static float samples[4096 * SPL_CHANNELS_MAX];
    size_t count;
    do {
        status = spl_decoder_read(decoder, samples, 4096, &count, error);
        if (status == 0)
            fwrite(samples, spl_decoder_channels(decoder) * sizeof(float), count, stdout);
    } while (status == 0 && count > 0);
    if (status == 0 && spl_decoder_warning(decoder)[0])
        fprintf(stderr, "warning: %s\n", spl_decoder_warning(decoder));
    spl_decoder_free(decoder);
    close(fd);
    return status;
}

static spl_sample_format sample_format(char **arguments) {
    const char *bits = option(arguments, "bits", "16");
    return strcmp(bits, "32") == 0   ? SPL_SAMPLES_FLOAT
           : strcmp(bits, "24") == 0 ? SPL_SAMPLES_24
                                     : SPL_SAMPLES_16;
}

static int encode(const char *path, char **arguments, spl_error *error) {
    spl_encode_options options = {
        .sample_format = sample_format(arguments),
        .bitrate_bps = (unsigned)number(arguments, "bitrate", "128000"),
        .channels = (unsigned)number(arguments, "channels", "2"),
        .channel_mask = (uint64_t)number(arguments, "mask", "0"),
        .sample_rate_hz = (unsigned)number(arguments, "rate", "44100"),
    };
    if (!spl_codec_from_name(option(arguments, "codec", "wav"), &options.codec))
        return spl_fail(error, SPL_E_ARGUMENT, "no such codec");
    int fd = strcmp(path, "-") == 0 ? STDOUT_FILENO
                                    : open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return spl_fail(error, SPL_E_IO, "%s", path);
    spl_encoder *encoder;
    int status = spl_encoder_open(fd, path, &options, &encoder, error);
    if (status < 0)
        return status;
    static float samples[4096 * SPL_CHANNELS_MAX];
    size_t count;
    while (status == 0 &&
           (count = fread(samples, options.channels * sizeof(float), 4096, stdin)) > 0)
        status = spl_encoder_write(encoder, samples, count, error);
    if (option(arguments, "length", NULL))
        spl_encoder_set_length(encoder, (uint64_t)number(arguments, "length", NULL));
    if (status == 0)
        status = spl_encoder_finish(encoder, error);
    if (status == 0)
        fprintf(stderr, "clipped=%" PRIu64 "\n", spl_encoder_clipped(encoder));
    spl_encoder_free(encoder);
    return status;
}

static int header(const char *bytes, char **arguments) {
    const spl_wav_format format = {
        .sample_format = sample_format(arguments),
        .channels = (unsigned)number(arguments, "channels", "2"),
        .sample_rate_hz = 44100,
    };
    uint8_t data[SPL_WAV_HEADER_MAX_BYTES];
    size_t size = spl_wav_header(&format, strtoull(bytes, NULL, 10), data);
    fwrite(data, 1, size, stdout);
    return 0;
}

int main(int argc, char **argv) {
    if (argc < 3)
        return 100;
    const char *mode = argv[1];
    char **arguments = argv + 3;
    spl_error error = {0};
    int status = 0;
    if (strcmp(mode, "decode") == 0 || strcmp(mode, "info") == 0)
        status = decode(argv[2], arguments, mode[0] == 'i', &error);
    else if (strcmp(mode, "encode") == 0)
        status = encode(argv[2], arguments, &error);
    else if (strcmp(mode, "header") == 0)
        status = header(argv[2], arguments);
    if (status < 0)
        fprintf(stderr, "%s\n", error.message);
    return -status;
}

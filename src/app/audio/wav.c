/* SPDX-License-Identifier: MIT
 *
 * Writes WAV files:
 *
 *   RIFF size WAVE
 *   JUNK 28 zero bytes                  reserved for a ds64 chunk; not in a pipe
 *   fmt  PCM, IEEE float or EXTENSIBLE
 *   fact samples per channel            float only
 *   data size
 *   the samples, and a byte of padding when their size is odd
 *
 * Sizes are 32 bits wide. A larger file becomes RF64 (EBU Tech 3306): the RIFF tag becomes RF64,
 * JUNK becomes ds64 with 64-bit sizes, and the 32-bit sizes are 0xFFFFFFFF. Until a file is
 * complete, its sizes are 0xFFFFFFFF too, as ffmpeg writes and reads them; in a pipe they stay so.
 */
#include "app/audio/wav.h"

#include "app/audio/pcm.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#define BUFFER_BYTES (1u << 18)
#define POLL_MS      100 /* how often a waiting call polls `stop` */

struct spl_wav_writer {
    spl_stop stop; /* polled while a pipe is full */
    int fd;
    const char *name;
    bool seekable;
    spl_wav_format format;
    off_t start; /* position in `fd` of the file's first byte */
    size_t header_bytes;
    uint64_t data_bytes;
    uint64_t clipped;
    size_t buffered; /* bytes of `buffer` in use */
    union {
        uint8_t bytes[BUFFER_BYTES];
        int16_t s16[BUFFER_BYTES / 2];
        float f32[BUFFER_BYTES / 4];
    } buffer;
};

static unsigned bytes_per_value(spl_sample_format format) {
    switch (format) {
    case SPL_SAMPLES_16:
        return 2;
    case SPL_SAMPLES_24:
        return 3;
    case SPL_SAMPLES_FLOAT:
        break;
    }
    return 4;
}

static uint8_t *put(uint8_t *at, uint64_t value, size_t bytes) {
    for (size_t i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> (8 * i));
    return at + bytes;
}

static uint8_t *put_tag(uint8_t *at, const char tag[4]) {
    memcpy(at, tag, 4);
    return at + 4;
}

static uint8_t *put_fmt(uint8_t *at, const spl_wav_format *format) {
    const unsigned bytes = bytes_per_value(format->sample_format);
    const unsigned pcm = 1, ieee_float = 3, extensible = 0xfffe;
    const unsigned tag = format->sample_format == SPL_SAMPLES_FLOAT ? ieee_float : pcm;
    const bool extend = format->channels > 2 || format->sample_format == SPL_SAMPLES_24;

    at = put_tag(at, "fmt ");
    at = put(at, extend ? 40 : tag == ieee_float ? 18 : 16, 4);
    at = put(at, extend ? extensible : tag, 2);
    at = put(at, format->channels, 2);
    at = put(at, format->sample_rate_hz, 4);
    at = put(at, (uint64_t)format->sample_rate_hz * format->channels * bytes, 4);
    at = put(at, format->channels * bytes, 2);
    at = put(at, bytes * 8, 2);
    if (extend) {
        static const uint64_t usual_masks[] = {0, 4, 3, 7, 0x33, 0x37, 0x3f, 0x70f, 0x63f};
        uint64_t mask = format->channel_mask;
        if (mask == 0 && format->channels < SPL_ARRAY_SIZE(usual_masks))
            mask = usual_masks[format->channels];
        static const uint8_t guid_end[] = {0x00, 0x00, 0x10, 0x00, 0x80, 0x00,
                                           0x00, 0xaa, 0x00, 0x38, 0x9b, 0x71};
        at = put(at, 22, 2);
        at = put(at, bytes * 8, 2);
        at = put(at, mask, 4);
        at = put(at, tag, 4);
        memcpy(at, guid_end, sizeof(guid_end));
        at += sizeof(guid_end);
    } else if (tag == ieee_float) {
        at = put(at, 0, 2);
    }
    return at;
}

size_t spl_wav_header(const spl_wav_format *format, uint64_t data_bytes,
                      uint8_t ret_header[SPL_WAV_HEADER_MAX_BYTES]) {
    const bool piped = data_bytes == SPL_WAV_UNKNOWN_BYTES;
    const bool unknown = piped || data_bytes == SPL_WAV_GROWING_BYTES;
    const unsigned sample_bytes = format->channels * bytes_per_value(format->sample_format);
    const uint64_t samples = unknown ? UINT32_MAX : data_bytes / sample_bytes;

    uint8_t format_chunks[64], *end = put_fmt(format_chunks, format);
    if (format->sample_format == SPL_SAMPLES_FLOAT) {
        end = put_tag(end, "fact");
        end = put(end, 4, 4);
        end = put(end, SPL_MIN(samples, UINT32_MAX), 4);
    }
    const size_t format_bytes = (size_t)(end - format_chunks);

    const size_t reserve_bytes = piped ? 0 : 8 + 28;
    const uint64_t riff_bytes =
        unknown ? UINT32_MAX : 4 + reserve_bytes + format_bytes + 8 + data_bytes + (data_bytes & 1);
    const bool rf64 = !unknown && riff_bytes >= UINT32_MAX;

    uint8_t *at = ret_header;
    at = put_tag(at, rf64 ? "RF64" : "RIFF");
    at = put(at, rf64 ? UINT32_MAX : riff_bytes, 4);
    at = put_tag(at, "WAVE");
    if (reserve_bytes > 0) {
        at = put_tag(at, rf64 ? "ds64" : "JUNK");
        at = put(at, 28, 4);
        at = put(at, rf64 ? riff_bytes : 0, 8);
        at = put(at, rf64 ? data_bytes : 0, 8);
        at = put(at, rf64 ? samples : 0, 8);
        at = put(at, 0, 4);
    }
    memcpy(at, format_chunks, format_bytes);
    at = put_tag(at + format_bytes, "data");
    at = put(at, rf64 || unknown ? UINT32_MAX : data_bytes, 4);
    return (size_t)(at - ret_header);
}

/* Waits until a pipe accepts PIPE_BUF bytes without blocking; true: the work is canceled. */
static bool await_room(const spl_wav_writer *writer) {
    struct pollfd pipe = {.fd = writer->fd, .events = POLLOUT};
    do {
        if (spl_stop_requested(&writer->stop))
            return true;
    } while (poll(&pipe, 1, POLL_MS) <= 0);
    return false;
}

/* Writes all bytes. A closed pipe is reported as an error; SIGPIPE is suppressed. */
static int write_all(spl_wav_writer *writer, const void *data, size_t size, spl_error *ret_error) {
    sigset_t sigpipe, before;
    sigemptyset(&sigpipe);
    sigaddset(&sigpipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &sigpipe, &before);

    int failed = 0;
    const bool may_wait = !writer->seekable && writer->stop.requested;
    const char *bytes = data;
    while (size > 0 && !failed) {
        if (may_wait && await_room(writer)) {
            failed = ECANCELED;
            break;
        }
        ssize_t written =
            write(writer->fd, bytes, may_wait ? SPL_MIN(size, (size_t)PIPE_BUF) : size);
        if (written >= 0) {
            bytes += written;
            size -= (size_t)written;
        } else if (errno != EINTR) {
            failed = errno;
        }
    }

    if (failed == EPIPE && !sigismember(&before, SIGPIPE))
        sigtimedwait(&sigpipe, NULL, &(struct timespec){0});
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed == ECANCELED)
        return spl_fail(ret_error, SPL_E_CANCELED, "%s: canceled", writer->name);
    return failed ? spl_fail_errno(ret_error, failed, "cannot write %s", writer->name) : 0;
}

static int write_header(spl_wav_writer *writer, uint64_t data_bytes, spl_error *ret_error) {
    uint8_t header[SPL_WAV_HEADER_MAX_BYTES];
    writer->header_bytes = spl_wav_header(&writer->format, data_bytes, header);
    return write_all(writer, header, writer->header_bytes, ret_error);
}

int spl_wav_writer_open(int fd, const char *name, bool seekable, const spl_wav_format *format,
                        const spl_stop *stop, spl_wav_writer **ret_writer, spl_error *ret_error) {
    spl_wav_writer *writer = calloc(1, sizeof(*writer));
    if (!writer)
        return spl_fail_memory(ret_error);
    writer->fd = fd;
    writer->name = name;
    writer->seekable = seekable;
    writer->format = *format;
    if (stop)
        writer->stop = *stop;
    if (seekable)
        writer->start = lseek(fd, 0, SEEK_CUR);
    int status =
        write_header(writer, seekable ? SPL_WAV_GROWING_BYTES : SPL_WAV_UNKNOWN_BYTES, ret_error);
    if (status < 0) {
        free(writer);
        return status;
    }
    *ret_writer = writer;
    return 0;
}

static int flush(spl_wav_writer *writer, spl_error *ret_error) {
    size_t size = writer->buffered;
    writer->buffered = 0;
    writer->data_bytes += size;
    return write_all(writer, writer->buffer.bytes, size, ret_error);
}

static uint64_t convert_to_24(const float *samples, size_t count, uint8_t *ret_bytes) {
    uint64_t clipped = 0;
    int32_t pcm[1024];
    while (count > 0) {
        size_t part = SPL_MIN(count, SPL_ARRAY_SIZE(pcm));
        clipped += spl_pcm_to_s24(samples, part, pcm);
        for (size_t i = 0; i < part; i++) {
            ret_bytes[3 * i] = (uint8_t)pcm[i];
            ret_bytes[3 * i + 1] = (uint8_t)(pcm[i] >> 8);
            ret_bytes[3 * i + 2] = (uint8_t)(pcm[i] >> 16);
        }
        samples += part;
        ret_bytes += 3 * part;
        count -= part;
    }
    return clipped;
}

int spl_wav_writer_write(spl_wav_writer *writer, const float *samples, size_t count,
                         spl_error *ret_error) {
    const unsigned value_bytes = bytes_per_value(writer->format.sample_format);
    size_t values = count * writer->format.channels;
    while (values > 0) {
        size_t used = writer->buffered / value_bytes;
        size_t part = SPL_MIN(values, BUFFER_BYTES / value_bytes - used);
        switch (writer->format.sample_format) {
        case SPL_SAMPLES_16:
            writer->clipped += spl_pcm_to_s16(samples, part, writer->buffer.s16 + used);
            break;
        case SPL_SAMPLES_24:
            writer->clipped += convert_to_24(samples, part, writer->buffer.bytes + 3 * used);
            break;
        case SPL_SAMPLES_FLOAT:
            memcpy(writer->buffer.f32 + used, samples, part * sizeof(float));
            break;
        }
        writer->buffered += part * value_bytes;
        samples += part;
        values -= part;
        if (BUFFER_BYTES - writer->buffered < value_bytes) {
            int status = flush(writer, ret_error);
            if (status < 0)
                return status;
        }
    }
    return 0;
}

int spl_wav_writer_finish(spl_wav_writer *writer, spl_error *ret_error) {
    int status = flush(writer, ret_error);
    if (status == 0 && writer->data_bytes % 2 == 1)
        status = write_all(writer, "", 1, ret_error);
    if (status < 0 || !writer->seekable)
        return status;

    off_t end = lseek(writer->fd, 0, SEEK_CUR);
    if (lseek(writer->fd, writer->start, SEEK_SET) < 0)
        return spl_fail_errno(ret_error, errno, "cannot write %s", writer->name);
    status = write_header(writer, writer->data_bytes, ret_error);
    lseek(writer->fd, end, SEEK_SET);
    return status;
}

uint64_t spl_wav_writer_clipped(const spl_wav_writer *writer) {
    return writer->clipped;
}

uint64_t spl_wav_writer_bytes(const spl_wav_writer *writer) {
    return writer->header_bytes + writer->data_bytes + writer->buffered;
}

void spl_wav_writer_free(spl_wav_writer *writer) {
    free(writer);
}

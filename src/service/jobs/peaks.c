/* SPDX-License-Identifier: MIT
 *
 * Peaks of an output: the least and the greatest sample of each run of samples, for pictures of it. WAV is read where it is asked for, also
 * while it grows; other files are decoded by the helper from their start, once they are complete.
 */
#include "audio/audio.h"
#include "service/jobs/room.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

/* The data file of audiowaveform, version 2, with 8 bits and one channel. */
#define HEADER_BYTES 24
#define VERSION      2
#define FLAG_8_BIT   1

#define READ_BYTES ((size_t)256 << 10)

typedef struct peak_writer {
    const spl_peaks_query *query;
    uint8_t *data; /* room for the header and query->count peaks */
    uint64_t count;
    uint64_t in_peak; /* samples of the peak that is being made */
    float least, most;
} peak_writer;

static int8_t to_8_bit(float value) {
    return (int8_t)lrintf(fminf(fmaxf(value, -1), 1) * 127);
}

static void end_peak(peak_writer *writer) {
    uint8_t *at = writer->data + HEADER_BYTES + 2 * writer->count++;
    at[0] = (uint8_t)to_8_bit(writer->least);
    at[1] = (uint8_t)to_8_bit(writer->most);
    writer->in_peak = 0;
}

/* One sample of all channels. False when there are enough peaks. */
static bool take_sample(peak_writer *writer, const float *values, unsigned channels) {
    if (writer->count == writer->query->count)
        return false;
    if (writer->in_peak == 0)
        writer->least = writer->most = values[0];
    for (unsigned c = 0; c < channels; c++) {
        writer->least = fminf(writer->least, values[c]);
        writer->most = fmaxf(writer->most, values[c]);
    }
    if (++writer->in_peak == writer->query->samples_per_peak)
        end_peak(writer);
    return true;
}

static uint32_t little_endian(const uint8_t *at, size_t bytes) {
    uint32_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value |= (uint32_t)at[i] << (8 * i);
    return value;
}

static void put_32(uint8_t *at, uint64_t value) {
    for (size_t i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

/* ---- WAV ---- */

typedef struct wav_layout {
    unsigned channels, bytes_per_value, sample_rate_hz;
    uint64_t data_at;
} wav_layout;

/* Reads the header that our own writer has written (audio/wav.c). */
static int read_layout(int fd, wav_layout *ret_layout, spl_error *ret_error) {
    uint8_t header[512];
    const ssize_t got = pread(fd, header, sizeof(header), 0);
    wav_layout layout = {0};
    for (size_t at = 12; got > 0 && at + 8 <= (size_t)got;) {
        const uint32_t bytes = little_endian(header + at + 4, 4);
        if (memcmp(header + at, "fmt ", 4) == 0 && at + 24 <= (size_t)got) {
            layout.channels = little_endian(header + at + 10, 2);
            layout.sample_rate_hz = little_endian(header + at + 12, 4);
            layout.bytes_per_value = little_endian(header + at + 22, 2) / 8;
        } else if (memcmp(header + at, "data", 4) == 0) {
            layout.data_at = at + 8;
            break;
        }
        at += 8 + (size_t)bytes + (bytes & 1);
    }
    if (layout.data_at == 0 || layout.channels == 0 || layout.channels > SPL_CHANNELS_MAX ||
        layout.bytes_per_value < 2 || layout.bytes_per_value > 4)
        return spl_fail(ret_error, SPL_E_FORMAT, "the output has no WAV header yet");
    *ret_layout = layout;
    return 0;
}

static float wav_value(const uint8_t *at, unsigned bytes) {
    if (bytes == 4) {
        float value;
        memcpy(&value, at, sizeof(value));
        return value;
    }
    return (float)(int32_t)(little_endian(at, bytes) << (32 - 8 * bytes)) * 0x1p-31f;
}

static int read_wav(const spl_blob *blob, peak_writer *writer, unsigned *ret_rate_hz,
                    spl_error *ret_error) {
    wav_layout layout = {0};
    int status = read_layout(blob->fd, &layout, ret_error);
    if (status < 0)
        return blob->complete ? status : 0; /* nothing yet */
    *ret_rate_hz = layout.sample_rate_hz;
    const unsigned frame_bytes = layout.channels * layout.bytes_per_value;
    const spl_peaks_query *query = writer->query;
    SPL_CLEANUP(spl_free_p) uint8_t *buffer = malloc(READ_BYTES);
    if (!buffer)
        return spl_fail_memory(ret_error);
    /* An odd size has a byte of padding behind it, which is no whole sample. */
    uint64_t at = layout.data_at + query->first * query->samples_per_peak * frame_bytes;
    bool more = true;
    while (more && at + frame_bytes <= blob->bytes) {
        const size_t whole = READ_BYTES / frame_bytes * frame_bytes;
        const ssize_t got =
            pread(blob->fd, buffer, (size_t)SPL_MIN(whole, blob->bytes - at), (off_t)at);
        if (got < 0)
            return spl_fail_errno(ret_error, errno, "cannot read an output");
        const size_t frames = (size_t)got / frame_bytes;
        if (frames == 0)
            break;
        for (size_t i = 0; more && i < frames; i++) {
            float values[SPL_CHANNELS_MAX];
            for (unsigned c = 0; c < layout.channels; c++)
                values[c] = wav_value(buffer + i * frame_bytes + c * layout.bytes_per_value,
                                      layout.bytes_per_value);
            more = take_sample(writer, values, layout.channels);
        }
        at += frames * frame_bytes;
    }
    return 0;
}

/* ---- All else ---- */

static int decode(spl_jobs *jobs, const spl_blob *blob, peak_writer *writer, unsigned *ret_rate_hz,
                  spl_error *ret_error) {
    const spl_decode_options options = {.channels = SPL_CHANNELS_STEREO_DOWNMIX,
                                        .limit_s = jobs->settings->max_duration_s + 1};
    const uint64_t skipped = writer->query->first * writer->query->samples_per_peak;
    spl_decoder *decoder;
    float samples[2 * 2048];
    size_t count = 0;
    uint64_t seen = 0;
    bool more = true;
    int status = spl_decoder_open(blob->fd, "the output", &options, &decoder, ret_error);
    if (status < 0)
        return status;
    *ret_rate_hz = 44100;
    do {
        status = spl_decoder_read(decoder, samples, SPL_ARRAY_SIZE(samples) / 2, &count, ret_error);
        for (size_t i = 0; status == 0 && more && i < count; i++, seen++) {
            if (seen >= skipped)
                more = take_sample(writer, samples + 2 * i, 2);
        }
    } while (status == 0 && more && count > 0);
    spl_decoder_free(decoder);
    return status;
}

int spl_jobs_peaks(spl_jobs *jobs, const spl_job_file *file, const spl_peaks_query *query,
                   uint8_t **ret_data, size_t *ret_size, spl_problem *ret_problem) {
    const bool wav = strcmp(file->media_type, "audio/wav") == 0;
    if (!wav && !file->blob.complete) {
        const int refused =
            spl_refuse(ret_problem, SPL_PROBLEM_CONFLICT,
                       "only a WAV file has peaks while it grows; ask again when the job is done");
        ret_problem->retry_after_s = 2;
        return refused;
    }
    /* A file that is smaller than what is asked for needs no more room than it has peaks. */
    peak_writer writer = {.query = query,
                          .data = calloc(1, HEADER_BYTES + 2 * (size_t)query->count)};
    spl_error error;
    unsigned rate_hz = 0;
    int status = writer.data ? 0 : spl_fail_memory(&error);
    if (status == 0 && wav) {
        status = read_wav(&file->blob, &writer, &rate_hz, &error);
    } else if (status == 0) {
        spl_jobs_take_turn(jobs);
        status = decode(jobs, &file->blob, &writer, &rate_hz, &error);
        spl_jobs_end_turn(jobs);
    }
    if (status < 0) {
        free(writer.data);
        return spl_jobs_refuse_failure(ret_problem, "peaks.failed", &error);
    }
    if (writer.in_peak > 0 && file->blob.complete)
        end_peak(&writer);
    put_32(writer.data, VERSION);
    put_32(writer.data + 4, FLAG_8_BIT);
    put_32(writer.data + 8, rate_hz);
    put_32(writer.data + 12, query->samples_per_peak);
    put_32(writer.data + 16, writer.count);
    put_32(writer.data + 20, 1);
    *ret_data = writer.data;
    *ret_size = HEADER_BYTES + 2 * (size_t)writer.count;
    return 0;
}

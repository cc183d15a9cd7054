/* SPDX-License-Identifier: MIT
 *
 * Peaks of an output: the minimum and maximum sample of each run of samples, for drawing its
 * waveform. WAV files are read at the requested position, even while they grow. Other files are
 * decoded by the helper from their start once they are complete, and their peaks are cached for
 * requests of other ranges of the file.
 */
#include "app/audio/audio.h"
#include "base/clock.h"
#include "service/jobs/state.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

/* The data file of audiowaveform, version 2, with 8 bits and one channel. */
#define HEADER_BYTES 24
#define VERSION      2
#define FLAG_8_BIT   1

/* Resolution of cached peaks: the finest that the web page shows, and coarser for songs of over
 * three hours. */
#define KEPT_SAMPLES_PER_PEAK 64
#define KEPT_PEAKS_MAX        ((size_t)8 << 20)

/* Limits for one response. */
#define TURN_WAIT_MS  30000
#define TIME_MAX_S    120
#define RETRY_AFTER_S 10

#define READ_BYTES ((size_t)256 << 10)

typedef struct peak_writer {
    uint64_t samples_per_peak;
    size_t limit;   /* maximum number of peaks */
    bool coarsens;  /* at the limit, merge pairs of peaks; otherwise stop */
    uint8_t *peaks; /* minimum and maximum of each */
    size_t count, room;
    uint64_t in_peak; /* samples in the current peak */
    float least, most;
    bool out_of_memory;
} peak_writer;

static int8_t to_8_bit(float value) {
    return (int8_t)lrintf(fminf(fmaxf(value, -1), 1) * 127);
}

/* The minimum and maximum of `count` peaks. `ret_peak` may point to one of them. */
static void join(const uint8_t *peaks, size_t count, uint8_t ret_peak[2]) {
    int8_t least = (int8_t)peaks[0], most = (int8_t)peaks[1];
    for (size_t i = 1; i < count; i++) {
        least = SPL_MIN(least, (int8_t)peaks[2 * i]);
        most = SPL_MAX(most, (int8_t)peaks[2 * i + 1]);
    }
    ret_peak[0] = (uint8_t)least;
    ret_peak[1] = (uint8_t)most;
}

static void join_pairs(peak_writer *writer) {
    for (size_t i = 0; i < writer->count / 2; i++)
        join(writer->peaks + 4 * i, 2, writer->peaks + 2 * i);
    writer->count /= 2;
    writer->samples_per_peak *= 2;
}

static void end_peak(peak_writer *writer) {
    if (writer->count == writer->room) {
        const size_t room = SPL_MIN(SPL_MAX(2 * writer->room, (size_t)1024), writer->limit);
        uint8_t *longer = realloc(writer->peaks, 2 * room);
        writer->out_of_memory = !longer;
        if (!longer)
            return;
        writer->peaks = longer;
        writer->room = room;
    }
    uint8_t *at = writer->peaks + 2 * writer->count++;
    at[0] = (uint8_t)to_8_bit(writer->least);
    at[1] = (uint8_t)to_8_bit(writer->most);
    writer->in_peak = 0;
    if (writer->coarsens && writer->count == writer->limit)
        join_pairs(writer);
}

/* Adds one sample of all channels. Returns false when there are enough peaks. */
static bool take_sample(peak_writer *writer, const float *values, unsigned channels) {
    if (writer->count == writer->limit || writer->out_of_memory)
        return false;
    if (writer->in_peak == 0)
        writer->least = writer->most = values[0];
    for (unsigned c = 0; c < channels; c++) {
        writer->least = fminf(writer->least, values[c]);
        writer->most = fmaxf(writer->most, values[c]);
    }
    if (++writer->in_peak == writer->samples_per_peak)
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

/* Parses a header written by our own writer (audio/wav.c). */
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

/* One request for peaks, and its deadline. */
typedef struct peaks_work {
    spl_jobs *jobs;
    const spl_jobs_client *client;
    const spl_job_file *file;
    const spl_peaks_query *query;
    double deadline_s;
    int (*unwanted)(void *user); /* non-zero: no client waits any more */
    void *unwanted_user;
} peaks_work;

/* spl_peaks_maker.canceled */
static int is_unwanted(void *user) {
    const peaks_work *work = user;
    return work->unwanted && work->unwanted(work->unwanted_user);
}

/* spl_stop.requested */
static bool stop_requested(void *user) {
    const peaks_work *work = user;
    return spl_now_s() > work->deadline_s || is_unwanted(user);
}

static int check_wanted(const peaks_work *work, spl_error *ret_error) {
    return stop_requested((void *)(uintptr_t)work)
               ? spl_fail(ret_error, SPL_E_CANCELED, "the peaks are late, or nobody waits for them")
               : 0;
}

static int read_wav(const peaks_work *work, peak_writer *writer, unsigned *ret_rate_hz,
                    spl_error *ret_error) {
    const spl_blob *blob = &work->file->blob;
    wav_layout layout = {0};
    int status = read_layout(blob->fd, &layout, ret_error);
    if (status < 0)
        return blob->complete ? status : 0; /* no header yet: no peaks */
    *ret_rate_hz = layout.sample_rate_hz;
    const unsigned frame_bytes = layout.channels * layout.bytes_per_value;
    const spl_peaks_query *query = work->query;
    SPL_CLEANUP(spl_free_p) uint8_t *buffer = malloc(READ_BYTES);
    if (!buffer)
        return spl_fail_memory(ret_error);
    /* A padding byte after an odd data size is too short for a whole sample. */
    uint64_t at = layout.data_at + query->first * query->samples_per_peak * frame_bytes;
    bool more = true;
    while (more && at + frame_bytes <= blob->bytes) {
        status = check_wanted(work, ret_error);
        if (status < 0)
            return status;
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

/* ---- Other formats ---- */

static int decode(const peaks_work *work, uint64_t skipped, peak_writer *writer,
                  spl_error *ret_error) {
    const spl_decode_options options = {.channels = SPL_CHANNELS_STEREO_DOWNMIX,
                                        .limit_s = work->jobs->settings->max_duration_s + 1,
                                        .stop = {stop_requested, (void *)(uintptr_t)work}};
    spl_decoder *decoder;
    float samples[2 * 2048];
    size_t count = 0;
    uint64_t seen = 0;
    bool more = true;
    int status = spl_decoder_open(work->file->blob.fd, "the output", &options, &decoder, ret_error);
    if (status < 0)
        return status;
    do {
        status = check_wanted(work, ret_error);
        if (status == 0)
            status =
                spl_decoder_read(decoder, samples, SPL_ARRAY_SIZE(samples) / 2, &count, ret_error);
        for (size_t i = 0; status == 0 && more && i < count; i++, seen++) {
            if (seen >= skipped)
                more = take_sample(writer, samples + 2 * i, 2);
        }
    } while (status == 0 && more && count > 0);
    spl_decoder_free(decoder);
    return status;
}

/* ---- Turns ---- */

static int fail(const peaks_work *work, const spl_error *error, spl_problem *ret_problem) {
    if (error->status != SPL_E_CANCELED)
        return spl_jobs_refuse_failure(ret_problem, "peaks.failed", error);
    if (spl_now_s() <= work->deadline_s)
        return spl_refuse_disconnected(ret_problem);
    const int refused = spl_refuse(ret_problem, SPL_PROBLEM_UNAVAILABLE,
                                   "the peaks could not be computed in time; try again later");
    ret_problem->retry_after_s = RETRY_AFTER_S;
    return refused;
}

static void end_writer(peak_writer *writer, bool complete) {
    if (writer->in_peak > 0 && complete && !writer->out_of_memory)
        end_peak(writer);
}

/* Waits for a turn, fills the writer and moves its peaks to *ret_peaks. */
static int read_in_turn(const peaks_work *work, uint64_t skipped, peak_writer *writer,
                        spl_peaks *ret_peaks, spl_problem *ret_problem) {
    const bool wav = strcmp(work->file->media_type, "audio/wav") == 0;
    const spl_turn_wait wait = {work->client->key, TURN_WAIT_MS, work->unwanted,
                                work->unwanted_user};
    const spl_turn_kind kind = wav ? SPL_TURN_READ : SPL_TURN_DECODE;
    unsigned slot, rate_hz = wav ? 0 : 44100;
    int status = spl_jobs_take_turn(work->jobs, kind, &wait, &slot, ret_problem);
    if (status < 0)
        return status;
    spl_error error;
    peaks_work timed = *work;
    timed.deadline_s = spl_now_s() + TIME_MAX_S;
    status =
        wav ? read_wav(&timed, writer, &rate_hz, &error) : decode(&timed, skipped, writer, &error);
    spl_jobs_end_turn(work->jobs, kind, slot);
    if (status == 0)
        end_writer(writer, work->file->blob.complete);
    if (status == 0 && writer->out_of_memory)
        status = spl_fail_memory(&error);
    if (status < 0) {
        free(writer->peaks);
        return fail(&timed, &error, ret_problem);
    }
    *ret_peaks = (spl_peaks){writer->samples_per_peak, writer->count, writer->peaks, rate_hz};
    return 0;
}

/* spl_peaks_maker.make: computes the peaks of the whole file. */
static int make_kept(void *user, spl_peaks_entry *entry, spl_peaks *ret_peaks,
                     spl_problem *ret_problem) {
    peaks_work work = *(const peaks_work *)user;
    work.unwanted = spl_peaks_unwanted;
    work.unwanted_user = entry;
    peak_writer writer = {
        .samples_per_peak = KEPT_SAMPLES_PER_PEAK, .limit = KEPT_PEAKS_MAX, .coarsens = true};
    return read_in_turn(&work, 0, &writer, ret_peaks, ret_problem);
}

/* Cuts the requested range out of finer peaks of the whole file. */
static int cut(const spl_peaks *whole, const spl_peaks_query *query, spl_peaks *ret_peaks,
               spl_problem *ret_problem) {
    const size_t joined = (size_t)(query->samples_per_peak / whole->samples_per_peak);
    const size_t all = (whole->count + joined - 1) / joined;
    const size_t first = SPL_MIN(query->first, all), count = SPL_MIN(query->count, all - first);
    uint8_t *data = malloc(SPL_MAX(2 * count, (size_t)1));
    if (!data)
        return spl_refuse_memory(ret_problem);
    for (size_t i = 0; i < count; i++) {
        const size_t at = (first + i) * joined;
        join(whole->data + 2 * at, SPL_MIN(joined, whole->count - at), data + 2 * i);
    }
    *ret_peaks = (spl_peaks){query->samples_per_peak, count, data, whole->rate_hz};
    return 0;
}

/* Reads or decodes the requested range, without the cache. */
static int read_part(const peaks_work *work, spl_peaks *ret_peaks, spl_problem *ret_problem) {
    const spl_peaks_query *query = work->query;
    peak_writer writer = {.samples_per_peak = query->samples_per_peak,
                          .limit = (size_t)query->count};
    return read_in_turn(work, query->first * query->samples_per_peak, &writer, ret_peaks,
                        ret_problem);
}

static int decode_part(const peaks_work *work, spl_peaks *ret_peaks, spl_problem *ret_problem) {
    spl_peaks_cache *cache = &work->jobs->peaks;
    const spl_peaks_maker maker = {make_kept, is_unwanted, (void *)(uintptr_t)work};
    spl_peaks_entry *entry;
    if (!work->file->sha256[0] || work->query->samples_per_peak % KEPT_SAMPLES_PER_PEAK != 0)
        return read_part(work, ret_peaks, ret_problem);
    int status = spl_peaks_cache_take(cache, work->file->sha256, &maker, &entry, ret_problem);
    if (status < 0)
        return status;
    const spl_peaks *whole = spl_peaks_cache_get(entry);
    const bool fine = work->query->samples_per_peak % whole->samples_per_peak == 0;
    if (fine)
        status = cut(whole, work->query, ret_peaks, ret_problem);
    spl_peaks_cache_release(cache, entry);
    return fine ? status : read_part(work, ret_peaks, ret_problem);
}

/* ---- The response ---- */

/* Takes ownership of `peaks->data`. */
static int write_answer(const spl_peaks *peaks, uint8_t **ret_data, size_t *ret_size,
                        spl_problem *ret_problem) {
    const size_t bytes = 2 * peaks->count;
    SPL_CLEANUP(spl_free_p) uint8_t *data = peaks->data;
    uint8_t *answer = malloc(HEADER_BYTES + bytes);
    if (!answer)
        return spl_refuse_memory(ret_problem);
    put_32(answer, VERSION);
    put_32(answer + 4, FLAG_8_BIT);
    put_32(answer + 8, peaks->rate_hz);
    put_32(answer + 12, peaks->samples_per_peak);
    put_32(answer + 16, peaks->count);
    put_32(answer + 20, 1);
    if (bytes > 0)
        memcpy(answer + HEADER_BYTES, data, bytes);
    *ret_data = answer;
    *ret_size = HEADER_BYTES + bytes;
    return 0;
}

int spl_jobs_peaks(spl_jobs *jobs, const spl_jobs_client *client, const spl_job_file *file,
                   const spl_peaks_query *query, uint8_t **ret_data, size_t *ret_size,
                   spl_problem *ret_problem) {
    const bool wav = strcmp(file->media_type, "audio/wav") == 0;
    if (!wav && !file->blob.complete)
        return spl_refuse_yet(
            ret_problem,
            "only a WAV file has peaks while it grows; ask again when the job is done");
    const peaks_work work = {.jobs = jobs,
                             .client = client,
                             .file = file,
                             .query = query,
                             .unwanted = client->canceled,
                             .unwanted_user = client->user};
    spl_peaks peaks = {0};
    int status =
        wav ? read_part(&work, &peaks, ret_problem) : decode_part(&work, &peaks, ret_problem);
    return status < 0 ? status : write_answer(&peaks, ret_data, ret_size, ret_problem);
}

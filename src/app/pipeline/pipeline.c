/* SPDX-License-Identifier: MIT
 *
 * Runs one song. A decoder feeds spl_separate one channel pair at a time (lanes.h). The stems are
 * mixed for each output and passed to its encoder, or, if there are several channel pairs, written
 * to a spool until all pairs are done.
 *
 * Files get their final names at the end, after all of them are flushed to the disk.
 */
#include "app/pipeline/pipeline.h"

#include "app/pipeline/lanes.h"
#include "app/pipeline/residual.h"
#include "app/pipeline/spool.h"
#include "base/clock.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Samples per channel that are selected, mixed or interleaved at a time. */
#define CHUNK_SAMPLES 16384

typedef struct output_state {
    spl_output request;
    spl_output_file file;
    spl_encoder *encoder;
    int *spools; /* one per channel pair if there are several; NULL otherwise */
    float peak;
} output_state;

typedef struct song_run {
    int fd;
    const char *name;
    const spl_pipeline_options *options;
    spl_decode_options decode;
    spl_decoder *decoder;
    spl_audio_info input;

    spl_lane lanes[SPL_CHANNELS_MAX];
    size_t lane_count, lane;
    bool last_pass; /* over the current channel pair: the pass that produces the stems */

    output_state *outputs;
    size_t output_count;
    unsigned stem_count;
    bool measure; /* measure the residual: every stem has an output of its own */
    spl_residual residual;
    uint64_t samples; /* written for the current channel pair */

    float *wide;  /* CHUNK_SAMPLES of all the file's channels */
    float *mixed; /* CHUNK_SAMPLES of stereo */

    spl_pipeline_stage stage; /* of the failure in `error` */
    spl_error error;
    bool callback_failed;
} song_run;

static void run_free(song_run *run) {
    for (size_t i = 0; i < run->output_count; i++) {
        output_state *output = &run->outputs[i];
        spl_encoder_free(output->encoder);
        spl_output_file_discard(&output->file);
        for (size_t lane = 0; output->spools && lane < run->lane_count; lane++)
            spl_close_p(&output->spools[lane]);
        free(output->spools);
    }
    free(run->outputs);
    free(run->wide);
    free(run->mixed);
    spl_residual_free(&run->residual);
    spl_decoder_free(run->decoder);
}

static int check_arguments(song_run *run, const spl_output *outputs, size_t output_count) {
    const spl_pipeline_options *options = run->options;
    if (!options->model || output_count < 1 || output_count > SPL_OUTPUTS_MAX)
        return spl_fail(&run->error, SPL_E_ARGUMENT, "there must be a model and 1 to %d outputs",
                        SPL_OUTPUTS_MAX);
    run->stem_count = spl_model_get_info(options->model)->stem_count;
    uint64_t all = (UINT64_C(1) << run->stem_count) - 1;
    for (size_t i = 0; i < output_count; i++) {
        if (outputs[i].stems == 0 || (outputs[i].stems & ~all) != 0)
            return spl_fail(&run->error, SPL_E_ARGUMENT, "%s names no stem of the model",
                            outputs[i].name);
    }
    return 0;
}

/* Opens the decoder, or reopens it to start from the first sample. */
static int open_decoder(song_run *run) {
    spl_decoder_free(SPL_STEAL(run->decoder));
    return spl_decoder_open(run->fd, run->name, &run->decode, &run->decoder, &run->error);
}

/* The number of samples to decode, according to the header; 0: unknown. */
static uint64_t expected_samples(const song_run *run) {
    if (run->input.duration_us == 0)
        return 0;
    double seconds = 1e-6 * (double)run->input.duration_us - run->options->offset_s;
    if (run->options->duration_s > 0)
        seconds = fmin(seconds, run->options->duration_s);
    return (uint64_t)(fmax(seconds, 0) * SPL_SAMPLE_RATE_HZ);
}

static int open_input(song_run *run) {
    int status = run->decoder ? 0 : open_decoder(run);
    if (status < 0)
        return status;
    run->input = *spl_decoder_info(run->decoder);
    run->lane_count = 1;
    run->lanes[0] = (spl_lane){.left = 0, .right = 1};
    unsigned channels = spl_decoder_channels(run->decoder);
    if (run->options->keep_format)
        run->lane_count = spl_lanes_of(channels, run->input.channel_mask, run->lanes);
    run->wide = calloc((size_t)CHUNK_SAMPLES * channels, sizeof(float));
    run->mixed = calloc((size_t)CHUNK_SAMPLES * 2, sizeof(float));
    if (!run->wide || !run->mixed)
        return spl_fail_memory(&run->error);
    return 0;
}

/* The folder of `path`, or the one for temporary files without a path. */
static char *folder_for_spool(const spl_pipeline_options *options, const char *path) {
    const char *temporary = options->spool_folder ? options->spool_folder : getenv("TMPDIR");
    if (!path)
        return strdup(temporary && *temporary ? temporary : "/tmp");
    const char *slash = strrchr(path, '/');
    if (!slash)
        return strdup(".");
    return strndup(path, (size_t)SPL_MAX(slash - path, 1));
}

static int open_spools(song_run *run, output_state *output) {
    SPL_CLEANUP(spl_free_p) char *folder = folder_for_spool(run->options, output->request.path);
    output->spools = calloc(run->lane_count, sizeof(int));
    if (!folder || !output->spools)
        return spl_fail_memory(&run->error);
    for (size_t lane = 0; lane < run->lane_count; lane++)
        output->spools[lane] = -1;
    for (size_t lane = 0; lane < run->lane_count; lane++) {
        int status = spl_spool_open(folder, &output->spools[lane], &run->error);
        if (status < 0)
            return status;
    }
    return 0;
}

static int open_output(song_run *run, output_state *output) {
    const spl_output *request = &output->request;
    int fd = request->fd;
    if (request->path) {
        struct stat existing;
        if (stat(request->path, &existing) == 0 && !S_ISREG(existing.st_mode))
            return spl_fail(&run->error, SPL_E_ARGUMENT,
                            "cannot write %s: it exists and is not a regular file", request->path);
        int status = spl_output_file_open(request->path, &output->file, &run->error);
        if (status < 0)
            return status;
        fd = output->file.fd;
    }
    const spl_pipeline_options *options = run->options;
    spl_encode_options encode = {
        .codec = options->codec,
        .sample_format = options->sample_format,
        .bitrate_bps = options->bitrate_bps,
        .channels = options->keep_format ? spl_decoder_channels(run->decoder) : 2,
        .channel_mask = options->keep_format ? run->input.channel_mask : 0,
        .sample_rate_hz = options->keep_format ? run->input.sample_rate_hz : SPL_SAMPLE_RATE_HZ,
        .stop = options->stop,
    };
    int status = spl_encoder_open(fd, request->path ? request->path : request->name, &encode,
                                  &output->encoder, &run->error);
    if (status == 0 && run->lane_count > 1)
        status = open_spools(run, output);
    return status;
}

static int open_outputs(song_run *run, const spl_output *outputs, size_t output_count) {
    run->outputs = calloc(output_count, sizeof(*run->outputs));
    if (!run->outputs)
        return spl_fail_memory(&run->error);
    uint64_t single = 0;
    for (size_t i = 0; i < output_count; i++) {
        output_state *output = &run->outputs[run->output_count++];
        *output = (output_state){.request = outputs[i], .file = SPL_OUTPUT_FILE_INIT};
        int status = open_output(run, output);
        if (status < 0)
            return status;
        if (__builtin_popcountll(outputs[i].stems) == 1)
            single |= outputs[i].stems;
    }
    run->measure = single == (UINT64_C(1) << run->stem_count) - 1;
    return 0;
}

static int fail_callback(song_run *run, spl_pipeline_stage stage, int status) {
    run->stage = stage;
    run->callback_failed = true;
    return status;
}

/* spl_source.read: the next samples of the current channel pair. */
static int read_lane(void *user, float *samples, size_t capacity, size_t *ret_count) {
    song_run *run = user;
    unsigned channels = spl_decoder_channels(run->decoder);
    spl_lane lane = run->lanes[run->lane];
    size_t count = 0;
    int status;
    if (channels == 2) {
        status = spl_decoder_read(run->decoder, samples, capacity, &count, &run->error);
    } else {
        status = spl_decoder_read(run->decoder, run->wide, SPL_MIN(capacity, CHUNK_SAMPLES), &count,
                                  &run->error);
        for (size_t i = 0; status == 0 && i < count; i++) {
            samples[2 * i] = run->wide[i * channels + lane.left];
            samples[2 * i + 1] = run->wide[i * channels + lane.right];
        }
    }
    if (status < 0)
        return fail_callback(run, SPL_STAGE_INPUT, status);
    if (run->measure && run->last_pass) {
        status = spl_residual_push(&run->residual, samples, count, &run->error);
        if (status < 0)
            return fail_callback(run, SPL_STAGE_SEPARATE, status);
    }
    *ret_count = count;
    return 0;
}

/* spl_source.rewind: starts the second pass of the Wiener filter. */
static int rewind_lane(void *user) {
    song_run *run = user;
    int status = open_decoder(run);
    if (status < 0)
        return fail_callback(run, SPL_STAGE_INPUT, status);
    run->last_pass = true;
    return 0;
}

/* Adds up the stems in `members`. If `width` is 1, `mixed` is the mean of left and right. */
static void mix(const float *const *stems, uint64_t members, size_t begin, size_t count,
                unsigned width, float *mixed) {
    memset(mixed, 0, count * 2 * sizeof(float));
    for (; members; members &= members - 1) {
        const float *stem = stems[__builtin_ctzll(members)] + 2 * begin;
        for (size_t i = 0; i < 2 * count; i++)
            mixed[i] += stem[i];
    }
    for (size_t i = 0; width == 1 && i < count; i++)
        mixed[i] = 0.5f * (mixed[2 * i] + mixed[2 * i + 1]);
}

/* The maximum of `peak` and the magnitudes of the samples. The bit patterns of non-negative floats
 * order as integers do, with infinity and NaN above all numbers. */
static float peak_of(const float *samples, size_t count, float peak) {
    int32_t largest;
    memcpy(&largest, &peak, sizeof(largest));
    for (size_t i = 0; i < count; i++) {
        int32_t bits;
        memcpy(&bits, &samples[i], sizeof(bits));
        bits &= INT32_MAX;
        largest = bits > largest ? bits : largest;
    }
    memcpy(&peak, &largest, sizeof(peak));
    return peak;
}

/* Starts flushing the written data, so that the final fsync has little left to write. Errors are
 * ignored here, because the fsync reports them. */
static void start_flushing(const song_run *run) {
    for (size_t i = 0; i < run->output_count; i++)
        if (run->outputs[i].request.path)
            sync_file_range(run->outputs[i].file.fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

/* spl_sink.write: the next samples of all stems of the current channel pair. */
static int write_lane(void *user, const float *const *stems, size_t count) {
    song_run *run = user;
    unsigned width = spl_lane_width(&run->lanes[run->lane]);
    for (size_t begin = 0; begin < count; begin += CHUNK_SAMPLES) {
        size_t chunk = SPL_MIN(count - begin, (size_t)CHUNK_SAMPLES);
        for (size_t i = 0; i < run->output_count; i++) {
            output_state *output = &run->outputs[i];
            const uint64_t members = output->request.stems;
            const float *samples = run->mixed;
            if (__builtin_popcountll(members) == 1 && width == 2)
                samples = stems[__builtin_ctzll(members)] + 2 * begin;
            else
                mix(stems, members, begin, chunk, width, run->mixed);
            output->peak = peak_of(samples, chunk * width, output->peak);
            if (!isfinite(output->peak))
                return fail_callback(run, SPL_STAGE_SEPARATE,
                                     spl_fail(&run->error, SPL_E_SAMPLE,
                                              "%s: the sum %s is not finite", run->name,
                                              output->request.name));
            int status =
                output->spools
                    ? spl_write_all(output->spools[run->lane], samples,
                                    chunk * width * sizeof(float), "a temporary file", &run->error)
                    : spl_encoder_write(output->encoder, samples, chunk, &run->error);
            if (status < 0)
                return fail_callback(run, SPL_STAGE_OUTPUT, status);
        }
        if (run->measure)
            spl_residual_compare(&run->residual, stems, begin, chunk, run->stem_count);
    }
    start_flushing(run);
    run->samples += count;
    return 0;
}

/* spl_separate_options.progress: counts the passes over all channel pairs. */
static int report_progress(void *user, const spl_progress *progress) {
    const song_run *run = user;
    if (spl_stop_asked(&run->options->stop))
        return 1;
    if (!run->options->progress)
        return 0;
    spl_progress overall = *progress;
    overall.pass += (unsigned)run->lane * progress->passes;
    overall.passes *= (unsigned)run->lane_count;
    return run->options->progress(run->options->progress_user, &overall);
}

static int separate_lane(song_run *run) {
    run->samples = 0;
    run->last_pass = !run->options->wiener;
    spl_residual_clear(&run->residual);

    spl_separate_options separate;
    spl_separate_options_init(&separate);
    separate.bandwidth = run->options->bandwidth;
    separate.wiener = run->options->wiener;
    separate.threads = run->options->threads;
    separate.timings = run->options->timings;
    for (size_t i = 0; i < run->output_count; i++)
        separate.stems |= run->outputs[i].request.stems;
    separate.progress = report_progress;
    separate.progress_user = run;
    spl_source source = {.user = run,
                         .read = read_lane,
                         .rewind = rewind_lane,
                         .total_samples = expected_samples(run)};
    spl_sink sink = {.user = run, .write = write_lane};

    spl_error error = {0};
    int status = spl_separate(run->options->model, &separate, &source, &sink, &error);
    if (status < 0 && !run->callback_failed) {
        run->stage = status == SPL_E_FORMAT ? SPL_STAGE_INPUT : SPL_STAGE_SEPARATE;
        return spl_fail(&run->error, status, "%s: %s", run->name, error.message);
    }
    if (status == 0 && run->samples == 0) {
        run->stage = SPL_STAGE_INPUT;
        if (run->options->offset_s > 0)
            return spl_fail(&run->error, SPL_E_FORMAT,
                            "%s: nothing to separate: it ends before the offset of %g s", run->name,
                            run->options->offset_s);
        return spl_fail(&run->error, SPL_E_FORMAT, "%s: there are no audio samples in it",
                        run->name);
    }
    return status;
}

static int separate_lanes(song_run *run) {
    if (run->options->progress) {
        unsigned passes = (run->options->wiener ? 2 : 1) * (unsigned)run->lane_count;
        spl_progress start = {.samples_total = expected_samples(run), .pass = 1, .passes = passes};
        if (run->options->progress(run->options->progress_user, &start) != 0) {
            run->stage = SPL_STAGE_SEPARATE;
            return spl_fail(&run->error, SPL_E_CANCELED, "%s: canceled", run->name);
        }
    }
    for (run->lane = 0; run->lane < run->lane_count; run->lane++) {
        if (run->lane > 0) {
            run->stage = SPL_STAGE_INPUT;
            int status = open_decoder(run);
            if (status < 0)
                return status;
        }
        int status = separate_lane(run);
        if (status < 0)
            return status;
    }
    return 0;
}

static int read_spool(int fd, float *samples, size_t count, uint64_t offset, spl_error *ret_error) {
    char *bytes = (char *)samples;
    size_t size = count * sizeof(float);
    off_t position = (off_t)(offset * sizeof(float));
    while (size > 0) {
        ssize_t got = pread(fd, bytes, size, position);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return spl_fail_errno(ret_error, got < 0 ? errno : EIO, "cannot read a temporary file");
        bytes += got;
        size -= (size_t)got;
        position += got;
    }
    return 0;
}

/* Interleaves the spooled channel pairs of one output and encodes them. */
static int encode_spools(song_run *run, output_state *output) {
    unsigned channels = spl_decoder_channels(run->decoder);
    for (uint64_t begin = 0; begin < run->samples; begin += CHUNK_SAMPLES) {
        if (spl_stop_asked(&run->options->stop))
            return spl_fail(&run->error, SPL_E_CANCELED, "%s: canceled", run->name);
        size_t count = (size_t)SPL_MIN(run->samples - begin, (uint64_t)CHUNK_SAMPLES);
        for (size_t lane = 0; lane < run->lane_count; lane++) {
            unsigned width = spl_lane_width(&run->lanes[lane]);
            unsigned channel[2] = {run->lanes[lane].left, run->lanes[lane].right};
            int status = read_spool(output->spools[lane], run->mixed, count * width, begin * width,
                                    &run->error);
            if (status < 0)
                return status;
            for (size_t i = 0; i < count * width; i++)
                run->wide[i / width * channels + channel[i % width]] = run->mixed[i];
        }
        int status = spl_encoder_write(output->encoder, run->wide, count, &run->error);
        if (status < 0)
            return status;
    }
    return 0;
}

/* The length of the separated part at the input's sample rate. Resampling to 44,100 Hz and back is
 * exact only to a few samples, so the header's length is used if it agrees within that. */
static uint64_t input_length(const song_run *run) {
    double rate_hz = run->input.sample_rate_hz;
    double decoded = (double)run->samples * rate_hz / SPL_SAMPLE_RATE_HZ;
    double stated = 1e-6 * (double)run->input.duration_us * rate_hz;
    bool whole = run->options->offset_s <= 0 && run->options->duration_s <= 0;
    bool agrees = fabs(stated - decoded) < 2 + 2 * rate_hz / SPL_SAMPLE_RATE_HZ;
    return (uint64_t)llround(whole && agrees ? stated : decoded);
}

static int finish_outputs(song_run *run) {
    for (size_t i = 0; i < run->output_count; i++) {
        output_state *output = &run->outputs[i];
        if (run->options->keep_format)
            spl_encoder_set_length(output->encoder, input_length(run));
        int status = output->spools ? encode_spools(run, output) : 0;
        if (status == 0)
            status = spl_encoder_finish(output->encoder, &run->error);
        if (status < 0)
            return status;
    }
    spl_output_file *files[SPL_OUTPUTS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < run->output_count; i++) {
        if (run->outputs[i].request.path)
            files[count++] = &run->outputs[i].file;
    }
    return spl_output_files_commit(files, count, &run->error);
}

static int run_stages(song_run *run, const spl_output *outputs, size_t output_count) {
    run->stage = SPL_STAGE_SEPARATE;
    int status = check_arguments(run, outputs, output_count);
    if (status < 0)
        return status;
    run->stage = SPL_STAGE_INPUT;
    if ((status = open_input(run)) < 0)
        return status;
    run->stage = SPL_STAGE_OUTPUT;
    if ((status = open_outputs(run, outputs, output_count)) < 0)
        return status;
    if ((status = separate_lanes(run)) < 0)
        return status;
    run->stage = SPL_STAGE_OUTPUT;
    return finish_outputs(run);
}

static void fill_result(const song_run *run, double started_s, spl_pipeline_result *ret_result) {
    spl_pipeline_result result = {
        .input = run->input,
        .samples = run->samples,
        .residual_db = run->measure ? spl_residual_db(&run->residual) : (double)NAN,
    };
    for (size_t i = 0; i < run->output_count; i++) {
        result.clipped[i] = spl_encoder_clipped(run->outputs[i].encoder);
        result.peak_dbfs[i] = 20 * log10(run->outputs[i].peak);
    }
    snprintf(result.warning, sizeof(result.warning), "%s", spl_decoder_warning(run->decoder));
    result.seconds = spl_now_s() - started_s;
    *ret_result = result;
}

static spl_decode_options decode_options(const spl_pipeline_options *options) {
    return (spl_decode_options){
        .channels = options->keep_format ? SPL_CHANNELS_ALL : options->channels,
        .offset_s = options->offset_s,
        .duration_s = options->duration_s,
        .limit_s = options->limit_s,
        .stop = options->stop,
    };
}

int spl_pipeline_start_input(int fd, const char *name, const spl_pipeline_options *options,
                             spl_decoder **ret_decoder, spl_error *ret_error) {
    const spl_decode_options decode = decode_options(options);
    return spl_decoder_open(fd, name, &decode, ret_decoder, ret_error);
}

int spl_pipeline_run(int fd, const char *name, const spl_pipeline_options *options,
                     const spl_output *outputs, size_t output_count,
                     spl_pipeline_result *ret_result, spl_pipeline_stage *ret_stage,
                     spl_error *ret_error) {
    double started_s = spl_now_s();
    song_run run = {
        .fd = fd,
        .name = name,
        .options = options,
        .decode = decode_options(options),
        .decoder = options->decoder,
    };
    int status = run_stages(&run, outputs, output_count);
    if (status == 0) {
        fill_result(&run, started_s, ret_result);
    } else {
        if (ret_stage)
            *ret_stage = run.stage;
        if (ret_error)
            *ret_error = run.error;
    }
    run_free(&run);
    return status;
}

/* SPDX-License-Identifier: MIT
 *
 * Runs one song. A decoder feeds spl_separate one channel pair at a time (channel_pairs.h). The
 * stems are mixed once for each different set of stems among the outputs, and the mix is passed to
 * the encoders of these outputs. It goes to a spool instead while other channel pairs follow, and
 * for outputs that wait for a helper.
 *
 * Files get their final names at the end, after all of them are flushed to the disk.
 */
#include "app/pipeline/pipeline.h"

#include "app/pipeline/budget.h"
#include "app/pipeline/channel_pairs.h"
#include "app/pipeline/residual.h"
#include "app/pipeline/spool.h"
#include "base/clock.h"
#include "base/file.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Samples per channel that are selected, mixed or interleaved at a time. */
#define CHUNK_SAMPLES 16384

/* One of the different sets of stems among the outputs. Outputs with the same set share its sum,
 * peak and spool. */
typedef struct stem_set {
    uint64_t stems;
    const char *name; /* of its first output */
    float peak;
    int spool; /* holds one channel pair after the other; -1: not needed */
    uint64_t spool_bytes;
    size_t waiting;   /* outputs that are encoded from the spool after the others */
    char *spool_name; /* for messages: names the folder */
} stem_set;

typedef struct output_state {
    spl_output request;
    spl_output_file file;
    spl_encoder *encoder; /* NULL: it waits, or is finished */
    stem_set *set;
    uint64_t bytes, clipped; /* when finished */
} output_state;

typedef struct song_run {
    int fd;
    const char *name;
    const spl_pipeline_options *options;
    spl_decode_options decode;
    spl_decoder *decoder;
    spl_audio_info input; /* of the first decoder */
    unsigned channels;    /* that the decoder returns */

    spl_channel_pair pairs[SPL_CHANNELS_MAX];
    uint64_t pair_values[SPL_CHANNELS_MAX]; /* sample values of the pairs before it in a spool */
    size_t pair_count, pair;
    bool last_pass; /* over the current channel pair: the pass that produces the stems */

    output_state *outputs;
    size_t output_count, encoder_count; /* all; those that have an encoder from the start */
    stem_set *sets;
    size_t set_count, spool_count;
    double encode_bytes; /* of one output, for each sample at 44,100 Hz */
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
    }
    for (size_t i = 0; i < run->set_count; i++) {
        spl_close_p(&run->sets[i].spool);
        free(run->sets[i].spool_name);
    }
    free(run->sets);
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

static int fail_changed(song_run *run) {
    return spl_fail(&run->error, SPL_E_FORMAT, "%s: the file changed while it was read", run->name);
}

static int open_decoder(song_run *run) {
    return spl_decoder_open(run->fd, run->name, &run->decode, &run->decoder, &run->error);
}

/* Starts again from the first sample. The buffers have the size that the first decoder's format
 * needs, so the format must be the same. */
static int reopen_decoder(song_run *run) {
    spl_decoder_free(SPL_STEAL(run->decoder));
    const int status = open_decoder(run);
    if (status < 0)
        return status;
    const spl_audio_info *first = &run->input, *again = spl_decoder_info(run->decoder);
    const bool same = again->channels == first->channels &&
                      again->channel_mask == first->channel_mask &&
                      again->sample_rate_hz == first->sample_rate_hz;
    return same ? 0 : fail_changed(run);
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
    run->pair_count = 1;
    run->pairs[0] = (spl_channel_pair){.left = 0, .right = 1};
    run->channels = spl_decoder_channels(run->decoder);
    if (run->options->keep_format)
        run->pair_count = spl_channel_pairs_of(run->channels, run->input.channel_mask, run->pairs);
    run->wide = calloc((size_t)CHUNK_SAMPLES * run->channels, sizeof(float));
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

static int open_output(song_run *run, output_state *output) {
    const spl_output *request = &output->request;
    struct stat existing;
    if (!request->path)
        return 0;
    if (stat(request->path, &existing) == 0 && !S_ISREG(existing.st_mode))
        return spl_fail(&run->error, SPL_E_ARGUMENT,
                        "cannot write %s: it exists and is not a regular file", request->path);
    return spl_output_file_open(request->path, &output->file, &run->error);
}

static int open_encoder(song_run *run, output_state *output) {
    const spl_output *request = &output->request;
    const spl_encode_options encode = spl_pipeline_encoding(run->options, &run->input);
    return spl_encoder_open(request->path ? output->file.fd : request->fd,
                            request->path ? request->path : request->name, &encode,
                            &output->encoder, &run->error);
}

static int open_spool(song_run *run, stem_set *set, const char *path) {
    SPL_CLEANUP(spl_free_p) char *folder = folder_for_spool(run->options, path);
    char *name;
    if (!folder || asprintf(&name, "a temporary file in %s", folder) < 0)
        return spl_fail_memory(&run->error);
    set->spool_name = name;
    int status = spl_spool_open(folder, &set->spool, &run->error);
    if (status == 0)
        run->spool_count++;
    return status;
}

static void close_spool(song_run *run, stem_set *set) {
    spl_close_p(&set->spool);
    set->spool_bytes = 0;
    run->spool_count--;
}

/* Finds the stem set of an output, or adds it. */
static int join_set(song_run *run, output_state *output) {
    const spl_output *request = &output->request;
    stem_set *set = run->sets;
    while (set < run->sets + run->set_count && set->stems != request->stems)
        set++;
    output->set = set;
    if (set == run->sets + run->set_count) {
        run->set_count++;
        *set = (stem_set){.stems = request->stems, .name = request->name, .spool = -1};
    }
    set->waiting += !output->encoder;
    const bool spools = run->pair_count > 1 || set->waiting > 0;
    return spools && set->spool < 0 ? open_spool(run, set, request->path) : 0;
}

static int open_outputs(song_run *run, const spl_output *outputs, size_t output_count) {
    run->outputs = calloc(output_count, sizeof(*run->outputs));
    run->sets = calloc(output_count, sizeof(*run->sets));
    if (!run->outputs || !run->sets)
        return spl_fail_memory(&run->error);
    const spl_encode_options encode = spl_pipeline_encoding(run->options, &run->input);
    run->encode_bytes = spl_encode_bytes_s(&encode) / SPL_SAMPLE_RATE_HZ;
    run->encoder_count = spl_encode_needs_helper(&encode)
                             ? SPL_MIN(output_count, (size_t)SPL_ENCODERS_MAX)
                             : output_count;
    uint64_t single = 0;
    for (size_t i = 0; i < output_count; i++) {
        output_state *output = &run->outputs[run->output_count++];
        *output = (output_state){.request = outputs[i], .file = SPL_OUTPUT_FILE_INIT};
        int status = open_output(run, output);
        if (status == 0 && i < run->encoder_count)
            status = open_encoder(run, output);
        if (status == 0)
            status = join_set(run, output);
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
static spl_status read_pair(void *user, float *samples, size_t capacity, size_t *ret_count) {
    song_run *run = user;
    const unsigned channels = run->channels;
    spl_channel_pair pair = run->pairs[run->pair];
    size_t count = 0;
    int status;
    if (channels == 2) {
        status = spl_decoder_read(run->decoder, samples, capacity, &count, &run->error);
    } else {
        status = spl_decoder_read(run->decoder, run->wide, SPL_MIN(capacity, CHUNK_SAMPLES), &count,
                                  &run->error);
        for (size_t i = 0; status == 0 && i < count; i++) {
            samples[2 * i] = run->wide[i * channels + pair.left];
            samples[2 * i + 1] = run->wide[i * channels + pair.right];
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
static spl_status rewind_pair(void *user) {
    song_run *run = user;
    int status = reopen_decoder(run);
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

/* Checks that the budget allows `count` more samples in each of `outputs` outputs, and
 * `spool_bytes` in spools. */
static int check_budget(song_run *run, size_t outputs, size_t count, uint64_t spool_bytes) {
    const spl_budget *budget = &run->options->budget;
    if (!budget->allow)
        return 0;
    uint64_t held_bytes = 0;
    for (size_t i = 0; i < run->output_count; i++) {
        const output_state *output = &run->outputs[i];
        held_bytes += output->encoder ? spl_encoder_bytes(output->encoder) : output->bytes;
    }
    for (size_t i = 0; i < run->set_count; i++)
        held_bytes += run->sets[i].spool_bytes;
    const double next_bytes = (double)outputs * (double)count * run->encode_bytes;
    return budget->allow(budget->user, held_bytes, spool_bytes + (uint64_t)next_bytes, &run->error);
}

/* Encodes `count` samples for all outputs of a set that have an encoder. */
static int encode_set(song_run *run, const stem_set *set, const float *samples, size_t count) {
    int status = 0;
    for (size_t i = 0; status == 0 && i < run->output_count; i++) {
        if (run->outputs[i].set == set && run->outputs[i].encoder)
            status = spl_encoder_write(run->outputs[i].encoder, samples, count, &run->error);
    }
    return status;
}

static int spool_set(song_run *run, stem_set *set, const float *samples, size_t values) {
    const size_t bytes = values * sizeof(float);
    set->spool_bytes += bytes;
    return spl_write_all(set->spool, samples, bytes, set->spool_name, &run->error);
}

/* Mixes one set, and encodes or spools it. */
static int write_set(song_run *run, stem_set *set, const float *const *stems, size_t begin,
                     size_t count) {
    const unsigned width = spl_channel_pair_width(&run->pairs[run->pair]);
    const float *samples = run->mixed;
    if (__builtin_popcountll(set->stems) == 1 && width == 2)
        samples = stems[__builtin_ctzll(set->stems)] + 2 * begin;
    else
        mix(stems, set->stems, begin, count, width, run->mixed);
    set->peak = peak_of(samples, count * width, set->peak);
    if (!isfinite(set->peak))
        return fail_callback(run, SPL_STAGE_SEPARATE,
                             spl_fail(&run->error, SPL_E_SAMPLE, "%s: the sum %s is not finite",
                                      run->name, set->name));
    int status = run->pair_count > 1 ? 0 : encode_set(run, set, samples, count);
    if (status == 0 && set->spool >= 0)
        status = spool_set(run, set, samples, count * width);
    return status < 0 ? fail_callback(run, SPL_STAGE_OUTPUT, status) : 0;
}

/* spl_sink.write: the next samples of all stems of the current channel pair. */
static spl_status write_pair(void *user, const float *const *stems, size_t count) {
    song_run *run = user;
    const size_t encoders = run->pair_count > 1 ? 0 : run->encoder_count;
    const size_t sample_bytes = spl_channel_pair_width(&run->pairs[run->pair]) * sizeof(float);
    for (size_t begin = 0; begin < count; begin += CHUNK_SAMPLES) {
        const size_t chunk = SPL_MIN(count - begin, (size_t)CHUNK_SAMPLES);
        int status = check_budget(run, encoders, chunk, run->spool_count * chunk * sample_bytes);
        if (status < 0)
            return fail_callback(run, SPL_STAGE_OUTPUT, status);
        for (size_t i = 0; status == 0 && i < run->set_count; i++)
            status = write_set(run, &run->sets[i], stems, begin, chunk);
        if (status < 0)
            return status;
        if (run->measure)
            spl_residual_compare(&run->residual, stems, begin, chunk, run->stem_count);
    }
    start_flushing(run);
    run->samples += count;
    return 0;
}

/* spl_separate_options.progress: counts the passes over all channel pairs. */
static spl_status report_progress(void *user, const spl_progress *progress) {
    const song_run *run = user;
    if (spl_stop_requested(&run->options->stop))
        return SPL_E_CANCELED;
    if (!run->options->progress)
        return 0;
    spl_progress overall = *progress;
    overall.pass += (unsigned)run->pair * progress->passes;
    overall.passes *= (unsigned)run->pair_count;
    return run->options->progress(run->options->progress_user, &overall);
}

static int separate_pair(song_run *run) {
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
                         .read = read_pair,
                         .rewind = rewind_pair,
                         .total_samples = expected_samples(run)};
    spl_sink sink = {.user = run, .write = write_pair};

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

static int separate_pairs(song_run *run) {
    const spl_progress start = {
        .samples_total = expected_samples(run), .pass = 1, .passes = run->options->wiener ? 2 : 1};
    const int started = report_progress(run, &start);
    if (started < 0) {
        run->stage = SPL_STAGE_SEPARATE;
        return spl_fail(&run->error, (spl_status)started, "%s: canceled", run->name);
    }
    uint64_t values = 0;
    for (run->pair = 0; run->pair < run->pair_count; run->pair++) {
        const uint64_t samples = run->samples; /* of the previous pair */
        if (run->pair > 0) {
            run->stage = SPL_STAGE_INPUT;
            int status = reopen_decoder(run);
            if (status < 0)
                return status;
        }
        int status = separate_pair(run);
        if (status < 0)
            return status;
        if (run->pair > 0 && run->samples != samples)
            return fail_changed(run);
        run->pair_values[run->pair] = values;
        values += run->samples * spl_channel_pair_width(&run->pairs[run->pair]);
    }
    return 0;
}

/* Interleaves the spooled channel pairs of a set and passes them to its encoders. */
static int encode_spool(song_run *run, const stem_set *set) {
    const unsigned channels = run->channels;
    size_t outputs = 0;
    for (size_t i = 0; i < run->output_count; i++)
        outputs += run->outputs[i].set == set && run->outputs[i].encoder;
    for (uint64_t begin = 0; outputs > 0 && begin < run->samples; begin += CHUNK_SAMPLES) {
        if (spl_stop_requested(&run->options->stop))
            return spl_fail(&run->error, SPL_E_CANCELED, "%s: canceled", run->name);
        const size_t count = (size_t)SPL_MIN(run->samples - begin, (uint64_t)CHUNK_SAMPLES);
        int status = check_budget(run, outputs, count, 0);
        for (size_t pair = 0; status == 0 && pair < run->pair_count; pair++) {
            const unsigned width = spl_channel_pair_width(&run->pairs[pair]);
            const unsigned channel[2] = {run->pairs[pair].left, run->pairs[pair].right};
            status = spl_spool_read(set->spool, run->mixed, count * width,
                                    run->pair_values[pair] + begin * width, set->spool_name,
                                    &run->error);
            for (size_t i = 0; status == 0 && i < count * width; i++)
                run->wide[i / width * channels + channel[i % width]] = run->mixed[i];
        }
        if (status == 0)
            status = encode_set(run, set, run->wide, count);
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

/* Completes an output, and ends its helper. */
static int finish_output(song_run *run, output_state *output) {
    if (run->options->keep_format)
        spl_encoder_set_length(output->encoder, input_length(run));
    const int status = spl_encoder_finish(output->encoder, &run->error);
    if (status < 0)
        return status;
    output->clipped = spl_encoder_clipped(output->encoder);
    output->bytes = spl_encoder_bytes(output->encoder);
    spl_encoder_free(SPL_STEAL(output->encoder));
    return 0;
}

/* Encodes an output that waited, from the spool of its set. */
static int encode_waiting(song_run *run, output_state *output) {
    stem_set *set = output->set;
    int status = open_encoder(run, output);
    if (status == 0)
        status = encode_spool(run, set);
    if (status == 0)
        status = finish_output(run, output);
    if (status == 0 && --set->waiting == 0)
        close_spool(run, set);
    return status;
}

static int finish_outputs(song_run *run) {
    int status = 0;
    for (size_t i = 0; status == 0 && run->pair_count > 1 && i < run->set_count; i++) {
        status = encode_spool(run, &run->sets[i]);
        if (status == 0 && run->sets[i].waiting == 0)
            close_spool(run, &run->sets[i]);
    }
    for (size_t i = 0; status == 0 && i < run->output_count; i++)
        status = i < run->encoder_count ? finish_output(run, &run->outputs[i])
                                        : encode_waiting(run, &run->outputs[i]);
    if (status == 0)
        status = check_budget(run, 0, 0, 0);
    if (status < 0)
        return status;
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
    if ((status = separate_pairs(run)) < 0)
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
        result.clipped[i] = run->outputs[i].clipped;
        result.peak_dbfs[i] = 20 * log10((double)run->outputs[i].set->peak);
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

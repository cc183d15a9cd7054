/* SPDX-License-Identifier: MIT
 *
 * Streams a song through segments (segment.c): reads, computes, writes.
 *
 * A segment is computed in the background, while the calling thread passes the previous one to the
 * sink and reads the next one.
 */
#include "base/clock.h"
#include "base/samples.h"
#include "lib/engine/run.h"

#include <string.h>

SPL_API void spl_separate_options_init(spl_separate_options *options) {
    *options = (spl_separate_options){.bandwidth = SPL_BANDWIDTH_MODEL};
}

/* Turns the result of a callback into the one of the separation. */
static int check_callback(const spl_engine_run *s, const char *name, int result) {
    if (result > 0)
        return spl_fail(s->error, SPL_E_ARGUMENT,
                        "%s returned %d, which is neither 0 nor a negative spl_status", name,
                        result);
    return result < 0
               ? spl_fail(s->error, (spl_status)result, "%s failed with status %d", name, result)
               : 0;
}

static void report_progress(spl_engine_run *s) {
    enum { STEPS_OF_A_NETWORK = 2 * SPL_UNET_DEPTH };
    const uint64_t segment = (uint64_t)s->plan.frames * HOP;
    const unsigned steps = s->plan.networks_needed * STEPS_OF_A_NETWORK;
    uint64_t done =
        s->pass.position + segment * SPL_MIN(atomic_load(&s->steps_done), steps) / steps;
    done -= SPL_MIN(done, (uint64_t)FRAME);
    if (s->pass.input_ended)
        done = SPL_MIN(done, s->pass.position + s->pass.input_samples - FRAME);
    s->progress.samples_done = done;
    s->stop_status = s->options->progress(s->options->progress_user, &s->progress);
    if (s->stop_status != 0)
        atomic_store(&s->stop, true);
}

/* Reads ahead until `wanted` samples are available or the song ends. */
static int read_ahead(spl_engine_run *s, size_t wanted) {
    double since_s = spl_now_s();
    while (!s->pass.ahead_ended && s->pass.ahead_samples < wanted) {
        float *to = s->buffers.ahead + 2 * s->pass.ahead_samples;
        size_t count = 0;
        const int status = check_callback(
            s, "the source's read",
            s->source->read(s->source->user, to, wanted - s->pass.ahead_samples, &count));
        if (status < 0)
            return status;
        if (count > wanted - s->pass.ahead_samples)
            return spl_fail(s->error, SPL_E_ARGUMENT,
                            "the source returned more samples than requested");
        const int checked = spl_samples_check(to, count, 2, s->pass.samples_read, s->error);
        if (checked < 0)
            return checked;
        s->pass.samples_read += count;
        s->pass.ahead_samples += count;
        s->pass.ahead_ended = count == 0;
    }
    spl_clock_lap(&since_s, &s->timings->read_s);
    return 0;
}

/* Appends the samples read ahead to those that this segment shares with the previous one. */
static void take_input(spl_engine_run *s) {
    const size_t capacity = (size_t)(s->plan.frames - 1) * HOP + FRAME;
    memcpy(s->buffers.input + 2 * s->pass.input_samples, s->buffers.ahead,
           2 * s->pass.ahead_samples * sizeof(float));
    s->pass.input_samples += s->pass.ahead_samples;
    s->pass.ahead_samples = 0;
    s->pass.input_ended = s->pass.ahead_ended;
    memset(s->buffers.input + 2 * s->pass.input_samples, 0,
           2 * (capacity - s->pass.input_samples) * sizeof(float));
    s->pass.valid_frames =
        (unsigned)SPL_MIN((s->pass.input_samples + HOP - 1) / HOP, (size_t)s->plan.frames);
}

/* Passes the finished segment's samples to the sink. */
static int write_finished(spl_engine_run *s) {
    if (s->pass.finished_begin >= s->pass.finished_end)
        return 0;
    double since_s = spl_now_s();
    const float *stems[SPL_STEMS_MAX] = {NULL};
    for (unsigned i = 0; i < s->plan.stems; i++)
        if (s->buffers.finished[i])
            stems[i] = s->buffers.finished[i] + 2 * s->pass.finished_begin;
    const size_t count = s->pass.finished_end - s->pass.finished_begin;
    s->pass.finished_end = 0;
    for (unsigned i = 0; i < s->plan.stems; i++)
        if (stems[i] && !spl_all_finite(stems[i], 2 * count))
            return spl_fail(s->error, SPL_E_SAMPLE,
                            "the model computes values of the stem %s that are not finite, between "
                            "%.1f s and %.1f s; use another model for this song",
                            s->info->stems[i].name,
                            (double)s->pass.samples_written / SPL_SAMPLE_RATE_HZ,
                            (double)(s->pass.samples_written + count) / SPL_SAMPLE_RATE_HZ);
    s->pass.samples_written += count;
    const int status =
        check_callback(s, "the sink's write", s->sink->write(s->sink->user, stems, count));
    spl_clock_lap(&since_s, &s->timings->write_s);
    return status;
}

/* Makes the computed segment the finished one. Its last three hops are incomplete and begin the
 * output of the next segment. */
static void turn_output(spl_engine_run *s) {
    const size_t segment = (size_t)s->plan.frames * HOP * 2,
                 overlap = (size_t)OVERLAP_HOPS * HOP * 2;
    for (unsigned i = 0; i < s->plan.stems; i++) {
        if (!s->buffers.output[i])
            continue;
        float *next = s->buffers.finished[i];
        memcpy(next, s->buffers.output[i] + segment, overlap * sizeof(float));
        s->buffers.finished[i] = s->buffers.output[i];
        s->buffers.output[i] = next;
    }
    s->pass.finished_begin = s->pass.position == 0 ? FRAME : 0; /* skips the zeros in front */
    s->pass.finished_end = (size_t)s->plan.frames * HOP;
    if (s->pass.input_ended)
        s->pass.finished_end = SPL_MIN(s->pass.finished_end, s->pass.input_samples);
}

/* Waits for the segment that is being computed. Reports progress at least once, because a silent
 * segment has no steps. */
static int await_segment(spl_engine_run *s) {
    bool done;
    do {
        done = spl_background_wait(s->background);
        if (s->options->progress && !atomic_load(&s->stop))
            report_progress(s);
    } while (!done);
    if (!atomic_load(&s->stop))
        return s->computed;
    return s->stop_status == SPL_E_CANCELED
               ? spl_fail(s->error, SPL_E_CANCELED, "canceled")
               : check_callback(s, "the progress callback", s->stop_status);
}

/* Computes this segment while the previous one is written and the next one is read.
 *
 * If the pool uses all CPUs, writing and reading, with the decoder, would repeatedly preempt one of
 * its threads while the others wait for it. One thread therefore stays idle meanwhile, unless the
 * exchange takes long enough to suggest that it mostly waits. */
static int do_segment(spl_engine_run *s) {
    const bool spare = s->all_cpus && s->exchange_s <= s->compute_s / 2;
    const double started_s = spl_now_s();
    atomic_store(&s->steps_done, 0);
    spl_pool_spare(s->pool, spare);
    spl_background_start(s->background, spl_engine_compute_segment, s);
    int status = write_finished(s);
    if (status == 0)
        status = read_ahead(s, (size_t)s->plan.frames * HOP);
    spl_pool_spare(s->pool, 0);
    s->exchange_s = spl_now_s() - started_s;
    if (status == 0)
        return await_segment(s);
    atomic_store(&s->stop, true);
    while (!spl_background_wait(s->background))
        continue;
    return status;
}

/* Processes the song once: for the Wiener filter's sums, or for the stems. */
static int run_pass(spl_engine_run *s, bool sums_only) {
    const size_t segment = (size_t)s->plan.frames * HOP;
    s->pass = (spl_engine_pass){.sums_only = sums_only, .input_samples = FRAME};
    memset(s->buffers.input, 0, FRAME * 2 * sizeof(float));
    int status = read_ahead(s, segment - HOP);
    while (status == 0) {
        take_input(s);
        status = do_segment(s);
        if (status < 0)
            break;
        if (!sums_only)
            turn_output(s);
        if (s->pass.input_ended && s->pass.input_samples <= segment)
            return write_finished(s);
        s->pass.input_samples -= segment;
        memmove(s->buffers.input, s->buffers.input + 2 * segment,
                2 * s->pass.input_samples * sizeof(float));
        s->pass.position += segment;
    }
    return status;
}

static void release(spl_engine_run *s) {
    spl_arena_free(&s->arena);
    free(s->scratch);
    spl_unet_workspace_free(s->workspace);
    spl_wiener_free(s->wiener);
    spl_pool_free(s->pool);
    spl_background_free(s->background);
    free(s);
}

static int run(spl_engine_run *s) {
    int status = spl_pool_new(s->options->threads, &s->pool, s->error);
    if (status == 0)
        status = spl_background_new(&s->background, s->error);
    if (status == 0 && s->options->wiener)
        status = spl_wiener_new(s->plan.stems, &s->wiener, s->error);
    if (status == 0)
        status = spl_engine_allocate(s);
    s->all_cpus = status == 0 && spl_pool_threads(s->pool) == spl_cpu_count();
    if (status == 0 && s->wiener) {
        status = run_pass(s, true);
        if (status == 0)
            status = check_callback(s, "the source's rewind", s->source->rewind(s->source->user));
        if (status < 0)
            return status;
        spl_wiener_prepare(s->wiener);
        s->progress.pass = 2;
    }
    return status < 0 ? status : run_pass(s, false);
}

static int check_arguments(const spl_model *model, const spl_separate_options *options,
                           const spl_source *source, const spl_sink *sink, spl_error *ret_error) {
    if (!model || !options || !source || !source->read || !sink || !sink->write)
        return spl_fail(ret_error, SPL_E_ARGUMENT, "a model, options, source and sink are needed");
    if (options->wiener && !source->rewind)
        return spl_fail(ret_error, SPL_E_ARGUMENT,
                        "the Wiener filter reads the song twice and needs a source that rewinds");
    const spl_model_info *info = spl_model_get_info(model);
    if (options->stems & ~spl_engine_all_stems(info))
        return spl_fail(ret_error, SPL_E_ARGUMENT, "the model has %u stems only", info->stem_count);
    if ((unsigned)options->bandwidth > SPL_BANDWIDTH_FULL)
        return spl_fail(ret_error, SPL_E_ARGUMENT, "unknown bandwidth");
    int status = spl_reserved_check(options->reserved, SPL_ARRAY_SIZE(options->reserved),
                                    "spl_separate_options", ret_error);
    if (status == 0)
        status = spl_reserved_check(source->reserved, SPL_ARRAY_SIZE(source->reserved),
                                    "spl_source", ret_error);
    if (status == 0)
        status = spl_reserved_check(sink->reserved, SPL_ARRAY_SIZE(sink->reserved), "spl_sink",
                                    ret_error);
    return status;
}

SPL_API spl_status spl_separate(spl_model *model, const spl_separate_options *options,
                                const spl_source *source, const spl_sink *sink,
                                spl_error *ret_error) {
    const int checked = check_arguments(model, options, source, sink, ret_error);
    if (checked < 0)
        return checked;
    spl_engine_run *s = calloc(1, sizeof(*s));
    if (!s)
        return spl_fail_memory(ret_error);
    s->model = model;
    s->info = spl_model_get_info(model);
    s->options = options;
    s->source = source;
    s->sink = sink;
    s->error = ret_error;
    s->timings = options->timings ? options->timings : &s->own_timings;
    spl_engine_make_plan(s);
    spl_stft_init(&s->stft);
    s->progress = (spl_progress){
        .samples_total = source->total_samples, .pass = 1, .passes = options->wiener ? 2 : 1};
    const int status = run(s);
    release(s);
    return status;
}

/* SPDX-License-Identifier: MIT
 *
 * Streams a song through STFT, networks, masks and inverse STFT.
 *
 * The song is padded with 4,096 zeros in front and with as many at the end as the last frame needs.
 * It is cut into frames of 4,096 samples every 1,024, and the frames into segments of T. One
 * segment takes this memory:
 *
 *   input       T - 1 hops and one frame of samples; the last three hops also begin the next
 *               segment
 *   spectra     T packed spectra of the mixture
 *   magnitudes  [T][channel][F]
 *   estimates   the same for each network; masks are computed in their place
 *   output      for each stem, T hops of samples, and three more that the next segment adds to
 *
 * A segment is computed in the background, while the calling thread passes the previous one to the
 * sink and reads the next one. This takes one more set of samples and of output.
 *
 * The mixture is split into groups and stems without a group, and each group's share of it into the
 * group's stems. The networks of a group's stems run only if one of them is requested, or with the
 * Wiener filter.
 *
 * Frames beyond the end of the song are zeros for the networks; later steps skip them.
 *
 * Threads share the frames, rows and bins of each step. The assignment of work to threads does not
 * change any sum. Tasks overlap only in overlap-add, which processes even blocks of frames first,
 * then odd ones.
 */
#include "base/arena.h"
#include "base/background.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/pool.h"
#include "base/samples.h"
#include "lib/dsp/stft.h"
#include "lib/dsp/wiener.h"
#include "lib/model/model.h"

#include <math.h>
#include <spleeter/separate.h>
#include <stdatomic.h>
#include <string.h>

enum {
    HOP = SPL_FRAME_STEP,
    FRAME = SPL_FRAME_LENGTH,
    OVERLAP_HOPS = FRAME / HOP - 1,
    BLOCK_FRAMES = 32, /* frames per task of the inverse; T is a multiple of twice as many */
    BLOCK_BINS = 64,
};

/* The networks of the stems and groups into which one whole is split. */
typedef struct mask_split {
    /* The network of the group that is split; -1: the mixture. */
    int whole;
    unsigned count;
    unsigned networks[SPL_STEMS_MAX];
} mask_split;

/* Scratch memory of one thread. */
struct scratch {
    float fft[2 * FRAME];
    float gains[SPL_STEMS_MAX][2][SPL_BINS];
    float re[SPL_STEMS_MAX][FRAME], im[SPL_STEMS_MAX][FRAME];
};

struct separation {
    const spl_model *model;
    const spl_model_info *info;
    const spl_separate_options *options;
    const spl_source *source;
    const spl_sink *sink;
    spl_error *error;

    unsigned frames, bins, stems; /* T, F, N */
    unsigned networks;            /* those of the stems, then those of the groups */
    unsigned networks_needed;
    mask_split splits[SPL_STEMS_MAX]; /* the split of the mixture, then those of groups */
    unsigned split_count;
    bool extend;     /* mask_extension average */
    bool conserve;   /* make the stems of the Wiener filter sum to the mixture */
    uint64_t wanted; /* bit i: the i-th stem */

    spl_pool *pool;
    bool all_cpus; /* the pool has as many threads as there are CPUs */
    spl_stft stft;
    spl_unet_workspace *workspace;
    spl_wiener *wiener;      /* NULL: plain masks */
    struct scratch *scratch; /* one per thread */
    spl_arena arena;         /* holds all arrays of samples, spectra and estimates */

    float *input; /* stereo, (T - 1) hops and a frame */
    size_t input_samples;
    bool input_ended;
    float *ahead; /* samples of the next segment: stereo, T hops */
    size_t ahead_samples;
    bool ahead_ended;
    uint64_t samples_read; /* in this pass */
    uint64_t samples_written;
    float *re, *im;                      /* [T][FRAME] */
    float *magnitudes;                   /* [T][2][F] */
    float *estimates[SPL_STEMS_MAX];     /* [T][2][F], replaced by the gains; NULL: not needed */
    float *extensions[SPL_STEMS_MAX];    /* [T][2]: the gain of the bins from F on */
    float *output[SPL_STEMS_MAX];        /* stereo, T + OVERLAP_HOPS hops; NULL: not requested */
    float *finished[SPL_STEMS_MAX];      /* the same, of the previous segment */
    size_t finished_begin, finished_end; /* range of its samples for the sink */

    unsigned valid_frames; /* of this segment */
    bool sums_only;        /* this pass computes only the Wiener filter's sums */
    unsigned odd;          /* parity of the blocks in the current step of the inverse */
    uint64_t position;     /* of this segment in the padded song, in samples */
    spl_progress progress;
    spl_timings own_timings, *timings;
    double since_s; /* start of the current phase of the computation */
    /* Duration of the last segment's computation, and of the concurrent writing and reading. */
    double compute_s, exchange_s;

    spl_background *background;
    int computed;           /* status of the computed segment */
    atomic_uint steps_done; /* of this segment */
    atomic_bool stop;       /* requests an early end of the computation */
    spl_status stop_status; /* what spl_separate then returns */
};

SPL_API void spl_separate_options_init(spl_separate_options *options) {
    *options = (spl_separate_options){.bandwidth = SPL_BANDWIDTH_MODEL};
}

/* Called between the steps of a segment, on the background thread; returns true to cancel. */
static bool step(void *user) {
    struct separation *s = user;
    atomic_fetch_add(&s->steps_done, 1);
    spl_background_wake(s->background);
    return atomic_load(&s->stop);
}

static void report_progress(struct separation *s) {
    enum { STEPS_OF_A_NETWORK = 2 * SPL_UNET_DEPTH };
    const uint64_t segment = (uint64_t)s->frames * HOP;
    const unsigned steps = s->networks_needed * STEPS_OF_A_NETWORK;
    uint64_t done = s->position + segment * SPL_MIN(atomic_load(&s->steps_done), steps) / steps;
    done -= SPL_MIN(done, (uint64_t)FRAME);
    if (s->input_ended)
        done = SPL_MIN(done, s->position + s->input_samples - FRAME);
    s->progress.samples_done = done;
    s->stop_status = s->options->progress(s->options->progress_user, &s->progress);
    if (s->stop_status < 0)
        atomic_store(&s->stop, true);
}

/* Reads ahead until `wanted` samples are available or the song ends. */
static int read_ahead(struct separation *s, size_t wanted) {
    double since_s = spl_now_s();
    while (!s->ahead_ended && s->ahead_samples < wanted) {
        float *to = s->ahead + 2 * s->ahead_samples;
        size_t count = 0;
        const int status = s->source->read(s->source->user, to, wanted - s->ahead_samples, &count);
        if (status < 0)
            return status;
        if (count > wanted - s->ahead_samples)
            return spl_fail(s->error, SPL_E_ARGUMENT,
                            "the source gave more samples than asked for");
        const int checked = spl_samples_check(to, count, 2, s->samples_read, s->error);
        if (checked < 0)
            return checked;
        s->samples_read += count;
        s->ahead_samples += count;
        s->ahead_ended = count == 0;
    }
    spl_clock_lap(&since_s, &s->timings->read_s);
    return 0;
}

/* Appends the samples read ahead to those that this segment shares with the previous one. */
static void take_input(struct separation *s) {
    const size_t capacity = (size_t)(s->frames - 1) * HOP + FRAME;
    memcpy(s->input + 2 * s->input_samples, s->ahead, 2 * s->ahead_samples * sizeof(float));
    s->input_samples += s->ahead_samples;
    s->ahead_samples = 0;
    s->input_ended = s->ahead_ended;
    memset(s->input + 2 * s->input_samples, 0, 2 * (capacity - s->input_samples) * sizeof(float));
    s->valid_frames = (unsigned)SPL_MIN((s->input_samples + HOP - 1) / HOP, (size_t)s->frames);
}

static void forward_task(void *user, size_t task, unsigned thread) {
    struct separation *s = user;
    const unsigned first = (unsigned)task * BLOCK_FRAMES;
    for (unsigned t = first; t < first + BLOCK_FRAMES; t++) {
        float *magnitudes = s->magnitudes + (size_t)t * 2 * s->bins;
        float *network_input = spl_unet_workspace_input(s->workspace, t);
        if (t >= s->valid_frames) {
            memset(magnitudes, 0, 2 * s->bins * sizeof(float));
            memset(network_input, 0, 2 * s->bins * sizeof(float));
            continue;
        }
        float *re = s->re + (size_t)t * FRAME, *im = s->im + (size_t)t * FRAME;
        spl_stft_forward(&s->stft, s->input + (size_t)t * 2 * HOP, re, im, s->scratch[thread].fft);
        s->stft.kernels->magnitude(re, im, s->bins, magnitudes, magnitudes + s->bins,
                                   network_input);
    }
}

static void softmax_task(void *user, size_t task, unsigned thread) {
    (void)thread;
    struct separation *s = user;
    const size_t count = (size_t)BLOCK_FRAMES * 2 * s->bins, first = task * count;
    float *values[SPL_STEMS_MAX];
    for (unsigned i = 0; i < s->stems; i++)
        values[i] = s->estimates[i] + first;
    s->stft.kernels->softmax(values, s->stems, count, s->magnitudes + first);
}

static float mean(const float *values, unsigned count) {
    enum { LANES = 8 };
    float sums[LANES] = {0};
    for (unsigned n = 0; n < count; n += LANES)
        for (unsigned lane = 0; lane < LANES; lane++)
            sums[lane] += values[n + lane];
    float sum = 0;
    for (unsigned lane = 0; lane < LANES; lane++)
        sum += sums[lane];
    return sum / (float)count;
}

/* Turns the estimates of `split` into gains, for one row of bins. */
static void share_row(const struct separation *s, const mask_split *split, size_t row) {
    float *values[SPL_STEMS_MAX];
    for (unsigned i = 0; i < split->count; i++)
        values[i] = s->estimates[split->networks[i]] + row;
    if (s->wiener)
        s->stft.kernels->gains(values, split->count, s->bins, 1, 0, SPL_WIENER_EPSILON);
    else
        s->stft.kernels->gains(values, split->count, s->bins, (float)s->info->separation_exponent,
                               1e-10f / (float)split->count, 1e-10f);
    if (split->whole < 0)
        return;
    const float *whole = s->estimates[split->whole] + row;
    for (unsigned i = 0; i < split->count; i++)
        for (unsigned k = 0; k < s->bins; k++)
            values[i][k] *= whole[k];
}

static void gains_task(void *user, size_t task, unsigned thread) {
    (void)thread;
    struct separation *s = user;
    const unsigned first = (unsigned)task * BLOCK_FRAMES;
    const unsigned end = SPL_MIN(first + BLOCK_FRAMES, s->valid_frames);
    for (unsigned t = first; t < end; t++)
        for (unsigned c = 0; c < 2; c++) {
            const size_t row = ((size_t)t * 2 + c) * s->bins;
            for (unsigned i = 0; i < s->split_count; i++)
                share_row(s, &s->splits[i], row);
            for (unsigned i = 0; i < s->stems; i++)
                if (s->estimates[i])
                    s->extensions[i][t * 2 + c] =
                        s->extend ? mean(s->estimates[i] + row, s->bins) : 0;
        }
}

/* The gains of one frame and channel, extended to all 2,049 bins. */
static void extended_gains(const struct separation *s, unsigned stem, unsigned frame,
                           unsigned channel, float *ret_gains) {
    const float *gains = s->estimates[stem] + ((size_t)frame * 2 + channel) * s->bins;
    const float extension = s->extensions[stem][frame * 2 + channel];
    memcpy(ret_gains, gains, s->bins * sizeof(float));
    for (unsigned k = s->bins; k < SPL_BINS; k++)
        ret_gains[k] = extension;
}

static void output_frame(struct separation *s, unsigned stem, unsigned frame, float *re, float *im,
                         float *scratch) {
    spl_stft_inverse_add(&s->stft, re, im, s->output[stem] + (size_t)frame * 2 * HOP, scratch);
}

/* Masks and inverts a block of frames of one stem. */
static void mask_inverse_task(void *user, size_t task, unsigned thread) {
    struct separation *s = user;
    struct scratch *scratch = &s->scratch[thread];
    const unsigned stem = (unsigned)task % s->stems;
    const unsigned first = (2 * ((unsigned)task / s->stems) + s->odd) * BLOCK_FRAMES;
    const unsigned end = SPL_MIN(first + BLOCK_FRAMES, s->valid_frames);
    if (!s->output[stem])
        return;
    float *left = scratch->gains[0][0], *right = scratch->gains[0][1];
    for (unsigned t = first; t < end; t++) {
        extended_gains(s, stem, t, 0, left);
        extended_gains(s, stem, t, 1, right);
        s->stft.kernels->apply(s->re + (size_t)t * FRAME, s->im + (size_t)t * FRAME, left, right,
                               scratch->re[0], scratch->im[0]);
        output_frame(s, stem, t, scratch->re[0], scratch->im[0], scratch->fft);
    }
}

/* Filters and inverts a block of frames of all stems. */
static void wiener_inverse_task(void *user, size_t task, unsigned thread) {
    struct separation *s = user;
    struct scratch *scratch = &s->scratch[thread];
    const unsigned first = (2 * (unsigned)task + s->odd) * BLOCK_FRAMES;
    const unsigned end = SPL_MIN(first + BLOCK_FRAMES, s->valid_frames);
    for (unsigned t = first; t < end; t++) {
        spl_wiener_frame frame = {.re = s->re + (size_t)t * FRAME, .im = s->im + (size_t)t * FRAME};
        float *re[SPL_STEMS_MAX], *im[SPL_STEMS_MAX];
        for (unsigned i = 0; i < s->stems; i++) {
            for (unsigned c = 0; c < 2; c++)
                extended_gains(s, i, t, c, scratch->gains[i][c]);
            frame.left[i] = scratch->gains[i][0];
            frame.right[i] = scratch->gains[i][1];
            re[i] = s->output[i] ? scratch->re[i] : NULL;
            im[i] = scratch->im[i];
        }
        spl_wiener_filter(s->wiener, &frame, s->conserve, re, im);
        for (unsigned i = 0; i < s->stems; i++)
            if (re[i])
                output_frame(s, i, t, re[i], im[i], scratch->fft);
    }
}

/* Adds a block of bins of all frames, in order. */
static void wiener_add_task(void *user, size_t task, unsigned thread) {
    struct separation *s = user;
    struct scratch *scratch = &s->scratch[thread];
    const unsigned first = (unsigned)task * BLOCK_BINS;
    const unsigned end = SPL_MIN(first + BLOCK_BINS, (unsigned)SPL_BINS);
    for (unsigned t = 0; t < s->valid_frames; t++) {
        spl_wiener_frame frame = {.re = s->re + (size_t)t * FRAME, .im = s->im + (size_t)t * FRAME};
        for (unsigned i = 0; i < s->stems; i++) {
            for (unsigned c = 0; c < 2; c++)
                for (unsigned k = first; k < end; k++)
                    scratch->gains[i][c][k] =
                        k < s->bins ? s->estimates[i][((size_t)t * 2 + c) * s->bins + k]
                                    : s->extensions[i][t * 2 + c];
            frame.left[i] = scratch->gains[i][0];
            frame.right[i] = scratch->gains[i][1];
        }
        spl_wiener_add(s->wiener, &frame, first, end);
    }
}

/* Passes the finished segment's samples to the sink. */
static int write_finished(struct separation *s) {
    if (s->finished_begin >= s->finished_end)
        return 0;
    double since_s = spl_now_s();
    const float *stems[SPL_STEMS_MAX] = {NULL};
    for (unsigned i = 0; i < s->stems; i++)
        if (s->finished[i])
            stems[i] = s->finished[i] + 2 * s->finished_begin;
    const size_t count = s->finished_end - s->finished_begin;
    s->finished_end = 0;
    for (unsigned i = 0; i < s->stems; i++)
        if (stems[i] && !spl_all_finite(stems[i], 2 * count))
            return spl_fail(s->error, SPL_E_SAMPLE,
                            "the model makes numbers of the stem %s that are not finite, between "
                            "%.1f s and %.1f s; it does not suit this song",
                            s->info->stems[i].name, (double)s->samples_written / SPL_SAMPLE_RATE_HZ,
                            (double)(s->samples_written + count) / SPL_SAMPLE_RATE_HZ);
    s->samples_written += count;
    const int status = s->sink->write(s->sink->user, stems, count);
    spl_clock_lap(&since_s, &s->timings->write_s);
    return status;
}

/* Makes the computed segment the finished one. Its last three hops are incomplete and begin the
 * output of the next segment. */
static void turn_output(struct separation *s) {
    const size_t segment = (size_t)s->frames * HOP * 2, overlap = (size_t)OVERLAP_HOPS * HOP * 2;
    for (unsigned i = 0; i < s->stems; i++) {
        if (!s->output[i])
            continue;
        float *next = s->finished[i];
        memcpy(next, s->output[i] + segment, overlap * sizeof(float));
        s->finished[i] = s->output[i];
        s->output[i] = next;
    }
    s->finished_begin = s->position == 0 ? FRAME : 0; /* skips the zeros in front */
    s->finished_end = (size_t)s->frames * HOP;
    if (s->input_ended)
        s->finished_end = SPL_MIN(s->finished_end, s->input_samples);
}

/* Whether the whole segment is silent. The estimates are then zero, because they are shares of the
 * magnitudes. */
static bool is_silent(const struct separation *s) {
    const size_t count = (size_t)s->valid_frames * 2 * s->bins;
    for (size_t n = 0; n < count; n++)
        if (s->magnitudes[n] > 0)
            return false;
    return true;
}

static int estimate_segment(struct separation *s) {
    const size_t blocks = s->frames / BLOCK_FRAMES;
    const bool softmax = s->info->architecture == SPL_ARCHITECTURE_SOFTMAX_UNET;
    spl_pool_run(s->pool, blocks, forward_task, s);
    spl_model_await(s->model);
    spl_clock_lap(&s->since_s, &s->timings->forward_s);
    const bool silent = is_silent(s);
    for (unsigned i = 0; i < s->networks; i++) {
        if (!s->estimates[i])
            continue;
        if (silent) {
            memset(s->estimates[i], 0, (size_t)s->valid_frames * 2 * s->bins * sizeof(float));
            continue;
        }
        const spl_unet_job job = {
            .workspace = s->workspace,
            .pool = s->pool,
            .frames = s->valid_frames,
            .magnitudes = softmax ? NULL : s->magnitudes,
            .estimates = s->estimates[i],
            .timings = s->timings,
            .canceled = step,
            .user = s,
        };
        const int status = spl_unet_run(spl_model_unet(s->model, i), &job);
        if (status < 0)
            return status;
    }
    spl_clock_lap(&s->since_s, &s->timings->networks_s);
    if (softmax && !silent)
        spl_pool_run(s->pool, blocks, softmax_task, s);
    spl_pool_run(s->pool, blocks, gains_task, s);
    spl_clock_lap(&s->since_s, &s->timings->masks_s);
    return 0;
}

/* Clears the output of the segment after the hops that it shares with the previous one. */
static void clear_output_task(void *user, size_t stem, unsigned thread) {
    (void)thread;
    struct separation *s = user;
    const size_t overlap = (size_t)OVERLAP_HOPS * HOP * 2;
    if (s->output[stem])
        memset(s->output[stem] + overlap, 0, (size_t)s->frames * HOP * 2 * sizeof(float));
}

static void inverse_segment(struct separation *s) {
    const size_t block_pairs = s->frames / BLOCK_FRAMES / 2;
    spl_pool_run(s->pool, s->stems, clear_output_task, s);
    for (s->odd = 0; s->odd < 2; s->odd++) {
        if (s->wiener)
            spl_pool_run(s->pool, block_pairs, wiener_inverse_task, s);
        else
            spl_pool_run(s->pool, block_pairs * s->stems, mask_inverse_task, s);
    }
    spl_clock_lap(&s->since_s, &s->timings->inverse_s);
}

/* Computes one segment; runs on the background thread. */
static void compute_segment(void *user) {
    struct separation *s = user;
    const double started_s = s->since_s = spl_now_s();
    s->computed = estimate_segment(s);
    if (s->computed < 0)
        return;
    s->timings->segments++;
    if (s->sums_only) {
        spl_pool_run(s->pool, (SPL_BINS + BLOCK_BINS - 1) / BLOCK_BINS, wiener_add_task, s);
        spl_clock_lap(&s->since_s, &s->timings->masks_s);
    } else {
        inverse_segment(s);
    }
    s->compute_s = spl_now_s() - started_s;
}

/* Waits for the segment that is being computed. Reports progress at least once, because a silent
 * segment has no steps. */
static int await_segment(struct separation *s) {
    bool done;
    do {
        done = spl_background_wait(s->background);
        if (s->options->progress && !atomic_load(&s->stop))
            report_progress(s);
    } while (!done);
    return atomic_load(&s->stop) ? spl_fail(s->error, s->stop_status, "canceled") : s->computed;
}

/* Computes this segment while the previous one is written and the next one is read.
 *
 * If the pool uses all CPUs, writing and reading, with the decoder, would repeatedly preempt one of
 * its threads while the others wait for it. One thread therefore stays idle meanwhile, unless the
 * exchange takes long enough to suggest that it mostly waits. */
static int do_segment(struct separation *s) {
    const bool spare = s->all_cpus && s->exchange_s <= s->compute_s / 2;
    const double started_s = spl_now_s();
    atomic_store(&s->steps_done, 0);
    spl_pool_spare(s->pool, spare);
    spl_background_start(s->background, compute_segment, s);
    int status = write_finished(s);
    if (status == 0)
        status = read_ahead(s, (size_t)s->frames * HOP);
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
static int pass(struct separation *s, bool sums_only) {
    const size_t segment = (size_t)s->frames * HOP;
    s->sums_only = sums_only;
    s->position = 0;
    s->input_samples = FRAME;
    memset(s->input, 0, FRAME * 2 * sizeof(float));
    s->ahead_samples = 0;
    s->ahead_ended = false;
    s->samples_read = 0;
    int status = read_ahead(s, segment - HOP);
    while (status == 0) {
        take_input(s);
        status = do_segment(s);
        if (status < 0)
            break;
        if (!sums_only)
            turn_output(s);
        if (s->input_ended && s->input_samples <= segment)
            return write_finished(s);
        s->input_samples -= segment;
        memmove(s->input, s->input + 2 * segment, 2 * s->input_samples * sizeof(float));
        s->position += segment;
    }
    return status;
}

static void apply_bandwidth(struct separation *s) {
    s->bins = s->info->bins;
    s->extend = s->info->mask_extension == SPL_MASK_EXTENSION_AVERAGE;
    if (s->options->bandwidth == SPL_BANDWIDTH_MODEL)
        return;
    s->bins = s->options->bandwidth == SPL_BANDWIDTH_11K ? 1024 : 1536;
    s->extend = s->conserve = s->options->bandwidth == SPL_BANDWIDTH_FULL;
}

/* Adds the split of `whole` into the members of `group` (NULL: those without a group), if it is
 * `needed` or one of them is a requested stem. */
static void add_split(struct separation *s, int whole, const char *group, bool needed) {
    mask_split added = {.whole = whole};
    for (unsigned i = 0; i < s->networks; i++) {
        const char *of = s->info->stems[i].group;
        if (group ? !of || strcmp(of, group) != 0 : of != NULL)
            continue;
        added.networks[added.count++] = i;
        needed = needed || s->wanted >> i & 1;
    }
    if (needed) {
        s->splits[s->split_count++] = added;
        s->networks_needed += added.count;
    }
}

static void plan_splits(struct separation *s) {
    add_split(s, -1, NULL, true);
    for (unsigned i = s->stems; i < s->networks; i++)
        add_split(s, (int)i, s->info->stems[i].name, s->options->wiener);
}

static void place_arrays(void *user, spl_arena *arena) {
    struct separation *s = user;
    const size_t frames = s->frames, estimates = frames * 2 * s->bins;
    s->input = spl_arena_take(arena, ((frames - 1) * HOP + FRAME) * 2);
    s->ahead = spl_arena_take(arena, frames * HOP * 2);
    s->re = spl_arena_take(arena, frames * FRAME);
    s->im = spl_arena_take(arena, frames * FRAME);
    s->magnitudes = spl_arena_take(arena, estimates);
    for (const mask_split *split = s->splits; split < s->splits + s->split_count; split++)
        for (unsigned i = 0; i < split->count; i++)
            s->estimates[split->networks[i]] = spl_arena_take(arena, estimates);
    for (unsigned i = 0; i < s->stems; i++) {
        s->extensions[i] = spl_arena_take(arena, frames * 2);
        if (s->wanted >> i & 1) {
            s->output[i] = spl_arena_take(arena, (frames + OVERLAP_HOPS) * HOP * 2);
            s->finished[i] = spl_arena_take(arena, (frames + OVERLAP_HOPS) * HOP * 2);
        }
    }
}

static int allocate(struct separation *s) {
    s->scratch = calloc(spl_pool_threads(s->pool), sizeof(*s->scratch));
    if (!s->scratch)
        return spl_fail_memory(s->error);
    const int status = spl_arena_new(place_arrays, s, &s->arena, s->error);
    if (status < 0)
        return status;
    return spl_unet_workspace_new(spl_model_unet(s->model, 0), s->frames, s->bins,
                                  spl_pool_threads(s->pool), &s->workspace, s->error);
}

static void release(struct separation *s) {
    spl_arena_free(&s->arena);
    free(s->scratch);
    spl_unet_workspace_free(s->workspace);
    spl_wiener_free(s->wiener);
    spl_pool_free(s->pool);
    spl_background_free(s->background);
    free(s);
}

static int run(struct separation *s) {
    int status = spl_pool_new(s->options->threads, &s->pool, s->error);
    if (status == 0)
        status = spl_background_new(&s->background, s->error);
    if (status == 0 && s->options->wiener)
        status = spl_wiener_new(s->stems, &s->wiener, s->error);
    if (status == 0)
        status = allocate(s);
    s->all_cpus = status == 0 && spl_pool_threads(s->pool) == spl_cpu_count();
    if (status == 0 && s->wiener) {
        status = pass(s, true);
        if (status == 0)
            status = s->source->rewind(s->source->user);
        if (status < 0)
            return status;
        spl_wiener_prepare(s->wiener);
        s->progress.pass = 2;
    }
    return status < 0 ? status : pass(s, false);
}

static uint64_t all_stems(const spl_model_info *info) {
    return (UINT64_C(1) << info->stem_count) - 1;
}

static int check_arguments(const spl_model *model, const spl_separate_options *options,
                           const spl_source *source, const spl_sink *sink, spl_error *ret_error) {
    if (!model || !options || !source || !source->read || !sink || !sink->write)
        return spl_fail(ret_error, SPL_E_ARGUMENT, "a model, options, source and sink are needed");
    if (options->wiener && !source->rewind)
        return spl_fail(ret_error, SPL_E_ARGUMENT,
                        "the Wiener filter reads the song twice and needs a source that rewinds");
    const spl_model_info *info = spl_model_get_info(model);
    if (options->stems & ~all_stems(info))
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
    const spl_model_info *info = spl_model_get_info(model);
    struct separation *s = calloc(1, sizeof(*s));
    if (!s)
        return spl_fail_memory(ret_error);
    s->model = model;
    s->info = info;
    s->options = options;
    s->source = source;
    s->sink = sink;
    s->error = ret_error;
    s->timings = options->timings ? options->timings : &s->own_timings;
    s->frames = info->frames;
    s->stems = info->stem_count;
    s->wanted = options->stems ? options->stems : all_stems(info);
    s->networks = info->stem_count + info->group_count;
    plan_splits(s);
    apply_bandwidth(s);
    spl_stft_init(&s->stft);
    s->progress = (spl_progress){
        .samples_total = source->total_samples, .pass = 1, .passes = options->wiener ? 2 : 1};
    const int status = run(s);
    release(s);
    return status;
}

/* SPDX-License-Identifier: MIT
 *
 * Computes one segment: STFT, networks, masks, inverse STFT with overlap-add.
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
#include "base/clock.h"
#include "lib/engine/run.h"

#include <math.h>
#include <string.h>

enum {
    BLOCK_FRAMES = 32, /* frames per task of the inverse; T is a multiple of twice as many */
    BLOCK_BINS = 64,
};

/* Called between the steps of a segment, on the background thread; returns true to cancel. */
static bool step(void *user) {
    spl_engine_run *s = user;
    atomic_fetch_add(&s->steps_done, 1);
    spl_background_wake(s->background);
    return atomic_load(&s->stop);
}

static void forward_task(void *user, size_t task, unsigned thread) {
    spl_engine_run *s = user;
    const unsigned first = (unsigned)task * BLOCK_FRAMES;
    for (unsigned t = first; t < first + BLOCK_FRAMES; t++) {
        float *magnitudes = s->buffers.magnitudes + (size_t)t * 2 * s->plan.bins;
        float *network_input = spl_unet_workspace_input(s->workspace, t);
        if (t >= s->pass.valid_frames) {
            memset(magnitudes, 0, 2 * s->plan.bins * sizeof(float));
            memset(network_input, 0, 2 * s->plan.bins * sizeof(float));
            continue;
        }
        float *re = s->buffers.re + (size_t)t * FRAME, *im = s->buffers.im + (size_t)t * FRAME;
        spl_stft_forward(&s->stft, s->buffers.input + (size_t)t * 2 * HOP, re, im,
                         s->scratch[thread].fft);
        s->stft.kernels->magnitude(re, im, s->plan.bins, magnitudes, magnitudes + s->plan.bins,
                                   network_input);
    }
}

static void softmax_task(void *user, size_t task, unsigned thread) {
    (void)thread;
    spl_engine_run *s = user;
    const size_t count = (size_t)BLOCK_FRAMES * 2 * s->plan.bins, first = task * count;
    float *values[SPL_STEMS_MAX];
    for (unsigned i = 0; i < s->plan.stems; i++)
        values[i] = s->buffers.estimates[i] + first;
    s->stft.kernels->softmax(values, s->plan.stems, count, s->buffers.magnitudes + first);
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
static void share_row(const spl_engine_run *s, const spl_engine_split *split, size_t row) {
    float *values[SPL_STEMS_MAX];
    for (unsigned i = 0; i < split->count; i++)
        values[i] = s->buffers.estimates[split->networks[i]] + row;
    if (s->wiener)
        s->stft.kernels->gains(values, split->count, s->plan.bins, 1, 0, SPL_WIENER_EPSILON);
    else
        s->stft.kernels->gains(values, split->count, s->plan.bins,
                               (float)s->info->separation_exponent, 1e-10f / (float)split->count,
                               1e-10f);
    if (split->whole < 0)
        return;
    const float *whole = s->buffers.estimates[split->whole] + row;
    for (unsigned i = 0; i < split->count; i++)
        for (unsigned k = 0; k < s->plan.bins; k++)
            values[i][k] *= whole[k];
}

static void gains_task(void *user, size_t task, unsigned thread) {
    (void)thread;
    spl_engine_run *s = user;
    const unsigned first = (unsigned)task * BLOCK_FRAMES;
    const unsigned end = SPL_MIN(first + BLOCK_FRAMES, s->pass.valid_frames);
    for (unsigned t = first; t < end; t++)
        for (unsigned c = 0; c < 2; c++) {
            const size_t row = ((size_t)t * 2 + c) * s->plan.bins;
            for (unsigned i = 0; i < s->plan.split_count; i++)
                share_row(s, &s->plan.splits[i], row);
            for (unsigned i = 0; i < s->plan.stems; i++)
                if (s->buffers.estimates[i])
                    s->buffers.extensions[i][t * 2 + c] =
                        s->plan.extend ? mean(s->buffers.estimates[i] + row, s->plan.bins) : 0;
        }
}

/* The gains of one frame and channel, extended to all 2,049 bins. */
static void extended_gains(const spl_engine_run *s, unsigned stem, unsigned frame, unsigned channel,
                           float *ret_gains) {
    const float *gains = s->buffers.estimates[stem] + ((size_t)frame * 2 + channel) * s->plan.bins;
    const float extension = s->buffers.extensions[stem][frame * 2 + channel];
    memcpy(ret_gains, gains, s->plan.bins * sizeof(float));
    for (unsigned k = s->plan.bins; k < SPL_BINS; k++)
        ret_gains[k] = extension;
}

static void output_frame(spl_engine_run *s, unsigned stem, unsigned frame, float *re, float *im,
                         float *scratch) {
    spl_stft_inverse_add(&s->stft, re, im, s->buffers.output[stem] + (size_t)frame * 2 * HOP,
                         scratch);
}

/* Masks and inverts a block of frames of one stem. */
static void mask_inverse_task(void *user, size_t task, unsigned thread) {
    spl_engine_run *s = user;
    spl_engine_scratch *scratch = &s->scratch[thread];
    const unsigned stem = (unsigned)task % s->plan.stems;
    const unsigned first = (2 * ((unsigned)task / s->plan.stems) + s->pass.odd) * BLOCK_FRAMES;
    const unsigned end = SPL_MIN(first + BLOCK_FRAMES, s->pass.valid_frames);
    if (!s->buffers.output[stem])
        return;
    float *left = scratch->gains[0][0], *right = scratch->gains[0][1];
    for (unsigned t = first; t < end; t++) {
        extended_gains(s, stem, t, 0, left);
        extended_gains(s, stem, t, 1, right);
        s->stft.kernels->apply(s->buffers.re + (size_t)t * FRAME, s->buffers.im + (size_t)t * FRAME,
                               left, right, scratch->re[0], scratch->im[0]);
        output_frame(s, stem, t, scratch->re[0], scratch->im[0], scratch->fft);
    }
}

/* Filters and inverts a block of frames of all stems. */
static void wiener_inverse_task(void *user, size_t task, unsigned thread) {
    spl_engine_run *s = user;
    spl_engine_scratch *scratch = &s->scratch[thread];
    const unsigned first = (2 * (unsigned)task + s->pass.odd) * BLOCK_FRAMES;
    const unsigned end = SPL_MIN(first + BLOCK_FRAMES, s->pass.valid_frames);
    for (unsigned t = first; t < end; t++) {
        spl_wiener_frame frame = {.re = s->buffers.re + (size_t)t * FRAME,
                                  .im = s->buffers.im + (size_t)t * FRAME};
        float *re[SPL_STEMS_MAX], *im[SPL_STEMS_MAX];
        for (unsigned i = 0; i < s->plan.stems; i++) {
            for (unsigned c = 0; c < 2; c++)
                extended_gains(s, i, t, c, scratch->gains[i][c]);
            frame.left[i] = scratch->gains[i][0];
            frame.right[i] = scratch->gains[i][1];
            re[i] = s->buffers.output[i] ? scratch->re[i] : NULL;
            im[i] = scratch->im[i];
        }
        spl_wiener_filter(s->wiener, &frame, s->plan.conserve, re, im);
        for (unsigned i = 0; i < s->plan.stems; i++)
            if (re[i])
                output_frame(s, i, t, re[i], im[i], scratch->fft);
    }
}

/* Adds a block of bins of all frames, in order. */
static void wiener_add_task(void *user, size_t task, unsigned thread) {
    spl_engine_run *s = user;
    spl_engine_scratch *scratch = &s->scratch[thread];
    const unsigned first = (unsigned)task * BLOCK_BINS;
    const unsigned end = SPL_MIN(first + BLOCK_BINS, (unsigned)SPL_BINS);
    for (unsigned t = 0; t < s->pass.valid_frames; t++) {
        spl_wiener_frame frame = {.re = s->buffers.re + (size_t)t * FRAME,
                                  .im = s->buffers.im + (size_t)t * FRAME};
        for (unsigned i = 0; i < s->plan.stems; i++) {
            for (unsigned c = 0; c < 2; c++)
                for (unsigned k = first; k < end; k++)
                    scratch->gains[i][c][k] =
                        k < s->plan.bins
                            ? s->buffers.estimates[i][((size_t)t * 2 + c) * s->plan.bins + k]
                            : s->buffers.extensions[i][t * 2 + c];
            frame.left[i] = scratch->gains[i][0];
            frame.right[i] = scratch->gains[i][1];
        }
        spl_wiener_add(s->wiener, &frame, first, end);
    }
}

/* Whether the whole segment is silent. The estimates are then zero, because they are shares of the
 * magnitudes. */
static bool is_silent(const spl_engine_run *s) {
    const size_t count = (size_t)s->pass.valid_frames * 2 * s->plan.bins;
    for (size_t n = 0; n < count; n++)
        if (s->buffers.magnitudes[n] > 0)
            return false;
    return true;
}

static int estimate_segment(spl_engine_run *s) {
    const size_t blocks = s->plan.frames / BLOCK_FRAMES;
    const bool softmax = s->info->architecture == SPL_ARCHITECTURE_SOFTMAX_UNET;
    spl_pool_run(s->pool, blocks, forward_task, s);
    spl_model_await(s->model);
    spl_clock_lap(&s->since_s, &s->timings->forward_s);
    const bool silent = is_silent(s);
    for (unsigned i = 0; i < s->plan.networks; i++) {
        if (!s->buffers.estimates[i])
            continue;
        if (silent) {
            memset(s->buffers.estimates[i], 0,
                   (size_t)s->pass.valid_frames * 2 * s->plan.bins * sizeof(float));
            continue;
        }
        const spl_unet_job job = {
            .workspace = s->workspace,
            .pool = s->pool,
            .frames = s->pass.valid_frames,
            .magnitudes = softmax ? NULL : s->buffers.magnitudes,
            .estimates = s->buffers.estimates[i],
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
    spl_engine_run *s = user;
    const size_t overlap = (size_t)OVERLAP_HOPS * HOP * 2;
    if (s->buffers.output[stem])
        memset(s->buffers.output[stem] + overlap, 0,
               (size_t)s->plan.frames * HOP * 2 * sizeof(float));
}

static void inverse_segment(spl_engine_run *s) {
    const size_t block_pairs = s->plan.frames / BLOCK_FRAMES / 2;
    spl_pool_run(s->pool, s->plan.stems, clear_output_task, s);
    for (s->pass.odd = 0; s->pass.odd < 2; s->pass.odd++) {
        if (s->wiener)
            spl_pool_run(s->pool, block_pairs, wiener_inverse_task, s);
        else
            spl_pool_run(s->pool, block_pairs * s->plan.stems, mask_inverse_task, s);
    }
    spl_clock_lap(&s->since_s, &s->timings->inverse_s);
}

void spl_engine_compute_segment(void *user) {
    spl_engine_run *s = user;
    const double started_s = s->since_s = spl_now_s();
    s->computed = estimate_segment(s);
    if (s->computed < 0)
        return;
    s->timings->segments++;
    if (s->pass.sums_only) {
        spl_pool_run(s->pool, (SPL_BINS + BLOCK_BINS - 1) / BLOCK_BINS, wiener_add_task, s);
        spl_clock_lap(&s->since_s, &s->timings->masks_s);
    } else {
        inverse_segment(s);
    }
    s->compute_s = spl_now_s() - started_s;
}

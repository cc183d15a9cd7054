/* SPDX-License-Identifier: MIT
 *
 * The U-Net's layers in order, and the planes between them.
 *
 * Rows are STFT frames, columns are bins. The decoder's inputs hold [skip, result] side by side;
 * encoder and decoder write their channels directly into them.
 */
#include "lib/networks/unet/unet.h"

#include "base/clock.h"
#include "lib/networks/unet/layer.h"

#include <assert.h>
#include <string.h>

enum { DEPTH = SPL_UNET_DEPTH };

struct spl_unet {
    const spl_kernels *kernels;
    unsigned filters[DEPTH];
    spl_layer encoder[DEPTH], decoder[DEPTH];
    float mask_weights[4 * 4 * 2], mask_bias[2];
    spl_activation conv_activation, deconv_activation;
    spl_arena arena; /* weights of the layers */
};

static void place_layers(void *user, spl_arena *arena) {
    spl_unet *unet = user;
    const unsigned *filters = unet->filters;
    for (unsigned i = 0; i < DEPTH; i++) {
        unet->encoder[i] = (spl_layer){
            .kernels = unet->kernels,
            .in = i ? filters[i - 1] : 2,
            .out = filters[i],
            .activation = unet->conv_activation,
        };
        unet->decoder[i] = (spl_layer){
            .kernels = unet->kernels,
            .transposed = true,
            .in = i ? 2 * filters[DEPTH - 1 - i] : filters[DEPTH - 1],
            .out = i < DEPTH - 1 ? filters[DEPTH - 2 - i] : 1,
            .activation = unet->deconv_activation,
        };
        spl_layer_place(&unet->encoder[i], arena);
        spl_layer_place(&unet->decoder[i], arena);
    }
}

int spl_unet_new(const spl_network_weights *weights, spl_unet **ret_unet, spl_error *ret_error) {
    spl_unet *unet = calloc(1, sizeof(*unet));
    if (!unet)
        return spl_fail_memory(ret_error);
    unet->kernels = spl_kernels_get(spl_cpu_flags());
    memcpy(unet->filters, weights->filters, sizeof(unet->filters));
    memcpy(unet->mask_weights, weights->mask.kernel, sizeof(unet->mask_weights));
    memcpy(unet->mask_bias, weights->mask.bias, sizeof(unet->mask_bias));
    unet->conv_activation = weights->conv_activation;
    unet->deconv_activation = weights->deconv_activation;
    const int status = spl_arena_new(place_layers, unet, &unet->arena, ret_error);
    if (status < 0) {
        spl_unet_free(unet);
        return status;
    }
    *ret_unet = unet;
    return 0;
}

void spl_unet_prepare(const spl_unet *unet, const spl_network_weights *weights, unsigned part) {
    /* starting in the middle, where most weights are */
    static const unsigned order[SPL_UNET_PARTS] = {5, 6, 7, 4, 8, 3, 9, 2, 10, 1, 11, 0};
    const unsigned i = order[part] % DEPTH;
    if (order[part] < DEPTH)
        spl_layer_fill(&unet->encoder[i], &weights->encoder[i]);
    else
        spl_layer_fill(&unet->decoder[i], &weights->decoder[i]);
}

void spl_unet_free(spl_unet *unet) {
    if (!unet)
        return;
    spl_arena_free(&unet->arena);
    free(unet);
}

/* 8 GiB; the official models need about 0.1. */
static const size_t workspace_max_floats = (size_t)2 << 30;

struct spl_unet_workspace {
    unsigned filters[DEPTH];
    unsigned frames, bins;
    spl_plane encoder_in[DEPTH];
    spl_plane decoder_in[DEPTH]; /* [0]: the sixth encoder's sums; [i]: skip and result */
    spl_plane mask_in;
    float *scratch;
    spl_arena arena;
};

/* Takes a plane with `before` and `after` rows and columns of border. */
static spl_plane take_plane(spl_arena *arena, unsigned rows, unsigned columns, unsigned channels,
                            unsigned before, unsigned after) {
    spl_plane plane = {.rows = rows, .columns = columns, .channels = channels};
    plane.row_floats = (size_t)(columns + before + after) * channels;
    plane.corner = spl_arena_take(arena, plane.row_floats * (rows + before + after));
    if (plane.corner)
        plane.origin = plane.corner + before * plane.row_floats + (size_t)before * channels;
    return plane;
}

typedef struct workspace_plan {
    const spl_unet *unet;
    unsigned threads;
    spl_unet_workspace *workspace;
} workspace_plan;

static void place_workspace(void *user, spl_arena *arena) {
    const workspace_plan *plan = user;
    spl_unet_workspace *workspace = plan->workspace;
    const unsigned frames = workspace->frames, bins = workspace->bins;
    size_t scratch = 0;
    for (unsigned i = 0; i < DEPTH; i++) {
        const unsigned level = DEPTH - i;
        const spl_layer *encoder = &plan->unet->encoder[i], *decoder = &plan->unet->decoder[i];
        workspace->encoder_in[i] =
            take_plane(arena, frames >> i, bins >> i, encoder->in, SPL_LAYER_BORDER_BEFORE,
                       spl_layer_border_after(false));
        workspace->decoder_in[i] =
            take_plane(arena, frames >> level, bins >> level, decoder->in, SPL_LAYER_BORDER_BEFORE,
                       spl_layer_border_after(true));
        scratch =
            SPL_MAX(scratch, spl_layer_scratch(encoder, frames >> i, bins >> i, plan->threads));
        scratch = SPL_MAX(
            scratch, spl_layer_scratch(decoder, frames >> level, bins >> level, plan->threads));
    }
    workspace->mask_in = take_plane(arena, frames, bins, 1, 3, 3);
    workspace->scratch = spl_arena_take(arena, scratch);
}

int spl_unet_workspace_new(const spl_unet *unet, unsigned frames, unsigned bins, unsigned threads,
                           spl_unet_workspace **ret_workspace, spl_error *ret_error) {
    assert(frames % 64 == 0 && bins % 64 == 0);
    spl_unet_workspace *workspace = calloc(1, sizeof(*workspace));
    if (!workspace)
        return spl_fail_memory(ret_error);
    memcpy(workspace->filters, unet->filters, sizeof(workspace->filters));
    workspace->frames = frames;
    workspace->bins = bins;
    workspace_plan plan = {unet, threads, workspace};
    const size_t floats = spl_arena_measure(place_workspace, &plan);
    int status;
    if (floats > workspace_max_floats)
        status = spl_fail(ret_error, SPL_E_LIMIT,
                          "the model needs %zu MiB for a segment, more than %zu; its frames, bins "
                          "or filters are too many",
                          floats >> 18, workspace_max_floats >> 18);
    else
        status = spl_arena_new(place_workspace, &plan, &workspace->arena, ret_error);
    if (status < 0) {
        spl_unet_workspace_free(workspace);
        return status;
    }
    *ret_workspace = workspace;
    return 0;
}

void spl_unet_workspace_free(spl_unet_workspace *workspace) {
    if (!workspace)
        return;
    spl_arena_free(&workspace->arena);
    free(workspace);
}

float *spl_unet_workspace_input(spl_unet_workspace *workspace, unsigned frame) {
    const spl_plane *input = &workspace->encoder_in[0];
    return input->origin + frame * input->row_floats;
}

/* The output rows of each layer that `wanted` rows of the mask layer need. */
typedef struct needed_rows {
    unsigned encoder[DEPTH], decoder[DEPTH];
} needed_rows;

static needed_rows needed_for(const spl_unet_workspace *workspace, unsigned wanted) {
    needed_rows needed;
    unsigned rows = SPL_MIN(wanted + 3, workspace->frames);
    /* Row y reads rows (y - 1) / 2 to (y + 2) / 2 of an input with half as many rows. */
    for (unsigned i = DEPTH; i-- > 0;) {
        needed.decoder[i] = rows;
        rows = SPL_MIN((rows + 1) / 2 + 1, workspace->decoder_in[i].rows);
        needed.encoder[DEPTH - 1 - i] = rows; /* the skip */
    }
    /* Row y reads rows 2 y - 1 to 2 y + 3 of an input with twice as many rows. */
    for (unsigned i = DEPTH - 1; i > 0; i--)
        needed.encoder[i - 1] = SPL_MIN(SPL_MAX(needed.encoder[i - 1], 2 * needed.encoder[i] + 2),
                                        workspace->encoder_in[i].rows);
    return needed;
}

/* Clears the rows after the needed ones, into which tiles reach. They affect needed rows only by
 * rounding errors, but stale values of a louder segment would make those large. */
static void clear_beyond(spl_plane *plane, unsigned rows) {
    enum { TILE_REACH = 8 };
    const unsigned end = SPL_MIN(rows + TILE_REACH, plane->rows);
    for (unsigned y = rows; y < end; y++)
        memset(plane->origin + y * plane->row_floats, 0,
               (size_t)plane->columns * plane->channels * sizeof(float));
}

static void clear_unneeded(spl_unet_workspace *workspace, const needed_rows *needed) {
    for (unsigned i = 1; i < DEPTH; i++) {
        clear_beyond(&workspace->encoder_in[i], needed->encoder[i - 1]);
        clear_beyond(&workspace->decoder_in[i], needed->decoder[i - 1]);
    }
    clear_beyond(&workspace->decoder_in[0], needed->encoder[DEPTH - 1]);
}

/* ---- One run ---- */

typedef struct unet_run {
    const spl_unet *unet;
    const spl_unet_job *job;
    needed_rows needed;
    double since_s; /* end of the last layer */
} unet_run;

enum { MASK_ROWS = 16 }; /* rows of a task */

static void mask_task(void *user, size_t task, unsigned thread) {
    (void)thread;
    const unet_run *run = user;
    const spl_plane *in = &run->job->workspace->mask_in;
    const unsigned bins = in->columns, first = (unsigned)task * MASK_ROWS;
    for (unsigned y = first; y < SPL_MIN(first + MASK_ROWS, run->job->frames); y++) {
        const size_t at = (size_t)y * 2 * bins;
        const float *magnitudes = run->job->magnitudes ? run->job->magnitudes + at : NULL;
        float *estimates = run->job->estimates + at;
        run->unet->kernels->mask_row(&(spl_mask_row){
            .input = in->corner + y * in->row_floats,
            .row_stride = (ptrdiff_t)in->row_floats,
            .width = bins,
            .weights = run->unet->mask_weights,
            .bias = run->unet->mask_bias,
            .magnitude = {magnitudes, magnitudes ? magnitudes + bins : NULL},
            .out = {estimates, estimates + bins},
        });
    }
}

/* Adds the time since the last layer, and the operations, to those of layer `layer`. */
static void count_layer(unet_run *run, unsigned layer, double flop) {
    spl_timings *timings = run->job->timings;
    timings->layers_flop[layer] += flop;
    spl_clock_lap(&run->since_s, &timings->layers_s[layer]);
}

static void run_encoder(unet_run *run, unsigned i) {
    spl_unet_workspace *workspace = run->job->workspace;
    const spl_layer *layer = &run->unet->encoder[i];
    const spl_layer_run layer_run = {
        .pool = run->job->pool,
        .scratch = workspace->scratch,
        .in = &workspace->encoder_in[i],
        .rows = run->needed.encoder[i],
        .raw = {.plane = &workspace->decoder_in[DEPTH - 1 - i]},
        .out = {.plane = i < DEPTH - 1 ? &workspace->encoder_in[i + 1] : NULL},
    };
    spl_layer_apply(layer, &layer_run);
    count_layer(run, i, spl_layer_flop(layer, &layer_run));
}

static void run_decoder(unet_run *run, unsigned i) {
    spl_unet_workspace *workspace = run->job->workspace;
    const spl_layer *layer = &run->unet->decoder[i];
    const bool last = i == DEPTH - 1;
    const spl_layer_run layer_run = {
        .pool = run->job->pool,
        .scratch = workspace->scratch,
        .in = &workspace->decoder_in[i],
        .rows = run->needed.decoder[i],
        .out = {.plane = last ? &workspace->mask_in : &workspace->decoder_in[i + 1],
                .channel = last ? 0 : layer->out}, /* after the skip */
    };
    spl_layer_apply(layer, &layer_run);
    count_layer(run, DEPTH + i, spl_layer_flop(layer, &layer_run));
}

int spl_unet_run(const spl_unet *unet, const spl_unet_job *job) {
    spl_unet_workspace *workspace = job->workspace;
    assert(memcmp(unet->filters, workspace->filters, sizeof(unet->filters)) == 0);
    unet_run run = {.unet = unet, .job = job, .needed = needed_for(workspace, job->frames)};
    clear_unneeded(workspace, &run.needed);
    run.since_s = spl_now_s();
    for (unsigned i = 0; i < 2 * DEPTH; i++) {
        if (job->canceled(job->user))
            return SPL_E_CANCELED;
        if (i < DEPTH)
            run_encoder(&run, i);
        else
            run_decoder(&run, i - DEPTH);
    }
    spl_pool_run(job->pool, (job->frames + MASK_ROWS - 1) / MASK_ROWS, mask_task, &run);
    count_layer(&run, 2 * DEPTH, 2.0 * 4 * 4 * 2 * job->frames * workspace->bins);
    return 0;
}

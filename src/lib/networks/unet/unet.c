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
    float *memory; /* weights of the layers */
    size_t memory_floats;
};

static void place_layers(spl_unet *unet, const spl_network_weights *weights, spl_arena *arena) {
    const unsigned *filters = unet->filters;
    for (unsigned i = 0; i < DEPTH; i++) {
        unet->encoder[i] = (spl_layer){
            .kernels = unet->kernels,
            .in = i ? filters[i - 1] : 2,
            .out = filters[i],
            .activation = weights->conv_activation,
        };
        unet->decoder[i] = (spl_layer){
            .kernels = unet->kernels,
            .transposed = true,
            .in = i ? 2 * filters[DEPTH - 1 - i] : filters[DEPTH - 1],
            .out = i < DEPTH - 1 ? filters[DEPTH - 2 - i] : 1,
            .activation = weights->deconv_activation,
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
    spl_arena counter = {0};
    place_layers(unet, weights, &counter);
    unet->memory_floats = counter.used;
    unet->memory = spl_arena_block(unet->memory_floats);
    if (!unet->memory) {
        spl_unet_free(unet);
        return spl_fail_memory(ret_error);
    }
    place_layers(unet, weights, &(spl_arena){.block = unet->memory});
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
    spl_arena_block_free(unet->memory, unet->memory_floats);
    free(unet);
}

const unsigned *spl_unet_filters(const spl_unet *unet) {
    return unet->filters;
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
    float *memory;
    size_t memory_floats;
};

static spl_plane plane_take(spl_arena *arena, unsigned rows, unsigned columns, unsigned channels,
                            unsigned before, unsigned after) {
    spl_plane plane = {.rows = rows, .columns = columns, .channels = channels};
    plane.row_floats = (size_t)(columns + before + after) * channels;
    plane.corner = spl_arena_take(arena, plane.row_floats * (rows + before + after));
    if (plane.corner)
        plane.origin = plane.corner + before * plane.row_floats + (size_t)before * channels;
    return plane;
}

static void plan(spl_unet_workspace *workspace, const spl_unet *unet, unsigned threads,
                 spl_arena *arena) {
    const unsigned frames = workspace->frames, bins = workspace->bins;
    size_t scratch = 0;
    for (unsigned i = 0; i < DEPTH; i++) {
        const unsigned level = DEPTH - i;
        const spl_layer *encoder = &unet->encoder[i], *decoder = &unet->decoder[i];
        workspace->encoder_in[i] =
            plane_take(arena, frames >> i, bins >> i, encoder->in, spl_layer_border_before(false),
                       spl_layer_border_after(false));
        workspace->decoder_in[i] =
            plane_take(arena, frames >> level, bins >> level, decoder->in,
                       spl_layer_border_before(true), spl_layer_border_after(true));
        scratch = SPL_MAX(scratch, spl_layer_scratch(encoder, frames >> i, bins >> i, threads));
        scratch =
            SPL_MAX(scratch, spl_layer_scratch(decoder, frames >> level, bins >> level, threads));
    }
    workspace->mask_in = plane_take(arena, frames, bins, 1, 3, 3);
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
    spl_arena counter = {0};
    plan(workspace, unet, threads, &counter);
    if (counter.used > workspace_max_floats) {
        spl_unet_workspace_free(workspace);
        return spl_fail(ret_error, SPL_E_LIMIT,
                        "the model needs %zu MiB for a segment, more than %zu; its frames, bins or "
                        "filters are too many",
                        counter.used >> 18, workspace_max_floats >> 18);
    }
    workspace->memory_floats = counter.used;
    workspace->memory = spl_arena_block(workspace->memory_floats);
    if (!workspace->memory) {
        spl_unet_workspace_free(workspace);
        return spl_fail_memory(ret_error);
    }
    plan(workspace, unet, threads, &(spl_arena){.block = workspace->memory});
    *ret_workspace = workspace;
    return 0;
}

void spl_unet_workspace_free(spl_unet_workspace *workspace) {
    if (!workspace)
        return;
    spl_arena_block_free(workspace->memory, workspace->memory_floats);
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

typedef struct mask_run {
    const spl_unet *unet;
    const spl_plane *in;
    const float *magnitudes;
    float *estimates;
    unsigned rows;
} mask_run;

enum { MASK_ROWS = 16 }; /* rows of a task */

static void mask_task(void *user, size_t task, unsigned thread) {
    (void)thread;
    const mask_run *run = user;
    const unsigned bins = run->in->columns;
    const unsigned first = (unsigned)task * MASK_ROWS;
    for (unsigned y = first; y < SPL_MIN(first + MASK_ROWS, run->rows); y++) {
        const size_t at = (size_t)y * 2 * bins;
        const float *magnitudes = run->magnitudes ? run->magnitudes + at : NULL;
        run->unet->kernels->mask_row(&(spl_mask_row){
            .input = run->in->corner + y * run->in->row_floats,
            .row_stride = (ptrdiff_t)run->in->row_floats,
            .width = bins,
            .weights = run->unet->mask_weights,
            .bias = run->unet->mask_bias,
            .magnitude = {magnitudes, magnitudes ? magnitudes + bins : NULL},
            .out = {run->estimates + at, run->estimates + at + bins},
        });
    }
}

int spl_unet_run(const spl_unet *unet, spl_unet_workspace *workspace, spl_pool *pool,
                 unsigned wanted, const float *magnitudes, float *estimates, spl_timings *timings,
                 bool (*canceled)(void *user), void *user) {
    assert(memcmp(unet->filters, workspace->filters, sizeof(unet->filters)) == 0);
    const needed_rows needed = needed_for(workspace, wanted);
    clear_unneeded(workspace, &needed);
    double since_s = spl_now_s();
    spl_layer_run run = {.pool = pool, .scratch = workspace->scratch};
    for (unsigned i = 0; i < DEPTH; i++) {
        if (canceled(user))
            return SPL_E_CANCELED;
        run.in = &workspace->encoder_in[i];
        run.rows = needed.encoder[i];
        run.raw.plane = &workspace->decoder_in[DEPTH - 1 - i];
        run.out.plane = i < DEPTH - 1 ? &workspace->encoder_in[i + 1] : NULL;
        spl_layer_apply(&unet->encoder[i], &run);
        timings->layers_flop[i] += spl_layer_flop(&unet->encoder[i], &run);
        spl_clock_lap(&since_s, &timings->layers_s[i]);
    }
    run.raw.plane = NULL;
    for (unsigned i = 0; i < DEPTH; i++) {
        if (canceled(user))
            return SPL_E_CANCELED;
        const bool last = i == DEPTH - 1;
        run.in = &workspace->decoder_in[i];
        run.rows = needed.decoder[i];
        run.out.plane = last ? &workspace->mask_in : &workspace->decoder_in[i + 1];
        run.out.channel = last ? 0 : unet->decoder[i].out; /* after the skip */
        spl_layer_apply(&unet->decoder[i], &run);
        timings->layers_flop[DEPTH + i] += spl_layer_flop(&unet->decoder[i], &run);
        spl_clock_lap(&since_s, &timings->layers_s[DEPTH + i]);
    }
    mask_run mask = {unet, &workspace->mask_in, magnitudes, estimates, wanted};
    spl_pool_run(pool, (wanted + MASK_ROWS - 1) / MASK_ROWS, mask_task, &mask);
    timings->layers_flop[2 * DEPTH] += 2.0 * 4 * 4 * 2 * wanted * workspace->bins;
    spl_clock_lap(&since_s, &timings->layers_s[2 * DEPTH]);
    return 0;
}

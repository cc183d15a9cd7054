/* SPDX-License-Identifier: MIT
 *
 * The U-Net's weights in panels of 16 output channels, its memory plan, and its layers.
 *
 * Activations are [row][column][channel] with a border of zeros as wide as the
 * layer that reads them needs, so that no layer treats edges apart. Rows are
 * STFT frames, columns bins. The decoder's inputs hold [skip, result] side by
 * side; encoder and decoder write their channels straight into place.
 *
 * A transposed convolution of stride 2 is four plain ones, one for each parity
 * of output row and column: input row i and output row o meet in kernel row
 * k = o + 1 - 2 i, so output row 2 j + p takes input rows j - 1 + a, a = 0.., with k = p + 3 - 2 a.
 */
#include "model/unet.h"

#include "kernels/conv.h"
#include "kernels/cpu.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum { PANEL = SPL_CONV_PANEL, DEPTH = SPL_UNET_DEPTH, KERNEL = 5 };

/* A window that slides over a layer's input: weights as [panel][rows][run][lanes]. */
struct window {
    unsigned rows, run;
    float *weights;
};

struct layer {
    unsigned in, out;
    struct window windows
        [4]; /* encoder: one; decoder: by parity, 2 * row + column; last decoder layer: one */
    float *bias, *scale, *shift; /* [out], padded to whole panels */
};

struct spl_unet {
    spl_conv_kernels kernels;
    unsigned filters[DEPTH];
    spl_activation conv_activation, deconv_activation;
    struct layer encoder[DEPTH], decoder[DEPTH];
    float mask_weights[4 * 4 * 2], mask_bias[2];
    float *memory; /* all that the layers point to */
};

static unsigned panels_of(unsigned channels) {
    return (channels + PANEL - 1) / PANEL;
}

/* Hands out pieces of one block; with a NULL block it only counts. */
struct arena {
    float *block;
    size_t used;
};

static float *take(struct arena *arena, size_t floats) {
    float *piece = arena->block ? arena->block + arena->used : NULL;
    arena->used += spl_round_up(floats, PANEL);
    return piece;
}

static float *aligned_floats(size_t floats) {
    const size_t bytes = spl_round_up(floats * sizeof(float), 64);
    float *memory = aligned_alloc(64, bytes);
    if (memory)
        memset(memory, 0, bytes);
    return memory;
}

static void prepare_channels(struct layer *layer, const spl_layer_weights *weights,
                             struct arena *arena) {
    const size_t padded = (size_t)panels_of(layer->out) * PANEL;
    layer->bias = take(arena, padded);
    layer->scale = take(arena, padded);
    layer->shift = take(arena, padded);
    if (!arena->block)
        return;
    for (unsigned o = 0; o < layer->out; o++) {
        layer->bias[o] = weights->bias[o];
        if (!weights->norm.gamma)
            continue;
        const spl_norm_weights *norm = &weights->norm;
        const double scale = (double)norm->gamma[o] / sqrt((double)norm->variance[o] + 1e-3);
        layer->scale[o] = (float)scale;
        layer->shift[o] = (float)((double)norm->beta[o] - (double)norm->mean[o] * scale);
    }
}

/* kernel [5][5][in][out] */
static void prepare_encoder(struct layer *layer, const spl_layer_weights *weights,
                            struct arena *arena) {
    struct window *window = &layer->windows[0];
    window->rows = KERNEL;
    window->run = KERNEL * layer->in;
    window->weights =
        take(arena, (size_t)panels_of(layer->out) * PANEL * window->rows * window->run);
    prepare_channels(layer, weights, arena);
    if (!arena->block)
        return;
    for (size_t tap = 0; tap < (size_t)window->rows * window->run; tap++)
        for (unsigned o = 0; o < layer->out; o++)
            window->weights[(o / PANEL * window->rows * window->run + tap) * PANEL + o % PANEL] =
                weights->kernel[tap * layer->out + o];
}

/* kernel [5][5][out][in]; the window's columns are those of one output column parity */
static void prepare_decoder(struct layer *layer, const spl_layer_weights *weights,
                            struct arena *arena) {
    for (unsigned parity = 0; parity < 4; parity++) {
        const unsigned row_parity = parity / 2, column_parity = parity % 2;
        const unsigned columns = 2 + column_parity;
        struct window *window = &layer->windows[parity];
        window->rows = 2 + row_parity;
        window->run = columns * layer->in;
        window->weights =
            take(arena, (size_t)panels_of(layer->out) * PANEL * window->rows * window->run);
        if (!arena->block)
            continue;
        for (unsigned r = 0; r < window->rows; r++)
            for (unsigned c = 0; c < columns; c++) {
                const unsigned kernel_row = row_parity + 3 - 2 * r;
                const unsigned kernel_column = column_parity + 3 - 2 * c;
                const float *kernel =
                    weights->kernel +
                    (size_t)(kernel_row * KERNEL + kernel_column) * layer->out * layer->in;
                for (unsigned o = 0; o < layer->out; o++)
                    for (unsigned i = 0; i < layer->in; i++) {
                        const size_t tap = (size_t)r * window->run + c * layer->in + i;
                        window->weights[(o / PANEL * window->rows * window->run + tap) * PANEL +
                                        o % PANEL] = kernel[(size_t)o * layer->in + i];
                    }
            }
    }
    prepare_channels(layer, weights, arena);
}

/* The last transposed convolution has one output channel: its 8 lanes are the 2 x 4 outputs above a pair of
 * input columns x, x + 1: lane 4 * row parity + 2 * (column - x) + column parity. */
enum { PAIR_LANES = 8, PAIR_ROWS = 3, PAIR_COLUMNS = 4 };

static void prepare_last_decoder(struct layer *layer, const spl_layer_weights *weights,
                                 struct arena *arena) {
    struct window *window = &layer->windows[0];
    window->rows = PAIR_ROWS;
    window->run = PAIR_COLUMNS * layer->in;
    window->weights = take(arena, (size_t)PAIR_LANES * window->rows * window->run);
    prepare_channels(layer, weights, arena);
    if (!arena->block)
        return;
    for (int r = 0; r < PAIR_ROWS; r++)
        for (int c = 0; c < PAIR_COLUMNS; c++)
            for (int lane = 0; lane < PAIR_LANES; lane++) {
                const int kernel_row = lane / 4 + 3 - 2 * r, kernel_column = lane % 4 + 3 - 2 * c;
                if (kernel_row < 0 || kernel_row >= KERNEL || kernel_column < 0 ||
                    kernel_column >= KERNEL)
                    continue;
                const float *kernel =
                    weights->kernel + (size_t)(kernel_row * KERNEL + kernel_column) * layer->in;
                for (unsigned i = 0; i < layer->in; i++)
                    window->weights[((size_t)r * window->run + (unsigned)c * layer->in + i) *
                                        PAIR_LANES +
                                    (unsigned)lane] = kernel[i];
            }
    for (unsigned lane = 1; lane < PAIR_LANES; lane++) {
        layer->bias[lane] = layer->bias[0];
        layer->scale[lane] = layer->scale[0];
        layer->shift[lane] = layer->shift[0];
    }
}

static void prepare(spl_unet *unet, const spl_net_weights *weights, struct arena *arena) {
    const unsigned *filters = unet->filters;
    for (unsigned i = 0; i < DEPTH; i++) {
        unet->encoder[i].in = i ? filters[i - 1] : 2;
        unet->encoder[i].out = filters[i];
        prepare_encoder(&unet->encoder[i], &weights->encoder[i], arena);
    }
    for (unsigned i = 0; i < DEPTH; i++) {
        unet->decoder[i].in = i ? 2 * filters[DEPTH - 1 - i] : filters[DEPTH - 1];
        unet->decoder[i].out = i < DEPTH - 1 ? filters[DEPTH - 2 - i] : 1;
        if (i < DEPTH - 1)
            prepare_decoder(&unet->decoder[i], &weights->decoder[i], arena);
        else
            prepare_last_decoder(&unet->decoder[i], &weights->decoder[i], arena);
    }
}

int spl_unet_new(const spl_net_weights *weights, spl_unet **ret_unet, spl_error *ret_error) {
    spl_unet *unet = calloc(1, sizeof(*unet));
    if (!unet)
        return spl_fail_memory(ret_error);
    spl_conv_kernels_init(&unet->kernels, spl_cpu_flags());
    memcpy(unet->filters, weights->filters, sizeof(unet->filters));
    unet->conv_activation = weights->conv_activation;
    unet->deconv_activation = weights->deconv_activation;
    memcpy(unet->mask_weights, weights->mask.kernel, sizeof(unet->mask_weights));
    memcpy(unet->mask_bias, weights->mask.bias, sizeof(unet->mask_bias));

    struct arena counter = {0};
    prepare(unet, weights, &counter);
    unet->memory = aligned_floats(counter.used);
    if (!unet->memory) {
        spl_unet_free(unet);
        return spl_fail_memory(ret_error);
    }
    prepare(unet, weights, &(struct arena){.block = unet->memory});
    *ret_unet = unet;
    return 0;
}

void spl_unet_free(spl_unet *unet) {
    if (!unet)
        return;
    free(unet->memory);
    free(unet);
}

const unsigned *spl_unet_filters(const spl_unet *unet) {
    return unet->filters;
}

/* A tensor with a border of zeros. */
struct plane {
    unsigned rows, columns, channels; /* without the border */
    size_t row_floats;                /* from one row to the next */
    float *corner;                    /* first float of the border */
    float *origin;                    /* channel 0 of row 0, column 0 */
};

struct spl_unet_workspace {
    unsigned filters[DEPTH];
    unsigned frames, bins;
    struct plane encoder_in[DEPTH]; /* border 1 before, 2 after */
    struct plane
        decoder_in[DEPTH]; /* border 1; [0] the sixth encoder's sums, [i] skip and result */
    struct plane mask_in;  /* border 3 */
    float *pairs;          /* [frames / 2][bins / 4][PAIR_LANES] */
    float *memory;
};

static struct plane plane_take(struct arena *arena, unsigned rows, unsigned columns,
                               unsigned channels, unsigned before, unsigned after) {
    struct plane plane = {.rows = rows, .columns = columns, .channels = channels};
    plane.row_floats = (size_t)(columns + before + after) * channels;
    /* one vector beyond the end, which the mask kernel may read */
    plane.corner = take(arena, plane.row_floats * (rows + before + after) + PANEL);
    if (plane.corner)
        plane.origin = plane.corner + before * plane.row_floats + (size_t)before * channels;
    return plane;
}

static void plan(spl_unet_workspace *workspace, struct arena *arena) {
    const unsigned *filters = workspace->filters;
    const unsigned frames = workspace->frames, bins = workspace->bins;
    for (unsigned i = 0; i < DEPTH; i++) {
        workspace->encoder_in[i] =
            plane_take(arena, frames >> i, bins >> i, i ? filters[i - 1] : 2, 1, 2);
        const unsigned level = DEPTH - i;
        workspace->decoder_in[i] =
            plane_take(arena, frames >> level, bins >> level,
                       i ? 2 * filters[level - 1] : filters[DEPTH - 1], 1, 1);
    }
    workspace->mask_in = plane_take(arena, frames, bins, 1, 3, 3);
    workspace->pairs = take(arena, (size_t)(frames / 2) * (bins / 4) * PAIR_LANES);
}

int spl_unet_workspace_new(const unsigned filters[SPL_UNET_DEPTH], unsigned frames, unsigned bins,
                           spl_unet_workspace **ret_workspace, spl_error *ret_error) {
    assert(frames % 64 == 0 && bins % 64 == 0);
    spl_unet_workspace *workspace = calloc(1, sizeof(*workspace));
    if (!workspace)
        return spl_fail_memory(ret_error);
    memcpy(workspace->filters, filters, sizeof(workspace->filters));
    workspace->frames = frames;
    workspace->bins = bins;
    struct arena counter = {0};
    plan(workspace, &counter);
    workspace->memory = aligned_floats(counter.used);
    if (!workspace->memory) {
        spl_unet_workspace_free(workspace);
        return spl_fail_memory(ret_error);
    }
    plan(workspace, &(struct arena){.block = workspace->memory});
    *ret_workspace = workspace;
    return 0;
}

void spl_unet_workspace_free(spl_unet_workspace *workspace) {
    if (!workspace)
        return;
    free(workspace->memory);
    free(workspace);
}

float *spl_unet_workspace_input(spl_unet_workspace *workspace, unsigned frame) {
    const struct plane *input = &workspace->encoder_in[0];
    return input->origin + frame * input->row_floats;
}

/* One layer being run by the pool. A task is a block of rows for one panel; with few weights, for all panels. */
typedef struct layer_run {
    const spl_unet *unet;
    spl_unet_workspace *workspace;
    unsigned index;         /* of the layer */
    unsigned rows;          /* of the output (encoder) or input (decoder) */
    unsigned block, blocks; /* rows a task, tasks a panel group */
    unsigned panels, group; /* in all, and of a task */
    const float *magnitudes;
    float *estimates;
} layer_run;

/* Weights of all panels together stay in a core's cache up to this size. */
enum { CACHED_WEIGHTS_BYTES = 256 << 10 };

static size_t split(layer_run *run, const struct layer *layer, unsigned rows) {
    const size_t weights_bytes = (size_t)KERNEL * KERNEL * layer->in * layer->out * sizeof(float);
    const bool cached = weights_bytes <= CACHED_WEIGHTS_BYTES;
    run->rows = rows;
    run->panels = panels_of(layer->out);
    run->group = cached ? run->panels : 1;
    run->block = cached ? SPL_MIN(rows, 4u) : SPL_MIN(rows, 16u);
    run->blocks = (rows + run->block - 1) / run->block;
    return (size_t)run->blocks * (run->panels / run->group);
}

static void encoder_task(void *user, size_t task, unsigned thread) {
    (void)thread;
    const layer_run *run = user;
    const spl_unet *unet = run->unet;
    spl_unet_workspace *workspace = run->workspace;
    const unsigned i = run->index;
    const struct layer *layer = &unet->encoder[i];
    const struct window *window = &layer->windows[0];
    const struct plane *in = &workspace->encoder_in[i];
    const struct plane *skip = &workspace->decoder_in[DEPTH - 1 - i];
    const struct plane *next = i + 1 < DEPTH ? &workspace->encoder_in[i + 1] : NULL;
    const unsigned first_panel = (unsigned)(task / run->blocks) * run->group;
    const unsigned first_row = (unsigned)(task % run->blocks) * run->block;
    const unsigned end_row = SPL_MIN(first_row + run->block, run->rows);

    for (unsigned y = first_row; y < end_row; y++)
        for (unsigned panel = first_panel; panel < first_panel + run->group; panel++) {
            const unsigned channel = panel * PANEL;
            unet->kernels.row(&(spl_conv_row){
                .input = in->corner + 2 * y * in->row_floats,
                .row_stride = (ptrdiff_t)in->row_floats,
                .rows = window->rows,
                .run = window->run,
                .step = 2 * (ptrdiff_t)layer->in,
                .width = skip->columns,
                .weights = window->weights + (size_t)panel * PANEL * window->rows * window->run,
                .lanes = PANEL,
                .channels = SPL_MIN(layer->out - channel, (unsigned)PANEL),
                .bias = layer->bias + channel,
                .scale = layer->scale + channel,
                .shift = layer->shift + channel,
                .finish = next ? SPL_FINISH_NORM_ACT : SPL_FINISH_NONE,
                .activation = unet->conv_activation,
                .raw = skip->origin + y * skip->row_floats + channel,
                .raw_step = skip->channels,
                .out = next ? next->origin + y * next->row_floats + channel : NULL,
                .out_step = next ? next->channels : 0,
            });
        }
}

static void decoder_task(void *user, size_t task, unsigned thread) {
    (void)thread;
    const layer_run *run = user;
    const spl_unet *unet = run->unet;
    const unsigned i = run->index;
    const struct layer *layer = &unet->decoder[i];
    const struct plane *in = &run->workspace->decoder_in[i],
                       *to = &run->workspace->decoder_in[i + 1];
    const unsigned first_panel = (unsigned)(task / run->blocks) * run->group;
    const unsigned first_row = (unsigned)(task % run->blocks) * run->block;
    const unsigned end_row = SPL_MIN(first_row + run->block, run->rows);

    for (unsigned parity = 0; parity < 4; parity++) {
        const struct window *window = &layer->windows[parity];
        for (unsigned y = first_row; y < end_row; y++)
            for (unsigned panel = first_panel; panel < first_panel + run->group; panel++) {
                const unsigned channel = panel * PANEL;
                unet->kernels.row(&(spl_conv_row){
                    .input = in->corner + y * in->row_floats,
                    .row_stride = (ptrdiff_t)in->row_floats,
                    .rows = window->rows,
                    .run = window->run,
                    .step = (ptrdiff_t)layer->in,
                    .width = in->columns,
                    .weights = window->weights + (size_t)panel * PANEL * window->rows * window->run,
                    .lanes = PANEL,
                    .channels = SPL_MIN(layer->out - channel, (unsigned)PANEL),
                    .bias = layer->bias + channel,
                    .scale = layer->scale + channel,
                    .shift = layer->shift + channel,
                    .finish = SPL_FINISH_ACT_NORM,
                    .activation = unet->deconv_activation,
                    .out = to->origin + (2 * y + parity / 2) * to->row_floats +
                           (size_t)(parity % 2) * to->channels + layer->out + channel,
                    .out_step = 2 * (ptrdiff_t)to->channels,
                });
            }
    }
}

static void last_decoder_task(void *user, size_t task, unsigned thread) {
    (void)thread;
    const layer_run *run = user;
    const spl_unet *unet = run->unet;
    const struct layer *layer = &unet->decoder[DEPTH - 1];
    const struct window *window = &layer->windows[0];
    const struct plane *in = &run->workspace->decoder_in[DEPTH - 1], *to = &run->workspace->mask_in;
    const unsigned pairs = in->columns / 2;
    const unsigned first_row = (unsigned)task * run->block;
    const unsigned end_row = SPL_MIN(first_row + run->block, run->rows);

    for (unsigned y = first_row; y < end_row; y++) {
        float *outputs = run->workspace->pairs + (size_t)y * pairs * PAIR_LANES;
        unet->kernels.row(&(spl_conv_row){
            .input = in->corner + y * in->row_floats,
            .row_stride = (ptrdiff_t)in->row_floats,
            .rows = window->rows,
            .run = window->run,
            .step = 2 * (ptrdiff_t)layer->in,
            .width = pairs,
            .weights = window->weights,
            .lanes = PAIR_LANES,
            .channels = PAIR_LANES,
            .bias = layer->bias,
            .scale = layer->scale,
            .shift = layer->shift,
            .finish = SPL_FINISH_ACT_NORM,
            .activation = unet->deconv_activation,
            .out = outputs,
            .out_step = PAIR_LANES,
        });
        float *even = to->origin + 2 * y * to->row_floats, *odd = even + to->row_floats;
        for (unsigned x = 0; x < pairs; x++) {
            memcpy(even + 4 * x, outputs + x * PAIR_LANES, 4 * sizeof(float));
            memcpy(odd + 4 * x, outputs + x * PAIR_LANES + 4, 4 * sizeof(float));
        }
    }
}

static void mask_task(void *user, size_t task, unsigned thread) {
    (void)thread;
    const layer_run *run = user;
    const struct plane *in = &run->workspace->mask_in;
    const unsigned bins = in->columns;
    const unsigned first_row = (unsigned)task * run->block;
    const unsigned end_row = SPL_MIN(first_row + run->block, run->rows);
    for (unsigned y = first_row; y < end_row; y++) {
        const size_t at = (size_t)y * 2 * bins;
        const float *magnitudes = run->magnitudes ? run->magnitudes + at : NULL;
        run->unet->kernels.mask_row(&(spl_conv_mask_row){
            .input = in->corner + y * in->row_floats,
            .row_stride = (ptrdiff_t)in->row_floats,
            .width = bins,
            .weights = run->unet->mask_weights,
            .bias = run->unet->mask_bias,
            .magnitude = {magnitudes, magnitudes ? magnitudes + bins : NULL},
            .out = {run->estimates + at, run->estimates + at + bins},
        });
    }
}

int spl_unet_run(const spl_unet *unet, spl_unet_workspace *workspace, spl_pool *pool,
                 const float *magnitudes, float *estimates, bool (*canceled)(void *user),
                 void *user) {
    assert(memcmp(unet->filters, workspace->filters, sizeof(unet->filters)) == 0);
    layer_run run = {
        .unet = unet, .workspace = workspace, .magnitudes = magnitudes, .estimates = estimates};
    for (run.index = 0; run.index < DEPTH; run.index++) {
        if (canceled(user))
            return SPL_E_CANCELED;
        const unsigned rows = workspace->decoder_in[DEPTH - 1 - run.index].rows;
        const size_t tasks = split(&run, &unet->encoder[run.index], rows);
        spl_pool_run(pool, tasks, encoder_task, &run);
    }
    for (run.index = 0; run.index < DEPTH; run.index++) {
        if (canceled(user))
            return SPL_E_CANCELED;
        const unsigned rows = workspace->decoder_in[run.index].rows;
        const size_t tasks = split(&run, &unet->decoder[run.index], rows);
        spl_pool_run(pool, tasks, run.index < DEPTH - 1 ? decoder_task : last_decoder_task, &run);
    }
    run.rows = workspace->frames;
    run.block = 16;
    spl_pool_run(pool, (run.rows + run.block - 1) / run.block, mask_task, &run);
    return 0;
}

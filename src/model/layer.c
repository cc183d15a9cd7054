/* SPDX-License-Identifier: MIT
 *
 * Convolution layers: packing of weights, the direct way, and Winograd's.
 *
 * Phase f of a layer is one of its four convolutions of stride 1: it has 3 rows of taps for f < 2 and 2 for the
 * others, 3 columns for even f and 2 for odd.
 *
 *   direct     weights[parity] is [panel][row][column * in + channel][16]; a plain convolution has one window of 5x5
 *   pairs      a transposed layer with one output channel: its 8 lanes are the 2 x 4 outputs above a pair of input
 *              columns x, x + 1: lane 4 * row parity + 2 * (column - x) + column parity
 *   Winograd   weights[f] of a transposed layer is [point][panel][in][16]; the phases of a plain one are input channels
 *              to one product, weights[0] is [point][panel][f * in + channel][16] of the phases that have the point
 *
 * Winograd's tiles go through three stages: input transform, one matrix product a point, output transform with
 * bias, norm and activation. With few weights a thread takes a block of tiles through all three, in its own
 * cache; with many, all threads take one stage after the other, so that weights are read once.
 */
#include "model/layer.h"

#include <assert.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>

enum {
    PANEL = SPL_PANEL,
    KERNEL = 5,
    TILE = SPL_WINOGRAD_TILE,
    POINTS = SPL_WINOGRAD_POINTS,
    PHASES = 4,
    PAIR_LANES = 8,
    PAIR_ROWS = 3,
    PAIR_COLUMNS = 4,
};

/* A core's cache holds the weights of all panels together up to this size. */
static const size_t cached_weights_bytes = 256 << 10;
/* Winograd: up to this size of the weights a thread takes tiles through all stages. */
static const size_t fused_weights_bytes = 3 << 20;
/* Winograd: points of a block of tiles, input and output together. */
static const size_t fused_block_bytes = 448 << 10;

float *spl_arena_take(spl_arena *arena, size_t floats) {
    float *piece = arena->block ? arena->block + arena->used : NULL;
    arena->used += spl_round_up(floats, PANEL);
    return piece;
}

float *spl_arena_block(size_t floats) {
    const size_t huge_page = 2 << 20;
    const size_t bytes = spl_round_up(floats * sizeof(float), huge_page);
    float *block = aligned_alloc(huge_page, bytes);
    if (!block)
        return NULL;
    madvise(block, bytes, MADV_HUGEPAGE);
    return block;
}

unsigned spl_layer_border_before(bool transposed) {
    (void)transposed;
    return 1;
}

/* The last tile may reach beyond the plane, by up to 3 outputs. */
unsigned spl_layer_border_after(bool transposed) {
    return transposed ? 1 + 3 + 1 : 2 + 2 * 3 + 1;
}

static unsigned panels_of(const spl_layer *layer) {
    return (layer->out + PANEL - 1) / PANEL;
}

static bool is_pairs(const spl_layer *layer) {
    return layer->transposed && layer->out == 1;
}

static bool three_rows(unsigned phase) {
    return phase < 2;
}

static bool three_columns(unsigned phase) {
    return phase % 2 == 0;
}

/* Row (or column) of the kernel at a tap of a phase; negative where the phase has no such tap. */
static int kernel_index(bool transposed, bool three, int tap) {
    if (transposed)
        return (three ? 4 : 3) - 2 * tap;
    return tap < (three ? 3 : 2) ? 2 * tap + !three : -1;
}

/* Weight from input channel i to output channel o: kernels are [5][5][in][out], transposed ones [5][5][out][in]. */
static float kernel_at(const spl_layer *layer, const float *kernel, int row, int column, unsigned i,
                       unsigned o) {
    if (row < 0 || column < 0 || row >= KERNEL || column >= KERNEL || o >= layer->out)
        return 0;
    const float *matrix = kernel + (size_t)(row * KERNEL + column) * layer->in * layer->out;
    return layer->transposed ? matrix[(size_t)o * layer->in + i]
                             : matrix[(size_t)i * layer->out + o];
}

static void prepare_channels(spl_layer *layer, const spl_layer_weights *weights, spl_arena *arena) {
    const unsigned padded = panels_of(layer) * PANEL;
    float *bias = spl_arena_take(arena, padded);
    float *scale = spl_arena_take(arena, padded), *shift = spl_arena_take(arena, padded);
    layer->bias = bias;
    layer->scale = scale;
    layer->shift = shift;
    if (!arena->block)
        return;
    for (unsigned lane = 0; lane < padded; lane++) {
        const unsigned o = is_pairs(layer) ? 0 : SPL_MIN(lane, layer->out - 1);
        bias[lane] = weights->bias[o];
        scale[lane] = shift[lane] = 0;
        if (!weights->norm.gamma)
            continue;
        const spl_norm_weights *norm = &weights->norm;
        const double factor = (double)norm->gamma[o] / sqrt((double)norm->variance[o] + 1e-3);
        scale[lane] = (float)factor;
        shift[lane] = (float)((double)norm->beta[o] - (double)norm->mean[o] * factor);
    }
}

static void prepare_direct(spl_layer *layer, const float *kernel, spl_arena *arena) {
    float *packed =
        spl_arena_take(arena, (size_t)panels_of(layer) * PANEL * KERNEL * KERNEL * layer->in);
    layer->weights[0] = packed;
    if (!packed)
        return;
    for (unsigned panel = 0; panel < panels_of(layer); panel++)
        for (int row = 0; row < KERNEL; row++)
            for (int column = 0; column < KERNEL; column++)
                for (unsigned i = 0; i < layer->in; i++)
                    for (unsigned lane = 0; lane < PANEL; lane++)
                        *packed++ = kernel_at(layer, kernel, row, column, i, panel * PANEL + lane);
}

static void prepare_direct_transposed(spl_layer *layer, const float *kernel, spl_arena *arena) {
    for (unsigned phase = 0; phase < PHASES; phase++) {
        const int rows = three_rows(phase) ? 3 : 2, columns = three_columns(phase) ? 3 : 2;
        float *packed = spl_arena_take(arena, (size_t)panels_of(layer) * PANEL *
                                                  (unsigned)(rows * columns) * layer->in);
        layer->weights[phase] = packed;
        if (!packed)
            continue;
        for (unsigned panel = 0; panel < panels_of(layer); panel++)
            for (int row = 0; row < rows; row++)
                for (int column = 0; column < columns; column++)
                    for (unsigned i = 0; i < layer->in; i++)
                        for (unsigned lane = 0; lane < PANEL; lane++)
                            *packed++ =
                                kernel_at(layer, kernel, kernel_index(true, three_rows(phase), row),
                                          kernel_index(true, three_columns(phase), column), i,
                                          panel * PANEL + lane);
    }
}

static void prepare_pairs(spl_layer *layer, const float *kernel, spl_arena *arena) {
    float *packed =
        spl_arena_take(arena, (size_t)PAIR_LANES * PAIR_ROWS * PAIR_COLUMNS * layer->in);
    layer->weights[0] = packed;
    if (!packed)
        return;
    for (int row = 0; row < PAIR_ROWS; row++)
        for (int column = 0; column < PAIR_COLUMNS; column++)
            for (unsigned i = 0; i < layer->in; i++)
                for (int lane = 0; lane < PAIR_LANES; lane++)
                    *packed++ = kernel_at(layer, kernel, lane / 4 + 3 - 2 * row,
                                          lane % 4 + 3 - 2 * column, i, 0);
}

/* A product at one point: which of a plain layer's phases it adds up, as rows and runs of the input channels. */
typedef struct product {
    unsigned rows, run; /* in units of `in` */
} product;

static product product_at(unsigned point) {
    const bool row_infinity = point / 6 == 5, column_infinity = point % 6 == 5;
    return (product){.rows = column_infinity && !row_infinity ? 2 : 1,
                     .run = column_infinity ? 1
                            : row_infinity  ? 2
                                            : 4};
}

static bool phase_has_point(unsigned phase, unsigned point) {
    return (three_rows(phase) || point / 6 < 5) && (three_columns(phase) || point % 6 < 5);
}

/* Floats of a plain layer's weights before those of `point`. */
static size_t product_offset(const spl_layer *layer, unsigned point) {
    size_t phases = 0;
    for (unsigned p = 0; p < point; p++)
        phases += product_at(p).rows * product_at(p).run;
    return phases * layer->in * panels_of(layer) * PANEL;
}

static void prepare_winograd(spl_layer *layer, const float *kernel, spl_arena *arena) {
    const unsigned in = layer->in, panels = panels_of(layer);
    const size_t phase_floats = (size_t)POINTS * panels * in * PANEL;
    float *packed[PHASES] = {NULL};
    if (layer->transposed)
        for (unsigned phase = 0; phase < PHASES; phase++)
            packed[phase] = spl_arena_take(arena, phase_floats);
    else
        packed[0] = spl_arena_take(arena, product_offset(layer, POINTS));
    for (unsigned phase = 0; phase < PHASES; phase++)
        layer->weights[phase] = packed[phase];
    if (!arena->block)
        return;

    size_t offsets[POINTS];
    for (unsigned point = 0; point < POINTS; point++)
        offsets[point] =
            layer->transposed ? (size_t)point * panels * in * PANEL : product_offset(layer, point);
    for (unsigned phase = 0; phase < PHASES; phase++)
        for (unsigned panel = 0; panel < panels; panel++)
            for (unsigned i = 0; i < in; i++) {
                float taps[9][PANEL], points[POINTS][PANEL];
                for (int tap = 0; tap < 9; tap++)
                    for (unsigned lane = 0; lane < PANEL; lane++)
                        taps[tap][lane] = kernel_at(
                            layer, kernel,
                            kernel_index(layer->transposed, three_rows(phase), tap / 3),
                            kernel_index(layer->transposed, three_columns(phase), tap % 3), i,
                            panel * PANEL + lane);
                spl_winograd_kernels(taps, points);
                for (unsigned point = 0; point < POINTS; point++) {
                    if (!phase_has_point(phase, point))
                        continue;
                    float *to = layer->transposed ? packed[phase] : packed[0];
                    const product sum = product_at(point);
                    const unsigned depth = layer->transposed ? 1 : sum.rows * sum.run;
                    /* with columns at infinity, phases 0 and 2 are neighbours */
                    const unsigned place = layer->transposed ? 0
                                           : point % 6 == 5  ? phase / 2
                                                             : phase;
                    memcpy(to + offsets[point] + (((size_t)panel * depth + place) * in + i) * PANEL,
                           points[point], sizeof(points[point]));
                }
            }
}

void spl_layer_prepare(spl_layer *layer, const spl_layer_weights *weights, spl_arena *arena) {
    prepare_channels(layer, weights, arena);
    layer->winograd = layer->in % 8 == 0 && layer->out % 8 == 0;
    if (layer->winograd)
        prepare_winograd(layer, weights->kernel, arena);
    else if (is_pairs(layer))
        prepare_pairs(layer, weights->kernel, arena);
    else if (layer->transposed)
        prepare_direct_transposed(layer, weights->kernel, arena);
    else
        prepare_direct(layer, weights->kernel, arena);
}

/* ---- What both ways share ---- */

/* Output pixels of a layer for an input of this size, before a transposed layer interleaves its phases. */
static unsigned positions(const spl_layer *layer, unsigned input) {
    return layer->transposed ? input : input / 2;
}

/* Where phase `phase` writes position (row, column): its finish for that pixel and those right of it. */
static spl_finish finish_at(const spl_layer *layer, const spl_layer_run *run, unsigned phase,
                            unsigned row, unsigned column, unsigned channel) {
    const unsigned stride = layer->transposed ? 2 : 1;
    const unsigned y = stride * row + (layer->transposed && three_rows(phase));
    const unsigned x = stride * column + (layer->transposed && three_columns(phase));
    spl_finish finish = {
        .order = !run->out.plane     ? SPL_FINISH_RAW
                 : layer->transposed ? SPL_FINISH_ACT_NORM
                                     : SPL_FINISH_NORM_ACT,
        .activation = layer->activation,
        .bias = layer->bias + channel,
        .scale = layer->scale + channel,
        .shift = layer->shift + channel,
        .channels = layer->out - channel,
    };
    const spl_plane *raw = run->raw.plane, *out = run->out.plane;
    if (raw) {
        finish.raw_step = (ptrdiff_t)(stride * raw->channels);
        finish.raw =
            raw->origin + y * raw->row_floats + x * raw->channels + run->raw.channel + channel;
    }
    if (out) {
        finish.out_step = (ptrdiff_t)(stride * out->channels);
        finish.out =
            out->origin + y * out->row_floats + x * out->channels + run->out.channel + channel;
    }
    return finish;
}

/* ---- Direct ---- */

/* A task is a block of rows for one panel; with few weights, for all panels. */
typedef struct direct {
    const spl_layer *layer;
    const spl_layer_run *run;
    unsigned rows, columns; /* positions */
    unsigned block, blocks; /* rows of a task; tasks of a group of panels */
    unsigned group;         /* panels of a task */
} direct;

static void direct_row(const direct *d, unsigned phase, unsigned y, unsigned panel) {
    const spl_layer *layer = d->layer;
    const spl_plane *in = d->run->in;
    const unsigned stride = layer->transposed ? 1 : 2, channel = panel * PANEL;
    const unsigned rows = !layer->transposed ? KERNEL : three_rows(phase) ? 3 : 2;
    const unsigned columns = !layer->transposed ? KERNEL : three_columns(phase) ? 3 : 2;
    spl_conv_row row = {
        .input = in->corner + stride * y * in->row_floats,
        .row_stride = (ptrdiff_t)in->row_floats,
        .rows = rows,
        .run = columns * layer->in,
        .step = (ptrdiff_t)(stride * layer->in),
        .width = d->columns,
        .weights = layer->weights[phase] + (size_t)panel * PANEL * rows * columns * layer->in,
        .lanes = PANEL,
        .finish = finish_at(layer, d->run, phase, y, 0, channel),
    };
    row.finish.channels = SPL_MIN(row.finish.channels, (unsigned)PANEL);
    d->run->kernels->conv_row(&row);
}

static void direct_task(void *user, size_t task, unsigned thread) {
    (void)thread;
    const direct *d = user;
    const unsigned first_panel = (unsigned)(task / d->blocks) * d->group;
    const unsigned first_row = (unsigned)(task % d->blocks) * d->block;
    const unsigned end_row = SPL_MIN(first_row + d->block, d->rows);
    const unsigned phases = d->layer->transposed ? PHASES : 1;
    for (unsigned phase = 0; phase < phases; phase++)
        for (unsigned y = first_row; y < end_row; y++)
            for (unsigned panel = first_panel; panel < first_panel + d->group; panel++)
                direct_row(d, phase, y, panel);
}

static void pairs_task(void *user, size_t task, unsigned thread) {
    const direct *d = user;
    const spl_layer *layer = d->layer;
    const spl_plane *in = d->run->in, *to = d->run->out.plane;
    const unsigned pairs = d->columns / 2;
    const unsigned first_row = (unsigned)task * d->block;
    const unsigned end_row = SPL_MIN(first_row + d->block, d->rows);
    float *outputs = d->run->scratch + (size_t)thread * pairs * PAIR_LANES;
    for (unsigned y = first_row; y < end_row; y++) {
        d->run->kernels->conv_row(&(spl_conv_row){
            .input = in->corner + y * in->row_floats,
            .row_stride = (ptrdiff_t)in->row_floats,
            .rows = PAIR_ROWS,
            .run = PAIR_COLUMNS * layer->in,
            .step = (ptrdiff_t)(2 * layer->in),
            .width = pairs,
            .weights = layer->weights[0],
            .lanes = PAIR_LANES,
            .finish = {.order = SPL_FINISH_ACT_NORM,
                       .activation = layer->activation,
                       .bias = layer->bias,
                       .scale = layer->scale,
                       .shift = layer->shift,
                       .channels = PAIR_LANES,
                       .out = outputs,
                       .out_step = PAIR_LANES},
        });
        float *even = to->origin + 2 * y * to->row_floats, *odd = even + to->row_floats;
        for (unsigned x = 0; x < pairs; x++) {
            memcpy(even + 4 * x, outputs + x * PAIR_LANES, 4 * sizeof(float));
            memcpy(odd + 4 * x, outputs + x * PAIR_LANES + 4, 4 * sizeof(float));
        }
    }
}

static void apply_direct(const spl_layer *layer, const spl_layer_run *run) {
    const bool cached =
        (size_t)KERNEL * KERNEL * layer->in * layer->out * sizeof(float) <= cached_weights_bytes;
    direct d = {.layer = layer,
                .run = run,
                .rows = positions(layer, run->in->rows),
                .columns = positions(layer, run->in->columns)};
    d.block = SPL_MIN(d.rows, cached ? 4u : 16u);
    d.blocks = (d.rows + d.block - 1) / d.block;
    d.group = cached ? panels_of(layer) : 1;
    spl_pool_run(run->pool, d.blocks * (panels_of(layer) / d.group),
                 is_pairs(layer) ? pairs_task : direct_task, &d);
}

/* ---- Winograd ---- */

typedef struct tiles {
    const spl_layer *layer;
    const spl_layer_run *run;
    unsigned rows, columns;       /* positions */
    unsigned tile_columns, count; /* tiles in a row, tiles in all */
    unsigned block, blocks;       /* tiles of a block of the fused way */
    unsigned input_depth; /* floats of a tile at a point of the input: channels of all its phases */
    unsigned output_depth; /* and of the output */
} tiles;

/* The points of some tiles: [point][tile][depth], with a step between points that is an odd number of cache lines, so that
 * those of one tile do not fall into the same set of the cache. */
typedef struct point_buffers {
    float *input, *output;
    size_t input_step, output_step;
} point_buffers;

static tiles tiles_of(const spl_layer *layer, unsigned in_rows, unsigned in_columns) {
    tiles t = {.layer = layer,
               .rows = positions(layer, in_rows),
               .columns = positions(layer, in_columns),
               .input_depth = (layer->transposed ? 1 : PHASES) * layer->in,
               .output_depth = (layer->transposed ? PHASES : 1) * panels_of(layer) * PANEL};
    t.tile_columns = (t.columns + TILE - 1) / TILE;
    t.count = t.tile_columns * ((t.rows + TILE - 1) / TILE);
    const size_t tile_bytes = (size_t)POINTS * (t.input_depth + t.output_depth) * sizeof(float);
    const size_t weights_bytes = (size_t)POINTS * PHASES * layer->in * layer->out * sizeof(float);
    t.block = weights_bytes > fused_weights_bytes
                  ? t.count
                  : (unsigned)SPL_MIN(spl_round_up(fused_block_bytes / tile_bytes, 6), t.count);
    t.blocks = (t.count + t.block - 1) / t.block;
    return t;
}

static size_t point_step(const tiles *t, unsigned depth) {
    const size_t line = 16, lines = ((size_t)t->block * depth + line - 1) / line;
    return (lines | 1) * line;
}

static size_t buffer_floats(const tiles *t) {
    return POINTS * (point_step(t, t->input_depth) + point_step(t, t->output_depth));
}

static point_buffers buffers_of(const tiles *t, unsigned thread) {
    float *memory = t->run->scratch + (t->blocks > 1 ? thread : 0) * buffer_floats(t);
    const size_t input_step = point_step(t, t->input_depth);
    return (point_buffers){.input = memory,
                           .output = memory + POINTS * input_step,
                           .input_step = input_step,
                           .output_step = point_step(t, t->output_depth)};
}

static void transform_input(const tiles *t, const point_buffers *buffers, unsigned tile,
                            unsigned place) {
    const spl_layer *layer = t->layer;
    const spl_plane *in = t->run->in;
    const unsigned stride = layer->transposed ? 1 : 2;
    const unsigned row = tile / t->tile_columns * TILE, column = tile % t->tile_columns * TILE;
    const unsigned phases = layer->transposed ? 1 : PHASES;
    for (unsigned phase = 0; phase < phases; phase++) {
        const bool whole = layer->transposed;
        const unsigned y = stride * row + (!whole && !three_rows(phase));
        const unsigned x = stride * column + (!whole && !three_columns(phase));
        t->run->kernels->winograd_input(&(spl_winograd_input){
            .pixels = in->corner + y * in->row_floats + (size_t)x * in->channels,
            .row_step = (ptrdiff_t)(stride * in->row_floats),
            .column_step = (ptrdiff_t)(stride * in->channels),
            .channels = layer->in,
            .rows = whole || three_rows(phase) ? 6 : 5,
            .columns = whole || three_columns(phase) ? 6 : 5,
            .points = buffers->input + (size_t)place * t->input_depth + phase * layer->in,
            .point_step = (ptrdiff_t)buffers->input_step,
        });
    }
}

/* Panels [first_panel, end_panel) of a point's product, for all tiles of the buffers up to `count`. */
static void multiply(const tiles *t, const point_buffers *buffers, unsigned point, unsigned count,
                     unsigned first_panel, unsigned end_panel) {
    static const float zeros[PANEL];
    const spl_layer *layer = t->layer;
    const unsigned panels = panels_of(layer), in = layer->in;
    const product sum = product_at(point);
    spl_conv_row row = {
        .input = buffers->input + point * buffers->input_step,
        .row_stride = 2 * (ptrdiff_t)in,
        .rows = layer->transposed ? 1 : sum.rows,
        .run = (layer->transposed ? 1 : sum.run) * in,
        .step = t->input_depth,
        .width = count,
        .lanes = PANEL,
        .finish = {.order = SPL_FINISH_RAW,
                   .bias = zeros,
                   .channels = PANEL,
                   .raw_step = t->output_depth},
    };
    const size_t panel_floats = (size_t)row.rows * row.run * PANEL;
    float *output = buffers->output + point * buffers->output_step;
    for (unsigned phase = 0; phase < (layer->transposed ? PHASES : 1); phase++) {
        if (layer->transposed && !phase_has_point(phase, point))
            continue;
        const float *weights =
            layer->weights[phase] +
            (layer->transposed ? point * panels * panel_floats : product_offset(layer, point));
        for (unsigned panel = first_panel; panel < end_panel; panel++) {
            row.weights = weights + panel * panel_floats;
            row.finish.raw = output + (phase * panels + panel) * PANEL;
            t->run->kernels->conv_row(&row);
        }
    }
}

static void transform_output(const tiles *t, const point_buffers *buffers, unsigned tile,
                             unsigned place) {
    const spl_layer *layer = t->layer;
    const spl_plane *raw = t->run->raw.plane, *out = t->run->out.plane;
    const unsigned stride = layer->transposed ? 2 : 1;
    const unsigned row = tile / t->tile_columns * TILE, column = tile % t->tile_columns * TILE;
    for (unsigned phase = 0; phase < (layer->transposed ? PHASES : 1); phase++) {
        const bool whole = !layer->transposed;
        t->run->kernels->winograd_output(&(spl_winograd_output){
            .points = buffers->output + (size_t)place * t->output_depth +
                      (size_t)phase * panels_of(layer) * PANEL,
            .point_step = (ptrdiff_t)buffers->output_step,
            .rows = whole || three_rows(phase) ? 6 : 5,
            .columns = whole || three_columns(phase) ? 6 : 5,
            .height = SPL_MIN(t->rows - row, (unsigned)TILE),
            .width = SPL_MIN(t->columns - column, (unsigned)TILE),
            .finish = finish_at(layer, t->run, phase, row, column, 0),
            .raw_row_step = raw ? (ptrdiff_t)(stride * raw->row_floats) : 0,
            .out_row_step = out ? (ptrdiff_t)(stride * out->row_floats) : 0,
        });
    }
}

static void fused_task(void *user, size_t task, unsigned thread) {
    const tiles *t = user;
    const point_buffers buffers = buffers_of(t, thread);
    const unsigned first = (unsigned)task * t->block, count = SPL_MIN(t->block, t->count - first);
    for (unsigned place = 0; place < count; place++)
        transform_input(t, &buffers, first + place, place);
    for (unsigned point = 0; point < POINTS; point++)
        multiply(t, &buffers, point, count, 0, panels_of(t->layer));
    for (unsigned place = 0; place < count; place++)
        transform_output(t, &buffers, first + place, place);
}

static void input_task(void *user, size_t task, unsigned thread) {
    const tiles *t = user;
    const point_buffers buffers = buffers_of(t, thread);
    transform_input(t, &buffers, (unsigned)task, (unsigned)task);
}

static void multiply_task(void *user, size_t task, unsigned thread) {
    const tiles *t = user;
    const point_buffers buffers = buffers_of(t, thread);
    const unsigned panels = panels_of(t->layer), half = (panels + 1) / 2;
    const unsigned first = task % 2 ? half : 0, end = task % 2 ? panels : half;
    multiply(t, &buffers, (unsigned)(task / 2), t->count, first, end);
}

static void output_task(void *user, size_t task, unsigned thread) {
    const tiles *t = user;
    const point_buffers buffers = buffers_of(t, thread);
    transform_output(t, &buffers, (unsigned)task, (unsigned)task);
}

static void apply_winograd(const spl_layer *layer, const spl_layer_run *run) {
    tiles t = tiles_of(layer, run->in->rows, run->in->columns);
    t.run = run;
    if (t.blocks > 1) {
        spl_pool_run(run->pool, t.blocks, fused_task, &t);
        return;
    }
    spl_pool_run(run->pool, t.count, input_task, &t);
    spl_pool_run(run->pool, 2 * POINTS, multiply_task, &t);
    spl_pool_run(run->pool, t.count, output_task, &t);
}

size_t spl_layer_scratch(const spl_layer *layer, unsigned rows, unsigned columns,
                         unsigned threads) {
    if (is_pairs(layer))
        return (size_t)threads * columns / 2 * PAIR_LANES;
    if (!layer->winograd)
        return 0;
    const tiles t = tiles_of(layer, rows, columns);
    return buffer_floats(&t) * (t.blocks > 1 ? threads : 1);
}

double spl_layer_flop(const spl_layer *layer, const spl_plane *in) {
    return 2.0 * positions(layer, in->rows) * positions(layer, in->columns) * KERNEL * KERNEL *
           layer->in * layer->out;
}

void spl_layer_apply(const spl_layer *layer, const spl_layer_run *run) {
    if (layer->winograd)
        apply_winograd(layer, run);
    else
        apply_direct(layer, run);
}

/* SPDX-License-Identifier: MIT
 *
 * Convolution layers: packing of weights, the direct way, and Winograd's.
 *
 * Phase f of a layer is one of its four convolutions of stride 1: it has 3 rows of taps for f < 2 and 2 for the
 * others, 3 columns for even f and 2 for odd.
 *
 *   direct     weights[parity] is [panel][row][column * in + channel][16]; a plain convolution has one window of 5x5
 *   single     a transposed layer with one output channel: [in][25], for each row and column of the window of 3x3
 *              inputs the taps from there
 *   Winograd   weights[0] of a transposed layer is [phase][panel][point][in][16], of the points that the phase has; the
 *              phases of a plain one are input channels to one product: [panel][point][f * in + channel][16]
 *
 * Winograd's tiles go through three stages, a group of tiles at a time: input transform, and for each panel of output
 * channels one matrix product a point, and the output transform with bias, norm and activation. With few weights
 * a thread takes a block of tiles through all stages, in its own cache; with many, all threads transform all tiles, and
 * then take one panel after the other, so that weights are read once.
 */
#include "model/layer.h"

#include <assert.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>

enum {
    PANEL = SPL_PANEL,
    KERNEL = 5,
    GROUP = SPL_WINOGRAD_GROUP,
    POINTS_MAX = SPL_WINOGRAD_POINTS_MAX,
    PHASES = 4,
    SINGLE_ROWS = 16, /* of a task */
};

/* A core's cache holds the weights of all panels together up to this size. */
static const size_t cached_weights_bytes = 256 << 10;
/* Winograd: up to this size of the weights a thread takes tiles through all stages. */
static const size_t fused_weights_bytes = 3 << 20;
/* Winograd: points of a block of tiles, input and output together. */
static const size_t fused_block_bytes = 352 << 10;
/* Winograd: weights of tiles of 4x4 outputs beyond this size are too many for what they save; tiles are 2x2 then. */
static const size_t large_tile_weights_bytes = 48 << 20;

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

/* At least `floats`, an odd number of cache lines: so far apart, neighbours do not fall into the same set of the cache. */
static size_t odd_lines(size_t floats) {
    const size_t line = 16;
    return ((floats + line - 1) / line | 1) * line;
}

static unsigned panels_of(const spl_layer *layer) {
    return (layer->out + PANEL - 1) / PANEL;
}

static bool is_single(const spl_layer *layer) {
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
        const unsigned o = is_single(layer) ? 0 : SPL_MIN(lane, layer->out - 1);
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

static void prepare_single(spl_layer *layer, const float *kernel, spl_arena *arena) {
    float *packed = spl_arena_take(arena, (size_t)SPL_SINGLE_TAPS * layer->in);
    layer->weights[0] = packed;
    if (!packed)
        return;
    for (unsigned i = 0; i < layer->in; i++)
        for (int r = 0; r < 3; r++)
            for (int k = 0; k < 3; k++)
                for (int row = r == 2; row < 2; row++)
                    for (int column = k == 2; column < 2; column++)
                        *packed++ =
                            kernel_at(layer, kernel, row + 3 - 2 * r, column + 3 - 2 * k, i, 0);
}

/* ---- Winograd's weights ---- */

static unsigned points_each_way(const spl_layer *layer) {
    return layer->tile + 2;
}

static bool phase_has_point(const spl_layer *layer, unsigned phase, unsigned point) {
    const unsigned n = points_each_way(layer);
    return (three_rows(phase) || point / n < n - 1) && (three_columns(phase) || point % n < n - 1);
}

/* A product at one point, as rows and runs of the input channels. That of a plain layer adds up those phases that have the
 * point: all, or 0 and 1 where rows are at infinity, 0 and 2 where columns are, 0 where both are. */
typedef struct product {
    unsigned rows, run; /* in units of `in` */
} product;

static product product_at(const spl_layer *layer, unsigned point) {
    const unsigned n = points_each_way(layer);
    const bool row_infinity = point / n == n - 1, column_infinity = point % n == n - 1;
    if (layer->transposed)
        return (product){.rows = 1, .run = 1};
    return (product){.rows = column_infinity && !row_infinity ? 2 : 1,
                     .run = column_infinity ? 1
                            : row_infinity  ? 2
                                            : 4};
}

/* Floats of a panel's weights for `phase` before those of `point`. */
static size_t point_offset(const spl_layer *layer, unsigned phase, unsigned point) {
    size_t depth = 0;
    for (unsigned p = 0; p < point; p++)
        if (!layer->transposed || phase_has_point(layer, phase, p))
            depth += (size_t)product_at(layer, p).rows * product_at(layer, p).run;
    return depth * layer->in * PANEL;
}

/* Floats of the weights before those of a panel of a phase; a plain layer's phases are together, as phase 0. */
static size_t panel_offset(const spl_layer *layer, unsigned phase, unsigned panel) {
    const unsigned n = points_each_way(layer);
    size_t floats = panel * point_offset(layer, phase, n * n);
    for (unsigned f = 0; f < phase; f++)
        floats += panels_of(layer) * point_offset(layer, f, n * n);
    return floats;
}

/* The kernels of 16 output channels and all input channels in one phase. */
static void prepare_winograd_panel(const spl_layer *layer, const float *kernel, unsigned phase,
                                   unsigned panel, float *packed) {
    const unsigned in = layer->in, n = points_each_way(layer);
    float *at[POINTS_MAX];
    for (unsigned point = 0; point < n * n; point++) {
        /* with columns at infinity, phases 0 and 2 are neighbours */
        const unsigned place = layer->transposed ? 0 : point % n == n - 1 ? phase / 2 : phase;
        at[point] = packed + point_offset(layer, layer->transposed ? phase : 0, point) +
                    (size_t)place * in * PANEL;
    }
    float taps[9][PANEL] = {{0}}, points[POINTS_MAX][PANEL];
    const unsigned channels = SPL_MIN(layer->out - panel * PANEL, (unsigned)PANEL);
    const size_t in_step = layer->transposed ? 1 : layer->out;
    const size_t out_step = layer->transposed ? in : 1;
    for (unsigned i = 0; i < in; i++) {
        for (int tap = 0; tap < 9; tap++) {
            const int row = kernel_index(layer->transposed, three_rows(phase), tap / 3);
            const int column = kernel_index(layer->transposed, three_columns(phase), tap % 3);
            if (row < 0 || column < 0)
                continue;
            const float *from = kernel + (size_t)(row * KERNEL + column) * in * layer->out +
                                i * in_step + panel * PANEL * out_step;
            for (unsigned lane = 0; lane < channels; lane++)
                taps[tap][lane] = from[lane * out_step];
        }
        spl_winograd_kernels(layer->tile, taps, points);
        for (unsigned point = 0; point < n * n; point++)
            if (phase_has_point(layer, phase, point))
                memcpy(at[point] + (size_t)i * PANEL, points[point], sizeof(points[point]));
    }
}

static void prepare_winograd(spl_layer *layer, const float *kernel, spl_arena *arena) {
    const size_t floats = layer->transposed ? panel_offset(layer, PHASES - 1, panels_of(layer))
                                            : panel_offset(layer, 0, panels_of(layer));
    float *packed = spl_arena_take(arena, floats);
    layer->weights[0] = packed;
    if (!packed)
        return;
    for (unsigned phase = 0; phase < PHASES; phase++)
        for (unsigned panel = 0; panel < panels_of(layer); panel++)
            prepare_winograd_panel(layer, kernel, phase, panel,
                                   packed +
                                       panel_offset(layer, layer->transposed ? phase : 0, panel));
}

void spl_layer_prepare(spl_layer *layer, const spl_layer_weights *weights, spl_arena *arena) {
    prepare_channels(layer, weights, arena);
    const bool winograd = layer->in % 8 == 0 && layer->out % 8 == 0;
    const size_t large_bytes = (size_t)POINTS_MAX * PHASES * layer->in * layer->out * sizeof(float);
    layer->tile = !winograd ? 0 : large_bytes > large_tile_weights_bytes ? 2 : 4;
    if (winograd)
        prepare_winograd(layer, weights->kernel, arena);
    else if (is_single(layer))
        prepare_single(layer, weights->kernel, arena);
    else if (layer->transposed)
        prepare_direct_transposed(layer, weights->kernel, arena);
    else
        prepare_direct(layer, weights->kernel, arena);
}

/* ---- What both ways share ---- */

/* Output columns of a layer for an input of so many, before a transposed layer interleaves its phases. */
static unsigned positions(const spl_layer *layer, unsigned input) {
    return layer->transposed ? input : input / 2;
}

/* The same of the rows that a run wants. */
static unsigned wanted_rows(const spl_layer *layer, const spl_layer_run *run) {
    return layer->transposed ? (run->rows + 1) / 2 : run->rows;
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

/* Floats between channels of a row with its pixels in the lanes, and of one such row; pixel 0 stands after one of the
 * border. */
static size_t single_channel_step(unsigned columns) {
    return odd_lines(columns + 2);
}

static size_t single_row_floats(const spl_layer *layer, unsigned columns) {
    return layer->in * single_channel_step(columns);
}

static void single_task(void *user, size_t task, unsigned thread) {
    const direct *d = user;
    const spl_layer *layer = d->layer;
    const spl_plane *in = d->run->in, *to = d->run->out.plane;
    const unsigned first = (unsigned)task * SINGLE_ROWS,
                   end = SPL_MIN(first + SINGLE_ROWS, d->rows);
    const size_t step = single_channel_step(d->columns),
                 floats = single_row_floats(layer, d->columns);
    float *rows = d->run->scratch + thread * 3 * floats;
    spl_single_row row = {
        .channel_step = (ptrdiff_t)step,
        .channels = layer->in,
        .width = d->columns,
        .weights = layer->weights[0],
        .activation = layer->activation,
        .bias = layer->bias[0],
        .scale = layer->scale[0],
        .shift = layer->shift[0],
    };
    for (unsigned y = first; y < end + 2;
         y++) { /* with the border, whose first row is above row 0 */
        d->run->kernels->transpose(in->corner + y * in->row_floats, d->columns + 2, layer->in,
                                   rows + y % 3 * floats, (ptrdiff_t)step);
        if (y < first + 2)
            continue;
        for (unsigned r = 0; r < 3; r++)
            row.input[r] = rows + (y - 2 + r) % 3 * floats + 1;
        row.out[0] = to->origin + 2 * (y - 2) * to->row_floats;
        row.out[1] = row.out[0] + to->row_floats;
        d->run->kernels->single_row(&row);
    }
}

static void apply_single(const spl_layer *layer, const spl_layer_run *run) {
    direct d = {
        .layer = layer, .run = run, .rows = wanted_rows(layer, run), .columns = run->in->columns};
    spl_pool_run(run->pool, (d.rows + SINGLE_ROWS - 1) / SINGLE_ROWS, single_task, &d);
}

static void apply_direct(const spl_layer *layer, const spl_layer_run *run) {
    const bool cached =
        (size_t)KERNEL * KERNEL * layer->in * layer->out * sizeof(float) <= cached_weights_bytes;
    direct d = {.layer = layer,
                .run = run,
                .rows = wanted_rows(layer, run),
                .columns = positions(layer, run->in->columns)};
    d.block = SPL_MIN(d.rows, cached ? 4u : 16u);
    d.blocks = (d.rows + d.block - 1) / d.block;
    d.group = cached ? panels_of(layer) : 1;
    spl_pool_run(run->pool, d.blocks * (panels_of(layer) / d.group), direct_task, &d);
}

/* ---- Winograd ---- */

typedef struct tiles {
    const spl_layer *layer;
    const spl_layer_run *run;
    unsigned rows, columns;       /* positions */
    unsigned tile_columns, count; /* tiles in a row, tiles in all */
    unsigned block, blocks;       /* tiles of a block, whole groups of them */
    unsigned depth; /* channels of a tile's input at a point, those of all its phases */
    size_t input_step, output_step; /* floats between points */
} tiles;

static tiles tiles_of(const spl_layer *layer, unsigned rows, unsigned columns) {
    tiles t = {.layer = layer,
               .rows = rows,
               .columns = columns,
               .depth = (layer->transposed ? 1 : PHASES) * layer->in};
    t.tile_columns = (t.columns + layer->tile - 1) / layer->tile;
    t.count = t.tile_columns * ((t.rows + layer->tile - 1) / layer->tile);
    const unsigned points = points_each_way(layer) * points_each_way(layer);
    const size_t tile_bytes = (size_t)points * (t.depth + PANEL) * sizeof(float);
    const size_t weights_bytes = (size_t)points * PHASES * layer->in * layer->out * sizeof(float);
    t.block = (unsigned)spl_round_up(
        weights_bytes > fused_weights_bytes ? t.count : fused_block_bytes / tile_bytes, GROUP);
    t.blocks = (t.count + t.block - 1) / t.block;
    t.input_step = odd_lines((size_t)t.block * t.depth);
    t.output_step = odd_lines((size_t)t.block * PANEL);
    return t;
}

/* The points of a block's input, of each thread or shared, lie before those of each thread's output. */
static float *input_points(const tiles *t, unsigned thread) {
    const unsigned n = points_each_way(t->layer);
    return t->run->scratch + (t->blocks > 1 ? thread : 0) * n * n * t->input_step;
}

static float *output_points(const tiles *t, unsigned thread) {
    const unsigned n = points_each_way(t->layer);
    return input_points(t, spl_pool_threads(t->run->pool) - 1) +
           n * n * (t->input_step + thread * t->output_step);
}

/* The input of a group of tiles, of which some may be beyond the last. */
static void transform_input(const tiles *t, unsigned first, float *points) {
    const spl_layer *layer = t->layer;
    const spl_plane *in = t->run->in;
    const bool whole = layer->transposed;
    const unsigned n = points_each_way(layer), stride = whole ? 1 : 2;
    for (unsigned phase = 0; phase < (whole ? 1 : PHASES); phase++) {
        spl_winograd_input input = {
            .tile = layer->tile,
            .tiles = SPL_MIN((unsigned)GROUP, t->count - first),
            .row_step = (ptrdiff_t)(stride * in->row_floats),
            .column_step = (ptrdiff_t)(stride * in->channels),
            .channels = layer->in,
            .ahead = (ptrdiff_t)(GROUP * stride * layer->tile * in->channels),
            .rows = n - !(whole || three_rows(phase)),
            .columns = n - !(whole || three_columns(phase)),
            .points = points + (size_t)phase * layer->in * GROUP,
            .point_step = (ptrdiff_t)t->input_step,
        };
        for (unsigned i = 0; i < input.tiles; i++) {
            const unsigned row = (first + i) / t->tile_columns,
                           column = (first + i) % t->tile_columns;
            const unsigned y = stride * layer->tile * row + (!whole && !three_rows(phase));
            const unsigned x = stride * layer->tile * column + (!whole && !three_columns(phase));
            input.pixels[i] = in->corner + y * in->row_floats + (size_t)x * in->channels;
        }
        t->run->kernels->winograd_input(&input);
    }
}

static void transform_output(const tiles *t, unsigned tile, unsigned phase, unsigned panel,
                             const float *points) {
    const spl_layer *layer = t->layer;
    const spl_plane *raw = t->run->raw.plane, *out = t->run->out.plane;
    const bool whole = !layer->transposed;
    const unsigned n = points_each_way(layer), stride = whole ? 1 : 2;
    const unsigned row = tile / t->tile_columns * layer->tile;
    const unsigned column = tile % t->tile_columns * layer->tile;
    spl_winograd_output output = {
        .tile = layer->tile,
        .points = points,
        .point_step = (ptrdiff_t)t->output_step,
        .rows = n - !(whole || three_rows(phase)),
        .columns = n - !(whole || three_columns(phase)),
        .height = SPL_MIN(t->rows - row, layer->tile),
        .width = SPL_MIN(t->columns - column, layer->tile),
        .finish = finish_at(layer, t->run, phase, row, column, panel * PANEL),
        .raw_row_step = raw ? (ptrdiff_t)(stride * raw->row_floats) : 0,
        .out_row_step = out ? (ptrdiff_t)(stride * out->row_floats) : 0,
        .raw_ahead = raw ? (ptrdiff_t)(1 * stride * layer->tile * raw->channels) : 0,
        .out_ahead = out ? (ptrdiff_t)(1 * stride * layer->tile * out->channels) : 0,
    };
    output.finish.channels = SPL_MIN(output.finish.channels, (unsigned)PANEL);
    t->run->kernels->winograd_output(&output);
}

/* One panel of one phase of `count` tiles from `first` on: products at all points, and what becomes of them. */
static void panel_of_tiles(const tiles *t, unsigned first, unsigned count, unsigned phase,
                           unsigned panel, const float *input, float *output) {
    const spl_layer *layer = t->layer;
    const unsigned n = points_each_way(layer);
    const float *weights = layer->weights[0] + panel_offset(layer, phase, panel);
    for (unsigned point = 0; point < n * n; point++) {
        if (layer->transposed && !phase_has_point(layer, phase, point))
            continue;
        const product sum = product_at(layer, point);
        const spl_winograd_product run = {
            .input = input + point * t->input_step,
            .group_step = (ptrdiff_t)t->depth * GROUP,
            .row_step = 2 * (ptrdiff_t)layer->in * GROUP,
            .groups = (count + GROUP - 1) / GROUP,
            .rows = sum.rows,
            .run = sum.run * layer->in,
            .weights = weights,
            .output = output + point * t->output_step,
        };
        t->run->kernels->winograd_product(&run);
        weights += (size_t)run.rows * run.run * PANEL;
    }
    for (unsigned tile = 0; tile < count; tile++)
        transform_output(t, first + tile, phase, panel, output + (size_t)tile * PANEL);
}

static void block_task(void *user, size_t task, unsigned thread) {
    const tiles *t = user;
    float *input = input_points(t, thread), *output = output_points(t, thread);
    const unsigned first = (unsigned)task * t->block, count = SPL_MIN(t->block, t->count - first);
    for (unsigned tile = 0; tile < count; tile += GROUP)
        transform_input(t, first + tile, input + (size_t)tile * t->depth);
    for (unsigned phase = 0; phase < (t->layer->transposed ? PHASES : 1); phase++)
        for (unsigned panel = 0; panel < panels_of(t->layer); panel++)
            panel_of_tiles(t, first, count, phase, panel, input, output);
}

static void input_task(void *user, size_t task, unsigned thread) {
    (void)thread;
    const tiles *t = user;
    const unsigned first = (unsigned)task * GROUP;
    transform_input(t, first, input_points(t, 0) + (size_t)first * t->depth);
}

static void panel_task(void *user, size_t task, unsigned thread) {
    const tiles *t = user;
    const unsigned panels = panels_of(t->layer);
    panel_of_tiles(t, 0, t->count, (unsigned)task / panels, (unsigned)task % panels,
                   input_points(t, 0), output_points(t, thread));
}

static void apply_winograd(const spl_layer *layer, const spl_layer_run *run) {
    tiles t = tiles_of(layer, wanted_rows(layer, run), positions(layer, run->in->columns));
    t.run = run;
    if (t.blocks > 1) {
        spl_pool_run(run->pool, t.blocks, block_task, &t);
        return;
    }
    spl_pool_run(run->pool, (t.count + GROUP - 1) / GROUP, input_task, &t);
    spl_pool_run(run->pool, (layer->transposed ? PHASES : 1) * panels_of(layer), panel_task, &t);
}

size_t spl_layer_scratch(const spl_layer *layer, unsigned rows, unsigned columns,
                         unsigned threads) {
    if (is_single(layer))
        return threads * 3 * single_row_floats(layer, columns);
    if (!layer->tile)
        return 0;
    const tiles t = tiles_of(layer, positions(layer, rows), positions(layer, columns));
    const unsigned n = points_each_way(layer);
    return (size_t)n * n * ((t.blocks > 1 ? threads : 1) * t.input_step + threads * t.output_step);
}

double spl_layer_flop(const spl_layer *layer, const spl_layer_run *run) {
    return 2.0 * wanted_rows(layer, run) * positions(layer, run->in->columns) * KERNEL * KERNEL *
           layer->in * layer->out;
}

void spl_layer_apply(const spl_layer *layer, const spl_layer_run *run) {
    if (is_single(layer))
        apply_single(layer, run);
    else if (layer->tile)
        apply_winograd(layer, run);
    else
        apply_direct(layer, run);
}

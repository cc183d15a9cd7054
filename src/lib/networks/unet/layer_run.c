/* SPDX-License-Identifier: MIT
 *
 * Runs a convolution layer, directly or by Winograd's algorithm.
 *
 * Winograd's algorithm processes a group of tiles at a time: the input transform, then for each two
 * panels of output channels one matrix product per element of the transformed tiles, and the output
 * transform with bias, norm and activation.
 *
 * With few weights, a thread takes a block of tiles through all stages in its own cache. With many,
 * all threads first transform all tiles and then process two panels at a time, so that weights are
 * read from memory once. These weights are stored as taps and transformed on the fly, one row at a
 * time: that is faster than reading the transformed weights, which are five times as large.
 */
#include "lib/networks/unet/layer_layout.h"

enum {
    TILE = SPL_WINOGRAD_TILE,
    GROUP = SPL_WINOGRAD_GROUP,
    PANELS = 2,       /* panels per product */
    SINGLE_ROWS = 16, /* rows of a task */
};

/* The size up to which the weights of all panels fit into a core's cache. */
static const size_t cached_weights_bytes = 256 << 10;
/* Winograd: the size of a block's transformed inputs and products together. */
static const size_t block_bytes = 256 << 10;

/* The last tile may extend beyond the plane by up to 3 outputs. */
unsigned spl_layer_border_after(bool transposed) {
    return transposed ? 1 + 3 + 1 : 2 + 2 * 3 + 1;
}

/* Rounds up to an odd number of cache lines, so that adjacent arrays do not fall into the same
 * cache set. */
static size_t odd_lines(size_t floats) {
    const size_t line = 16;
    return ((floats + line - 1) / line | 1) * line;
}

/* ---- Shared by both algorithms ---- */

/* The output columns for `input` input columns, before a transposed layer interleaves its
 * phases. */
static unsigned positions(const spl_layer *layer, unsigned input) {
    return layer->transposed ? input : input / 2;
}

/* The rows that a run needs, likewise before interleaving. */
static unsigned wanted_rows(const spl_layer *layer, const spl_layer_run *run) {
    return layer->transposed ? (run->rows + 1) / 2 : run->rows;
}

/* The finish of phase `phase` at position (row, column): it applies to that pixel and those to its
 * right. */
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
        finish.raw_step = (ptrdiff_t)stride * raw->channels;
        finish.raw =
            raw->origin + y * raw->row_floats + x * raw->channels + run->raw.channel + channel;
    }
    if (out) {
        finish.out_step = (ptrdiff_t)stride * out->channels;
        finish.out =
            out->origin + y * out->row_floats + x * out->channels + run->out.channel + channel;
    }
    return finish;
}

/* ---- Direct ---- */

/* A task is a block of rows for one panel or, with few weights, for all panels. */
typedef struct direct {
    const spl_layer *layer;
    const spl_layer_run *run;
    unsigned rows, columns; /* positions */
    unsigned block, blocks; /* rows of a task; tasks per group of panels */
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
    d->layer->kernels->conv_row(&row);
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

/* The number of floats between channels of a row with pixels in the lanes. Pixel 0 follows one
 * border pixel. */
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
    /* Includes the border, whose first row is above row 0. */
    for (unsigned y = first; y < end + 2; y++) {
        layer->kernels->transpose(in->corner + y * in->row_floats, in->channels, d->columns + 2,
                                  layer->in, rows + y % 3 * floats, (ptrdiff_t)step);
        if (y < first + 2)
            continue;
        for (unsigned r = 0; r < 3; r++)
            row.input[r] = rows + (y - 2 + r) % 3 * floats + 1;
        row.ahead = in->corner + (y + 1) * in->row_floats;
        row.out[0] = to->origin + 2 * (y - 2) * to->row_floats;
        row.out[1] = row.out[0] + to->row_floats;
        d->layer->kernels->single_row(&row);
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
    unsigned tile_columns, count; /* tiles in a row; tiles in total */
    /* Tiles of a block, a multiple of the group size, and the number of blocks. */
    unsigned block, blocks;
    unsigned panels; /* panels per product, at most */
    /* Input channels of one element, of all phases of a tile together. */
    unsigned depth;
    /* Channels of a phase that are processed together, and the number of such chunks. */
    unsigned chunk, chunks;
    size_t input_step, output_step, weights_step; /* floats between elements */
    size_t output_panel_step, weights_panel_step; /* floats between panels */
} tiles;

static tiles tiles_of(const spl_layer *layer, unsigned rows, unsigned columns) {
    tiles t = {.layer = layer,
               .rows = rows,
               .columns = columns,
               .depth = (layer->transposed ? 1 : PHASES) * layer->in};
    t.tile_columns = (t.columns + TILE - 1) / TILE;
    t.count = t.tile_columns * ((t.rows + TILE - 1) / TILE);
    t.panels = SPL_MIN(panels_of(layer), (unsigned)PANELS);
    const size_t tile_bytes = (size_t)ELEMENTS * (t.depth + t.panels * PANEL) * sizeof(float);
    t.block = (unsigned)spl_round_up(keeps_transformed(layer) ? block_bytes / tile_bytes : t.count,
                                     GROUP);
    t.blocks = (t.count + t.block - 1) / t.block;
    /* Size a row of transformed weights for the first-level cache, or for the second-level cache
     * with more tiles, which reuse it for longer. */
    t.chunk = keeps_transformed(layer) ? layer->in : t.count <= 2 * GROUP ? 16 : 64;
    t.chunks = (layer->in + t.chunk - 1) / t.chunk;
    t.input_step = odd_lines((size_t)t.block * (keeps_transformed(layer) ? t.depth : t.chunk));
    t.output_step = odd_lines((size_t)t.block * PANEL);
    t.output_panel_step = ELEMENTS * t.output_step;
    if (keeps_transformed(layer))
        return t;
    t.weights_step = odd_lines((size_t)t.chunk * PANEL);
    t.weights_panel_step = SIDE * t.weights_step;
    return t;
}

static size_t input_floats(const tiles *t) {
    const unsigned phases = t->layer->transposed ? 1 : PHASES;
    return ELEMENTS * t->input_step * (keeps_transformed(t->layer) ? 1 : phases * t->chunks);
}

static size_t output_floats(const tiles *t) {
    return t->panels * (t->output_panel_step + t->weights_panel_step);
}

/* A block's transformed inputs, one set per thread or one shared set. They are followed by each
 * thread's products and, if transformed weights are not kept, a row of a panel's weights. */
static float *transformed_inputs(const tiles *t, unsigned thread) {
    return t->run->scratch + (keeps_transformed(t->layer) ? thread : 0) * input_floats(t);
}

static float *thread_products(const tiles *t, unsigned thread) {
    return transformed_inputs(t, spl_pool_threads(t->run->pool) - 1) + input_floats(t) +
           thread * output_floats(t);
}

/* The offset in a block's transformed inputs of a phase's `chunk`-th channels, for the block's
 * tiles from `tile` on. */
static size_t input_place(const tiles *t, unsigned phase, unsigned chunk, unsigned tile) {
    if (keeps_transformed(t->layer))
        return (size_t)tile * t->depth + (size_t)phase * t->layer->in * GROUP;
    return (phase * t->chunks + chunk) * ELEMENTS * t->input_step + (size_t)tile * t->chunk;
}

/* Transforms the input of one group of a block's tiles; some of the group may be beyond the last
 * tile. */
static void transform_input(const tiles *t, unsigned block_first, unsigned tile,
                            float *transformed) {
    const spl_layer *layer = t->layer;
    const spl_plane *in = t->run->in;
    const bool whole = layer->transposed;
    const unsigned first = block_first + tile, stride = whole ? 1 : 2;
    for (unsigned phase = 0; phase < (whole ? 1 : PHASES); phase++) {
        const float *pixels =
            in->corner + !three_rows(phase) * in->row_floats + !three_columns(phase) * in->channels;
        spl_winograd_input input = {
            .tiles = SPL_MIN((unsigned)GROUP, t->count - first),
            .row_step = (ptrdiff_t)(stride * in->row_floats),
            .column_step = (ptrdiff_t)(stride * in->channels),
            .ahead = (ptrdiff_t)(GROUP / 2 * stride * TILE * in->channels),
            .rows = element_rows(phase),
            .columns = element_columns(phase),
            .element_step = (ptrdiff_t)t->input_step,
        };
        for (unsigned chunk = 0; chunk < t->chunks; chunk++) {
            input.channels = SPL_MIN(t->chunk, layer->in - chunk * t->chunk);
            input.transformed = transformed + input_place(t, phase, chunk, tile);
            for (unsigned i = 0; i < input.tiles; i++) {
                const unsigned row = (first + i) / t->tile_columns,
                               column = (first + i) % t->tile_columns;
                input.pixels[i] = pixels + stride * TILE * row * in->row_floats +
                                  stride * TILE * column * in->channels + chunk * t->chunk;
            }
            layer->kernels->winograd_input(&input);
        }
    }
}

/* Transforms the products of one panel to outputs, for `count` tiles from `first` on, one row of
 * tiles after another. */
static void transform_panel(const tiles *t, unsigned first, unsigned count, unsigned phase,
                            unsigned panel, const float *products) {
    const spl_layer *layer = t->layer;
    const spl_plane *raw = t->run->raw.plane, *out = t->run->out.plane;
    const unsigned stride = layer->transposed ? 2 : 1;
    spl_winograd_output output = {
        .products = products,
        .element_step = (ptrdiff_t)t->output_step,
        .rows = element_rows(phase),
        .columns = element_columns(phase),
        .raw_row_step = raw ? (ptrdiff_t)(stride * raw->row_floats) : 0,
        .out_row_step = out ? (ptrdiff_t)(stride * out->row_floats) : 0,
    };
    for (unsigned tile = first; tile < first + count; tile += output.tiles) {
        const unsigned row = tile / t->tile_columns, column = tile % t->tile_columns;
        output.tiles = SPL_MIN(t->tile_columns - column, first + count - tile);
        output.height = SPL_MIN(t->rows - TILE * row, (unsigned)TILE);
        output.width = SPL_MIN(t->columns - TILE * column, TILE * output.tiles);
        output.finish = finish_at(layer, t->run, phase, TILE * row, TILE * column, panel * PANEL);
        output.finish.channels = SPL_MIN(output.finish.channels, (unsigned)PANEL);
        layer->kernels->winograd_output(&output);
        output.products += (size_t)output.tiles * PANEL;
    }
}

/* Transforms the products of `panels` panels from `panel` on to outputs. */
static void transform_outputs(const tiles *t, unsigned first, unsigned count, unsigned phase,
                              unsigned panel, unsigned panels, const float *products) {
    for (unsigned p = 0; p < panels; p++)
        transform_panel(t, first, count, phase, panel + p, products + p * t->output_panel_step);
}

/* ---- Few weights: one block of tiles at a time, all panels ---- */

/* The rows of pixels that the next block reads. They are prefetched during this block's last
 * products, one with each panel and row of transformed weights. */
typedef struct pixel_rows {
    const float *row;
    /* Floats to the next row, and floats read of each row. */
    size_t row_floats, floats;
    /* Rows left: of pixels to prefetch, and of this block's transformed weights over all panels. */
    unsigned left, element_rows;
} pixel_rows;

static pixel_rows pixel_rows_of(const tiles *t, unsigned first) {
    const spl_plane *in = t->run->in;
    const unsigned stride = t->layer->transposed ? 1 : 2;
    const unsigned row = first / t->tile_columns, column = first % t->tile_columns;
    return (pixel_rows){
        .row = in->corner + (size_t)stride * TILE * row * in->row_floats +
               (size_t)stride * TILE * column * in->channels,
        .row_floats = in->row_floats,
        .floats = (size_t)stride * (TILE * t->block + 2) * in->channels,
        .left = first < t->count ? stride * (SIDE - 1) + 1 : 0,
        .element_rows =
            panels_of(t->layer) * (t->layer->transposed ? 2 * SIDE + 2 * (SIDE - 1) : SIDE),
    };
}

/* The products of one block of tiles. */
typedef struct block_products {
    const tiles *t;
    unsigned count; /* tiles of the block */
    const float *input;
    float *output;
    unsigned panels;      /* of the current product */
    size_t panel_floats;  /* transformed weights of a panel in the current phase */
    const float *weights; /* of the next row */
    pixel_rows next;
} block_products;

/* Computes the products of one row of elements. The one at infinity is a call of its own:
 * in a plain layer its sum has fewer phases. */
static void multiply_row(block_products *block, unsigned row, unsigned columns) {
    const tiles *t = block->t;
    const spl_layer *layer = t->layer;
    pixel_rows *next = &block->next;
    for (unsigned column = 0; column < columns; column += SIDE - 1) {
        const unsigned element = row * SIDE + column;
        const product sum = product_at(layer, element);
        spl_winograd_product work = {
            .elements = column == 0 ? SIDE - 1 : 1,
            .panels = block->panels,
            .groups = (block->count + GROUP - 1) / GROUP,
            .rows = sum.rows,
            .run = sum.run * layer->in,
            .input = block->input + element * t->input_step,
            .input_step = t->input_step,
            .group_step = (ptrdiff_t)t->depth * GROUP,
            .row_step = 2 * (ptrdiff_t)layer->in * GROUP,
            .weights = block->weights,
            .weights_step = (size_t)sum.rows * sum.run * layer->in * PANEL,
            .weights_panel_step = block->panel_floats,
            .output = block->output + element * t->output_step,
            .output_step = t->output_step,
            .output_panel_step = t->output_panel_step,
        };
        if (column == 0) {
            if (next->element_rows <= next->left) {
                const size_t depth = (size_t)work.rows * work.run * PANEL;
                work.ahead = next->row;
                work.ahead_panel_step = next->row_floats;
                work.ahead_elements = (unsigned)((next->floats + depth - 1) / depth);
                next->row += block->panels * next->row_floats;
                next->left -= SPL_MIN(block->panels, next->left);
            }
            next->element_rows -= block->panels;
        }
        layer->kernels->winograd_product(&work);
        block->weights += work.elements * work.weights_step;
    }
}

static void block_task(void *user, size_t task, unsigned thread) {
    const tiles *t = user;
    const spl_layer *layer = t->layer;
    float *input = transformed_inputs(t, thread);
    const unsigned first = (unsigned)task * t->block, count = SPL_MIN(t->block, t->count - first);
    for (unsigned tile = 0; tile < count; tile += GROUP)
        transform_input(t, first, tile, input);
    block_products block = {
        .t = t,
        .count = count,
        .input = input,
        .output = thread_products(t, thread),
        .weights = layer->weights[0],
        .next = pixel_rows_of(t, first + t->block),
    };
    for (unsigned phase = 0; phase < (layer->transposed ? PHASES : 1); phase++) {
        block.panel_floats = element_offset(layer, phase, ELEMENTS);
        for (unsigned panel = 0; panel < panels_of(layer); panel += PANELS) {
            block.panels = SPL_MIN((unsigned)PANELS, panels_of(layer) - panel);
            for (unsigned row = 0; row < element_rows(phase); row++)
                multiply_row(&block, row, element_columns(phase));
            block.weights += (block.panels - 1) * block.panel_floats;
            transform_outputs(t, first, count, phase, panel, block.panels, block.output);
        }
    }
}

/* ---- Many weights: all tiles at a time, a few panels of a phase ---- */

static void input_task(void *user, size_t task, unsigned thread) {
    (void)thread;
    const tiles *t = user;
    transform_input(t, 0, (unsigned)task * GROUP, transformed_inputs(t, 0));
}

/* The products of one or two panels for all tiles. */
typedef struct panel_products {
    const tiles *t;
    unsigned panels;
    const float *taps; /* of the next chunk */
    float *weights;    /* a row of transformed weights */
    float *output;
} panel_products;

/* Computes the products of one chunk of a phase's channels. `add`: adds them to the output. */
static void multiply_chunk(panel_products *p, unsigned phase, unsigned chunk, bool add) {
    const tiles *t = p->t;
    const spl_layer *layer = t->layer;
    const unsigned channels = SPL_MIN(t->chunk, layer->in - chunk * t->chunk);
    const unsigned columns = element_columns(phase);
    spl_winograd_product work = {
        .elements = columns,
        .panels = p->panels,
        .groups = (t->count + GROUP - 1) / GROUP,
        .rows = 1,
        .run = channels,
        .input = transformed_inputs(t, 0) + input_place(t, layer->transposed ? 0 : phase, chunk, 0),
        .input_step = t->input_step,
        .group_step = (ptrdiff_t)(GROUP * t->chunk),
        .weights = p->weights,
        .weights_step = t->weights_step,
        .weights_panel_step = t->weights_panel_step,
        .ahead = p->taps + (size_t)channels * tap_rows(phase) * tap_columns(phase) * PANEL,
        .ahead_panel_step = taps_offset(layer, phase, 1) - taps_offset(layer, phase, 0),
        .ahead_elements = columns,
        .ahead_far = true,
        .add = add,
        .output = p->output,
        .output_step = t->output_step,
        .output_panel_step = t->output_panel_step,
    };
    for (unsigned row = 0; row < element_rows(phase); row++) {
        for (unsigned panel = 0; panel < p->panels; panel++) {
            float *transformed = p->weights + panel * t->weights_panel_step;
            transform_taps(layer, phase, row, channels, p->taps + panel * work.ahead_panel_step,
                           transformed, t->weights_step,
                           transformed + (SIDE - 1) * t->weights_step);
        }
        layer->kernels->winograd_product(&work);
        work.input += SIDE * t->input_step;
        work.output += SIDE * t->output_step;
        if (row == 0) /* the product of row 0 prefetched 5 or 6 of the 4 to 9 taps */
            work.ahead += (size_t)columns * channels * PANEL;
    }
    p->taps += (size_t)channels * tap_rows(phase) * tap_columns(phase) * PANEL;
}

static unsigned panel_groups(const spl_layer *layer) {
    return (panels_of(layer) + PANELS - 1) / PANELS;
}

static void panel_task(void *user, size_t task, unsigned thread) {
    const tiles *t = user;
    const spl_layer *layer = t->layer;
    const unsigned panel = PANELS * (unsigned)(task % panel_groups(layer)),
                   task_phase = (unsigned)(task / panel_groups(layer));
    const unsigned phases = layer->transposed ? 1 : PHASES;
    panel_products p = {
        .t = t,
        .panels = SPL_MIN((unsigned)PANELS, panels_of(layer) - panel),
        .output = thread_products(t, thread),
    };
    p.weights = p.output + t->panels * t->output_panel_step;
    for (unsigned f = task_phase; f < task_phase + phases; f++) {
        p.taps = layer->weights[0] + taps_offset(layer, f, panel);
        for (unsigned chunk = 0; chunk < t->chunks; chunk++)
            multiply_chunk(&p, f, chunk, f > task_phase || chunk > 0);
    }
    transform_outputs(t, 0, t->count, task_phase, panel, p.panels, p.output);
}

static void apply_winograd(const spl_layer *layer, const spl_layer_run *run) {
    tiles t = tiles_of(layer, wanted_rows(layer, run), positions(layer, run->in->columns));
    t.run = run;
    if (keeps_transformed(layer)) {
        spl_pool_run(run->pool, t.blocks, block_task, &t);
        return;
    }
    spl_pool_run(run->pool, (t.count + GROUP - 1) / GROUP, input_task, &t);
    spl_pool_run(run->pool, (layer->transposed ? PHASES : 1) * panel_groups(layer), panel_task, &t);
}

size_t spl_layer_scratch(const spl_layer *layer, unsigned rows, unsigned columns,
                         unsigned threads) {
    if (is_single(layer))
        return threads * 3 * single_row_floats(layer, columns);
    if (!layer->winograd)
        return 0;
    const tiles t = tiles_of(layer, positions(layer, rows), positions(layer, columns));
    return (keeps_transformed(layer) ? threads : 1) * input_floats(&t) +
           threads * output_floats(&t);
}

double spl_layer_flop(const spl_layer *layer, const spl_layer_run *run) {
    return 2.0 * wanted_rows(layer, run) * positions(layer, run->in->columns) * KERNEL * KERNEL *
           layer->in * layer->out;
}

void spl_layer_apply(const spl_layer *layer, const spl_layer_run *run) {
    if (is_single(layer))
        apply_single(layer, run);
    else if (layer->winograd)
        apply_winograd(layer, run);
    else
        apply_direct(layer, run);
}

/* SPDX-License-Identifier: MIT
 *
 * Plans a separation: which networks run, which bins they process, and the memory. One segment
 * takes this memory:
 *
 *   input       T - 1 hops and one frame of samples; the last three hops also begin the next
 *               segment
 *   spectra     T packed spectra of the mixture
 *   magnitudes  [T][channel][F]
 *   estimates   the same for each network; masks are computed in their place
 *   output      for each stem, T hops of samples, and three more that the next segment adds to
 *
 * One more set of samples and of output serves reading ahead and writing.
 */
#include "lib/engine/run.h"

#include <stdlib.h>
#include <string.h>

static void apply_bandwidth(spl_engine_run *s) {
    s->plan.bins = s->info->bins;
    s->plan.extend = s->info->mask_extension == SPL_MASK_EXTENSION_AVERAGE;
    if (s->options->bandwidth == SPL_BANDWIDTH_MODEL)
        return;
    s->plan.bins = s->options->bandwidth == SPL_BANDWIDTH_11K ? 1024 : 1536;
    s->plan.extend = s->plan.conserve = s->options->bandwidth == SPL_BANDWIDTH_FULL;
}

/* Adds the split of `whole` into the members of `group` (NULL: those without a group), if it is
 * `needed` or one of them is a requested stem. */
static void add_split(spl_engine_run *s, int whole, const char *group, bool needed) {
    spl_engine_split added = {.whole = whole};
    for (unsigned i = 0; i < s->plan.networks; i++) {
        const char *of = s->info->stems[i].group;
        if (group ? !of || strcmp(of, group) != 0 : of != NULL)
            continue;
        added.networks[added.count++] = i;
        needed = needed || s->plan.wanted >> i & 1;
    }
    if (needed) {
        s->plan.splits[s->plan.split_count++] = added;
        s->plan.networks_needed += added.count;
    }
}

void spl_engine_make_plan(spl_engine_run *s) {
    s->plan.frames = s->info->frames;
    s->plan.stems = s->info->stem_count;
    s->plan.networks = s->info->stem_count + s->info->group_count;
    s->plan.wanted = s->options->stems ? s->options->stems : spl_engine_all_stems(s->info);
    add_split(s, -1, NULL, true);
    for (unsigned i = s->plan.stems; i < s->plan.networks; i++)
        add_split(s, (int)i, s->info->stems[i].name, s->options->wiener);
    apply_bandwidth(s);
}

static void place_arrays(void *user, spl_arena *arena) {
    spl_engine_run *s = user;
    const size_t frames = s->plan.frames, estimates = frames * 2 * s->plan.bins;
    s->buffers.input = spl_arena_take(arena, ((frames - 1) * HOP + FRAME) * 2);
    s->buffers.ahead = spl_arena_take(arena, frames * HOP * 2);
    s->buffers.re = spl_arena_take(arena, frames * FRAME);
    s->buffers.im = spl_arena_take(arena, frames * FRAME);
    s->buffers.magnitudes = spl_arena_take(arena, estimates);
    for (const spl_engine_split *split = s->plan.splits;
         split < s->plan.splits + s->plan.split_count; split++)
        for (unsigned i = 0; i < split->count; i++)
            s->buffers.estimates[split->networks[i]] = spl_arena_take(arena, estimates);
    for (unsigned i = 0; i < s->plan.stems; i++) {
        s->buffers.extensions[i] = spl_arena_take(arena, frames * 2);
        if (s->plan.wanted >> i & 1) {
            s->buffers.output[i] = spl_arena_take(arena, (frames + OVERLAP_HOPS) * HOP * 2);
            s->buffers.finished[i] = spl_arena_take(arena, (frames + OVERLAP_HOPS) * HOP * 2);
        }
    }
}

int spl_engine_allocate(spl_engine_run *s) {
    s->scratch = calloc(spl_pool_threads(s->pool), sizeof(*s->scratch));
    if (!s->scratch)
        return spl_fail_memory(s->error);
    const int status = spl_arena_new(place_arrays, s, &s->arena, s->error);
    if (status < 0)
        return status;
    return spl_unet_workspace_new(spl_model_unet(s->model, 0), s->plan.frames, s->plan.bins,
                                  spl_pool_threads(s->pool), &s->workspace, s->error);
}

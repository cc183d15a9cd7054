/* SPDX-License-Identifier: MIT
 *
 * One run of spl_separate: what is computed, the memory for it, and where it is.
 *
 * The song is padded with 4,096 zeros in front and with as many at the end as the last frame needs.
 * It is cut into frames of 4,096 samples every 1,024, and the frames into segments of T.
 */
#ifndef SPL_LIB_ENGINE_RUN_H
#define SPL_LIB_ENGINE_RUN_H

#include "base/arena.h"
#include "base/background.h"
#include "lib/dsp/stft.h"
#include "lib/dsp/wiener.h"
#include "lib/model/model.h"

#include <spleeter/separate.h>
#include <stdatomic.h>

enum {
    HOP = SPL_FRAME_STEP,
    FRAME = SPL_FRAME_LENGTH,
    OVERLAP_HOPS = FRAME / HOP - 1,
};

/* The networks of the stems and groups into which one whole is split. */
typedef struct spl_engine_split {
    /* The network of the group that is split; -1: the mixture. */
    int whole;
    unsigned count;
    unsigned networks[SPL_STEMS_MAX];
} spl_engine_split;

/* What is computed; constant during the run. */
typedef struct spl_engine_plan {
    unsigned frames, bins, stems; /* T, F, N */
    unsigned networks;            /* those of the stems, then those of the groups */
    unsigned networks_needed;
    spl_engine_split splits[SPL_STEMS_MAX]; /* the split of the mixture, then those of groups */
    unsigned split_count;
    bool extend;     /* mask_extension average */
    bool conserve;   /* make the stems of the Wiener filter sum to the mixture */
    uint64_t wanted; /* bit i: the i-th stem */
} spl_engine_plan;

/* The arrays of samples, spectra and estimates. */
typedef struct spl_engine_buffers {
    float *input;                     /* stereo, (T - 1) hops and a frame */
    float *ahead;                     /* samples of the next segment: stereo, T hops */
    float *re, *im;                   /* [T][FRAME], packed spectra of the mixture */
    float *magnitudes;                /* [T][2][F] */
    float *estimates[SPL_STEMS_MAX];  /* [T][2][F], replaced by the gains; NULL: not needed */
    float *extensions[SPL_STEMS_MAX]; /* [T][2]: the gain of the bins from F on */
    float *output[SPL_STEMS_MAX];     /* stereo, T + OVERLAP_HOPS hops; NULL: not requested */
    float *finished[SPL_STEMS_MAX];   /* the same, of the previous segment */
} spl_engine_buffers;

/* The state of one pass over the song. Counts are of samples. */
typedef struct spl_engine_pass {
    bool sums_only;    /* computes only the Wiener filter's sums */
    uint64_t position; /* of this segment in the padded song */
    size_t input_samples;
    bool input_ended;
    unsigned valid_frames; /* of this segment */
    size_t ahead_samples;
    bool ahead_ended;
    uint64_t samples_read, samples_written;
    size_t finished_begin, finished_end; /* range of the finished segment for the sink */
    unsigned odd; /* parity of the blocks in the current step of the inverse */
} spl_engine_pass;

/* Scratch memory of one thread. */
typedef struct spl_engine_scratch {
    float fft[2 * FRAME];
    float gains[SPL_STEMS_MAX][2][SPL_BINS];
    float re[SPL_STEMS_MAX][FRAME], im[SPL_STEMS_MAX][FRAME];
} spl_engine_scratch;

typedef struct spl_engine_run {
    const spl_model *model;
    const spl_model_info *info;
    const spl_separate_options *options;
    const spl_source *source;
    const spl_sink *sink;
    spl_error *error;

    spl_engine_plan plan;
    spl_arena arena; /* of the buffers */
    spl_engine_buffers buffers;
    spl_engine_pass pass;

    spl_pool *pool;
    bool all_cpus; /* the pool has as many threads as there are CPUs */
    spl_stft stft;
    spl_unet_workspace *workspace;
    spl_wiener *wiener;          /* NULL: plain masks */
    spl_engine_scratch *scratch; /* one per thread */

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
} spl_engine_run;

/* The bits of all stems of a model. */
static inline uint64_t spl_engine_all_stems(const spl_model_info *info) {
    return (UINT64_C(1) << info->stem_count) - 1;
}

/* Sets the plan from model and options. */
void spl_engine_make_plan(spl_engine_run *s);

/* Allocates buffers, scratch memory and workspace. */
SPL_WARN_UNUSED int spl_engine_allocate(spl_engine_run *s);

/* Computes the segment in the input (user: the spl_engine_run) and sets `computed`. Runs on the
 * background thread. */
void spl_engine_compute_segment(void *user);

#endif

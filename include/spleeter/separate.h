/* SPDX-License-Identifier: MIT
 *
 * Separation: one song in, its stems out, in constant memory.
 *
 * Audio is 32-bit float PCM, stereo, interleaved (left, right), nominally within +-1.0, at 44,100
 * Hz. Sample counts are always per channel.
 *
 * The output depends only on the model, the options and the input. The number of threads, the sizes
 * of reads and the system's load do not affect it.
 */
#ifndef SPLEETER_SEPARATE_H
#define SPLEETER_SEPARATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <spleeter/error.h>
#include <spleeter/model.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SPL_SAMPLE_RATE_HZ 44100

/* The largest magnitude of an input sample: enough for 32-bit integers that were not scaled to
 * +-1.0. Within this limit spectra, networks and filters stay far from overflow. */
#define SPL_SAMPLE_MAX 4294967296.0f

/* The source of the samples. Callbacks run on the thread that called spl_separate, one at a
 * time. All callbacks of a separation return 0 or a negative spl_status, which ends the separation:
 * spl_separate returns it, and the error's message names the callback. A positive result ends it
 * with ARGUMENT. */
typedef struct spl_source {
    void *user;
    /* Writes up to `capacity` samples (2 * capacity floats) to `samples` and their number to
     * *ret_count; 0 means the end. spl_separate rejects NaN, infinities and values beyond
     * +-SPL_SAMPLE_MAX (SAMPLE). spl_separate cannot poll for cancellation during the call, so a
     * source that may block must do so itself and return CANCELED. */
    spl_status (*read)(void *user, float *samples, size_t capacity, size_t *ret_count);
    /* Restarts at the first sample. Required with `wiener`, otherwise unused and may be NULL. */
    spl_status (*rewind)(void *user);
    uint64_t total_samples; /* for progress; 0: unknown */
    uint64_t reserved[4];
} spl_source;

/* The destination of the stems. Runs on the thread that called spl_separate, one call at a time, in
 * order. */
typedef struct spl_sink {
    void *user;
    /* Receives `count` samples of each stem: stems[i] holds 2 * count floats of the model's i-th
     * stem, or is NULL for a stem that was not requested. The engine owns the buffers, which are
     * valid during the call. A sink that may block must check for cancellation, like a source. */
    spl_status (*write)(void *user, const float *const *stems, size_t count);
    uint64_t reserved[4];
} spl_sink;

typedef struct spl_progress {
    uint64_t samples_done;  /* of this pass */
    uint64_t samples_total; /* of one pass; 0: unknown */
    unsigned pass;          /* 1, or 2 in the second pass of the Wiener filter */
    unsigned passes;        /* 1, or 2 with `wiener` */
    uint64_t reserved[4];
} spl_progress;

/* Layers of a U-Net: six convolutions, six transposed convolutions, the mask. */
#define SPL_UNET_LAYERS 13

/* Time spent in each phase of a separation, in seconds of wall-clock time. Zero before the first
 * separation. */
typedef struct spl_timings {
    double read_s;    /* in the source */
    double forward_s; /* STFT and magnitudes */
    double networks_s;
    double masks_s;                   /* from estimates to gains; the sums of the Wiener filter */
    double inverse_s;                 /* masked spectra, inverse STFT, overlap-add */
    double write_s;                   /* in the sink */
    double layers_s[SPL_UNET_LAYERS]; /* of networks_s, over all stems */
    /* Of layers_s: operations of a direct convolution; a multiply-add counts as two. */
    double layers_flop[SPL_UNET_LAYERS];
    uint64_t segments;
    uint64_t reserved[16];
} spl_timings;

typedef struct spl_separate_options {
    spl_bandwidth bandwidth;
    /* Multichannel Wiener filter over the whole song, in two passes (norbert, `--mwf`). */
    bool wiener;
    unsigned threads; /* 0: one for each CPU available to this process */
    uint64_t stems;   /* bit i requests the i-th stem; 0: all */
    /* Called on the calling thread several times per segment (11.9 s of the song with 512 frames),
     * once for a silent one. Returns 0 to go on, or CANCELED. May be NULL. */
    spl_status (*progress)(void *user, const spl_progress *progress);
    void *progress_user;
    spl_timings *timings; /* accumulated, also when the separation fails; may be NULL */
    uint64_t reserved[8];
} spl_separate_options;

/* Sets the defaults, which are all zero: bandwidth of the model, no Wiener filter, all CPUs, all
 * stems, no progress. */
SPL_API void spl_separate_options_init(spl_separate_options *options);

/* Separates all samples of `source` into `sink`. Each stem has as many samples as the source.
 * Blocks until done. Any number of threads may call it at once, with the same model or different
 * ones.
 *
 * Follows R. Hennequin et al., "Spleeter: a fast and efficient music source separation tool with
 * pre-trained models", JOSS 5(50), 2020, and deezer/spleeter 2.4.2; the Wiener filter follows
 * norbert 0.2.1.
 *
 * All output samples are finite.
 *
 * Errors: ARGUMENT, MEMORY, EXHAUSTED (no thread is left), LIMIT (the model needs more than 8 GiB
 * for a segment), CANCELED, SAMPLE (an input sample is not finite or too large, or the
 * model produces one that is not finite), and the statuses that the callbacks return. */
SPL_API SPL_WARN_UNUSED spl_status spl_separate(spl_model *model,
                                                const spl_separate_options *options,
                                                const spl_source *source, const spl_sink *sink,
                                                spl_error *ret_error);

#ifdef __cplusplus
}
#endif

#endif

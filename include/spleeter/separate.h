/* SPDX-License-Identifier: MIT
 *
 * Separation: one song in, its stems out, in constant memory.
 *
 * Audio is 32-bit float PCM, stereo, interleaved (left, right), nominally
 * within +-1.0, at 44,100 Hz. A count of samples is always per channel.
 *
 * The samples that come out depend on the model, the options and the input
 * alone: not on the number of threads, the sizes of reads, or other load.
 */
#ifndef SPLEETER_SEPARATE_H
#define SPLEETER_SEPARATE_H

#include <stddef.h>
#include <stdint.h>

#include <spleeter/error.h>
#include <spleeter/model.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SPL_SAMPLE_RATE_HZ 44100

/* Largest magnitude of a sample that is taken: room for 32-bit integers that were not scaled to
 * +-1.0. Spectra, nets and filters stay far from the ends of their numbers with it. */
#define SPL_SAMPLE_MAX 4294967296.0f

/* How far up the spectrum the stems reach. */
typedef enum spl_bandwidth {
    SPL_BANDWIDTH_MODEL, /* bins and mask extension as the model's manifest says */
    SPL_BANDWIDTH_11K,   /* F = 1024, silence above 11 kHz: Spleeter's 2stems, 4stems, 5stems */
    SPL_BANDWIDTH_16K,   /* F = 1536, silence above 16 kHz: Spleeter's *-16kHz */
    SPL_BANDWIDTH_FULL,  /* F = 1536, the mean mask above 16 kHz; all stems sum to the mixture */
} spl_bandwidth;

/* Where the samples come from. Callbacks run on the thread that called spl_separate, one at a time.
 */
typedef struct spl_source {
    void *user;
    /* Writes up to `capacity` samples (2 * capacity floats) to `samples` and their number to
     * *ret_count; 0 means the end. Returns 0, or a negative spl_status that spl_separate passes on.
     * NaN, infinities and what is beyond +-SPL_SAMPLE_MAX are refused by spl_separate (SAMPLE). A
     * source that waits long watches by itself for what should cancel the separation, and then
     * returns CANCELED: spl_separate cannot ask meanwhile. */
    int (*read)(void *user, float *samples, size_t capacity, size_t *ret_count);
    /* Starts again from the first sample. Needed with `wiener` only; may be NULL otherwise. */
    int (*rewind)(void *user);
    uint64_t total_samples; /* for progress; 0 when not known */
} spl_source;

/* Where the stems go. Runs on the thread that called spl_separate, one call at a time, in order. */
typedef struct spl_sink {
    void *user;
    /* Takes `count` samples of each stem: stems[i] holds 2 * count floats of the model's i-th stem,
     * or is NULL for a stem that was not asked for. The buffers are the engine's and valid during
     * the call. Returns 0, or a negative spl_status that spl_separate passes on. If it waits long:
     * as for sources. */
    int (*write)(void *user, const float *const *stems, size_t count);
} spl_sink;

typedef struct spl_progress {
    uint64_t samples_done;  /* of this pass */
    uint64_t samples_total; /* of one pass; 0 when not known */
    unsigned pass;          /* 1, or 2 in the second pass of the Wiener filter */
    unsigned passes;        /* 1, or 2 with `wiener` */
} spl_progress;

/* Layers of a net: six convolutions, six transposed ones, the mask. */
#define SPL_NET_LAYERS 13

/* Where the time of a separation went: seconds on the calling thread's clock, which waits for the
 * others. */
typedef struct spl_timings {
    double read_s;    /* in the source */
    double forward_s; /* STFT and magnitudes */
    double nets_s;
    double masks_s;                     /* from estimates to gains; the sums of the Wiener filter */
    double inverse_s;                   /* masked spectra, inverse STFT, overlap-add */
    double write_s;                     /* in the sink */
    double layers_s[SPL_NET_LAYERS];    /* of nets_s, over all stems */
    double layers_flop[SPL_NET_LAYERS]; /* operations of direct convolution, two a multiply-add */
    uint64_t segments;
} spl_timings;

typedef struct spl_separate_options {
    spl_bandwidth bandwidth;
    int wiener;       /* 1: multichannel Wiener filter over the whole song, in two passes (norbert,
                         `--mwf`) */
    unsigned threads; /* 0: as many as there are CPUs for this process */
    uint64_t stems;   /* bit i: the i-th stem is wanted; 0: all */
    /* Called from the calling thread several times a segment (11.9 s of the song), once for one
     * without sound; a non-zero answer cancels. May be NULL. */
    int (*progress)(void *user, const spl_progress *progress);
    void *progress_user;
    spl_timings *timings; /* added to, also when the separation fails; may be NULL */
} spl_separate_options;

/* Sets the defaults: bandwidth of the model, no Wiener filter, all CPUs, all stems, no progress. */
SPL_API void spl_separate_options_init(spl_separate_options *options);

/* Separates all that `source` gives into `sink`; as many samples come out of each stem as went in.
 * Blocks until done. Any number of threads may call it at once, with one or several models.
 *
 * Follows R. Hennequin et al., "Spleeter: a fast and efficient music source separation tool with
 * pre-trained models", JOSS 5(50), 2020, and deezer/spleeter 2.4.2; the Wiener filter follows
 * norbert 0.2.1.
 *
 * All samples that come out are finite numbers.
 *
 * Errors: ARGUMENT, MEMORY, CANCELED, SAMPLE (one is not finite or too large, or the model makes
 * one that is not finite), and what the callbacks return. */
SPL_API SPL_WARN_UNUSED int spl_separate(spl_model *model, const spl_separate_options *options,
                                         const spl_source *source, const spl_sink *sink,
                                         spl_error *ret_error);

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: MIT
 *
 * BSS Eval version 4 and SI-SDR: measures the quality of estimated stems against the true ones.
 *
 * BSS Eval is that of A. Liutkus, F.-R. Stöter, N. Ito, "The 2018 Signal Separation Evaluation
 * Campaign", LVA/ICA 2018, as computed by museval 0.4: distortion filters of 512 taps over the
 * whole song, and scores for each second. SI-SDR is that of J. Le Roux et al., "SDR - half-baked or
 * well done?", ICASSP 2019, also for each second, with both channels as one vector.
 *
 * The song is read twice. Only the scores take memory in proportion to its length.
 */
#ifndef SPL_APP_EVALUATE_BSS_EVAL_H
#define SPL_APP_EVALUATE_BSS_EVAL_H

#include "app/audio/audio.h"
#include "base/pool.h"

/* Provides the stems' samples: interleaved stereo at 44,100 Hz. `read` and `rewind` are called on
 * the thread that called spl_bss_eval. */
typedef struct spl_bss_source {
    void *user;
    unsigned stems;
    /* Reads `count` samples of the true stem `signal` (< stems), or of the estimate of the stem
     * `signal - stems`. Samples beyond the end are set to 0. Returns the number of samples read
     * (less than `count` at the end), or a negative status. */
    int (*read)(void *user, unsigned signal, float *samples, unsigned count, spl_error *ret_error);
    int (*rewind)(void *user, spl_error *ret_error);
    spl_stop stop; /* thread-safe: polled on the pool's threads too */
} spl_bss_source;

/* In dB. INFINITY: no error of this kind. NAN: undefined, because a true stem or an estimate is
 * silent. */
typedef struct spl_bss_scores {
    double sdr, isr, sir, sar, si_sdr;
    double mixture_sdr; /* SDR of the sum of all true stems as the estimate of this one */
} spl_bss_scores;

typedef struct spl_bss_result {
    unsigned stems;
    uint64_t samples;         /* of the true stems */
    size_t windows;           /* whole seconds, at least one */
    spl_bss_scores *windowed; /* [stems][windows] */
    spl_bss_scores *medians;  /* [stems]: of the finite scores; NAN if there are none */
    /* [stems]: the true stem is silent, and is excluded: its scores are NAN. */
    bool *silent;
    /* [stems]: the filters of all true stems are ill-conditioned, so that SIR and SAR depend on
     * rounding: their medians are NAN. `windowed` keeps the values that museval gives. */
    bool *ill_conditioned;
} spl_bss_result;

/* Evaluates all stems. `progress` (may be NULL) receives the pass, 1 or 2, and the samples read in
 * it; true cancels. ret_result is for spl_bss_result_clear. Errors: MEMORY, CANCELED, FORMAT (all
 * true stems are silent, or their correlations cannot be inverted), and those of `source`. */
SPL_WARN_UNUSED int spl_bss_eval(const spl_bss_source *source, spl_pool *pool,
                                 bool (*progress)(void *user, unsigned pass, uint64_t samples),
                                 void *progress_user, spl_bss_result *ret_result,
                                 spl_error *ret_error);

void spl_bss_result_clear(spl_bss_result *result);

/* The median of the finite values among `count` numbers; NAN when there are none. Reorders and
 * overwrites `numbers`. */
double spl_median(double *numbers, size_t count);

#endif

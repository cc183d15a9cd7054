/* SPDX-License-Identifier: MIT
 *
 * BSS Eval version 4, and SI-SDR: how near estimated stems are to the true ones.
 *
 * A. Liutkus, F.-R. Stöter, N. Ito, "The 2018 Signal Separation Evaluation
 * Campaign", LVA/ICA 2018, as museval 0.4 computes it:
 * distortion filters of 512 taps over the whole song, scores for each second. SI-SDR is that of J.
 * Le Roux et al., "SDR - half-baked or well done?", ICASSP 2019, for each second too, with both
 * channels as one vector.
 *
 * Memory does not depend on the song's length, but for the scores. It is read twice.
 */
#ifndef SPL_APP_EVALUATE_BSS_EVAL_H
#define SPL_APP_EVALUATE_BSS_EVAL_H

#include "base/error.h"
#include "base/pool.h"

/* The stems' samples, stereo and interleaved at 44,100 Hz. Both functions run on the thread that
 * called spl_bss_eval. */
typedef struct spl_bss_source {
    void *user;
    unsigned stems;
    /* Reads `count` samples of the true stem `signal` (< stems), or of the estimate of the stem
     * `signal - stems`. What lies beyond the end is 0. Returns how many samples there were (less
     * than `count` at the end), or a negative status. */
    int (*read)(void *user, unsigned signal, float *samples, unsigned count, spl_error *ret_error);
    int (*rewind)(void *user, spl_error *ret_error);
} spl_bss_source;

/* In dB. INFINITY: without any fault of this kind. NAN: not defined, since a true stem or an
 * estimate is silent. */
typedef struct spl_bss_scores {
    double sdr, isr, sir, sar, si_sdr;
    double mixture_sdr; /* SDR of the sum of all true stems, taken as the estimate of this one */
} spl_bss_scores;

typedef struct spl_bss_result {
    unsigned stems;
    uint64_t samples;         /* of the true stems */
    size_t windows;           /* whole seconds; of a shorter song one */
    spl_bss_scores *windowed; /* [stems][windows] */
    spl_bss_scores *medians;  /* [stems]: of what is finite; NAN when there is nothing */
    bool *silent; /* [stems]: nothing in the true stem; left out of the evaluation, its scores are
                     NAN */
    /* [stems]: the filters of all true stems are ill-conditioned, so that SIR and SAR depend on
     * rounding: their medians are NAN. `windowed` keeps the numbers that museval gives. */
    bool *ill_conditioned;
} spl_bss_result;

/* Evaluates. `progress` (may be NULL) is told the samples read of this pass and gives true to
 * cancel. Errors: MEMORY, CANCELED, FORMAT (nothing but silence), and what `source` returns. */
SPL_WARN_UNUSED int spl_bss_eval(const spl_bss_source *source, spl_pool *pool,
                                 bool (*progress)(void *user, unsigned pass, uint64_t samples),
                                 void *progress_user, spl_bss_result *ret_result,
                                 spl_error *ret_error);

void spl_bss_result_clear(spl_bss_result *result);

/* The median of the finite ones of `count` numbers, which are sorted; NAN when there are none. */
double spl_median(double *numbers, size_t count);

#endif

/* SPDX-License-Identifier: MIT
 *
 * The first pass over the song computes the correlations of all true channels with each other and
 * with the estimates, at lags of 0 to 511 samples. From these follow, for each estimate, two sets
 * of least-squares filters that approximate it: from the channels of all true stems, and from those
 * of its own stem alone. The second pass decomposes each second:
 *
 *     estimate = true + spatial + interference + artifacts
 *     own = true + spatial                    the own true stem, filtered
 *     all = true + spatial + interference     all true stems, filtered
 *
 * Convolutions and correlations are computed by FFT, in blocks of a third of a second.
 */
#include "app/evaluate/bss_eval.h"

#include "app/evaluate/fft.h"
#include "app/evaluate/toeplitz.h"

#include <math.h>
#include <string.h>

#define TAPS          512
#define HISTORY       (TAPS - 1)
#define WINDOW        44100
#define BLOCKS        3 /* per window */
#define BLOCK         (WINDOW / BLOCKS)
#define WINDOW_PADDED (WINDOW + HISTORY)

/* A projection with more than this times the estimate's energy is ill-conditioned. A least-squares
 * projection does not exceed the energy of its target, but windows can violate this if the true
 * stems have an empty band: a window's edges leak into it, and the filters amplify the leakage. */
#define PROJECTION_MOST 1.25

_Static_assert(HISTORY + BLOCK <= SPL_EVALUATE_FFT_SIZE, "a block and its tail fit the transform");

/* Scratch memory of one thread. */
typedef struct workspace {
    spl_fft_scratch fft;
    spl_stereo_spectrum sum;
    double own[2][WINDOW_PADDED], all[2][WINDOW_PADDED];
} workspace;

typedef struct evaluation {
    const spl_bss_source *source;
    spl_pool *pool;
    bool (*progress)(void *user, unsigned pass, uint64_t samples);
    void *progress_user;
    unsigned stems;
    spl_fft_table table;
    workspace *work; /* one per thread */
    float *samples;  /* [2 * stems][2 * WINDOW]: of the current block or window */
    spl_bss_result result;

    /* The first pass. Channel 2 * i + c is channel c of the i-th signal. */
    double *history;                   /* [2 * stems][HISTORY]: of the true channels */
    spl_stereo_spectrum *delayed;      /* [stems]: history and block of the true stems */
    spl_stereo_spectrum *current;      /* [2 * stems]: only the block, of stems and estimates */
    spl_stereo_spectrum *correlations; /* [2 * stems][2 * stems]: of true channels with signals */

    /* The stems that are not silent. The rest covers only these. */
    unsigned active;
    unsigned *stem_of;                /* [active] */
    spl_toeplitz **matrices;          /* [active + 1]: of each stem's channels, then of all */
    spl_error *errors;                /* [active + 1] */
    spl_stereo_spectrum *own_filters; /* [active][2]: from the stem's channels to its estimate */
    spl_stereo_spectrum *all_filters; /* [active][2 * active]: from all channels to its estimate */

    /* The second pass. */
    spl_stereo_spectrum *blocks; /* [BLOCKS][active] */
    double *estimate_2, *all_2;  /* [stems]: energies over all windows */
    size_t window;
} evaluation;

static void evaluation_clear(evaluation *e) {
    for (unsigned i = 0; e->matrices && i <= e->active; i++)
        spl_toeplitz_free(e->matrices[i]);
    free(e->work);
    free(e->samples);
    free(e->history);
    free(e->delayed);
    free(e->current);
    free(e->correlations);
    free(e->stem_of);
    free(e->matrices);
    free(e->errors);
    free(e->own_filters);
    free(e->all_filters);
    free(e->blocks);
    free(e->estimate_2);
    free(e->all_2);
    spl_bss_result_clear(&e->result);
}

/* Reads `count` samples of all signals. *ret_count: the number read from the longest true stem. */
static int read_samples(evaluation *e, unsigned count, unsigned *ret_count, spl_error *ret_error) {
    unsigned longest = 0;
    for (unsigned i = 0; i < 2 * e->stems; i++) {
        int got = e->source->read(e->source->user, i, e->samples + (size_t)i * 2 * WINDOW, count,
                                  ret_error);
        if (got < 0)
            return got;
        if (i < e->stems)
            longest = SPL_MAX(longest, (unsigned)got);
    }
    *ret_count = longest;
    return 0;
}

static int report(const evaluation *e, unsigned pass, uint64_t samples, spl_error *ret_error) {
    if (e->progress && e->progress(e->progress_user, pass, samples))
        return spl_fail(ret_error, SPL_E_CANCELED, "interrupted");
    return 0;
}

static bool is_silent(const float *samples, size_t count) {
    for (size_t n = 0; n < count; n++) {
        if (samples[2 * n] + samples[2 * n + 1] != 0)
            return false;
    }
    return true;
}

/* ------------------------------------------------------ correlations ---- */

/* Stores `count` samples at `offset` of the scratch and fills the rest with zeros. */
static void load(spl_fft_scratch *scratch, const float *samples, size_t count, size_t offset) {
    memset(scratch->re[0], 0, sizeof(scratch->re[0]));
    memset(scratch->im[0], 0, sizeof(scratch->im[0]));
    for (size_t n = 0; n < count; n++) {
        scratch->re[0][offset + n] = samples[2 * n];
        scratch->im[0][offset + n] = samples[2 * n + 1];
    }
}

/* Transforms a signal's block; for a true stem also the block with the history before it. */
static void transform_signal(void *user, size_t signal, unsigned thread) {
    evaluation *e = user;
    spl_fft_scratch *scratch = &e->work[thread].fft;
    const float *samples = e->samples + signal * 2 * WINDOW;
    load(scratch, samples, BLOCK, HISTORY);
    spl_fft_forward(&e->table, scratch, &e->current[signal]);
    if (signal >= e->stems)
        return;
    load(scratch, samples, BLOCK, HISTORY);
    double *left = e->history + 2 * signal * HISTORY, *right = left + HISTORY;
    for (size_t n = 0; n < HISTORY; n++) {
        scratch->re[0][n] = left[n];
        scratch->im[0][n] = right[n];
    }
    memcpy(left, scratch->re[0] + BLOCK, HISTORY * sizeof(*left));
    memcpy(right, scratch->im[0] + BLOCK, HISTORY * sizeof(*right));
    spl_fft_forward(&e->table, scratch, &e->delayed[signal]);
}

/* Accumulates this block's correlation of each true channel with a signal. */
static void correlate_signal(void *user, size_t signal, unsigned thread) {
    evaluation *e = user;
    (void)thread;
    for (size_t x = 0; x < 2 * (size_t)e->stems; x++) {
        const double *restrict x_re = e->delayed[x / 2].re[x % 2];
        const double *restrict x_im = e->delayed[x / 2].im[x % 2];
        spl_stereo_spectrum *correlation = &e->correlations[x * 2 * e->stems + signal];
        for (size_t c = 0; c < 2; c++) {
            const double *restrict y_re = e->current[signal].re[c];
            const double *restrict y_im = e->current[signal].im[c];
            double *restrict re = correlation->re[c], *restrict im = correlation->im[c];
            for (size_t k = 0; k < SPL_EVALUATE_FFT_BINS; k++) {
                re[k] += y_re[k] * x_re[k] + y_im[k] * x_im[k];
                im[k] += y_im[k] * x_re[k] - y_re[k] * x_im[k];
            }
        }
    }
}

static int correlate(evaluation *e, spl_error *ret_error) {
    const size_t signals = 2 * (size_t)e->stems;
    e->history = calloc(signals * HISTORY, sizeof(*e->history));
    e->delayed = calloc(e->stems, sizeof(*e->delayed));
    e->current = calloc(signals, sizeof(*e->current));
    e->correlations = calloc(signals * signals, sizeof(*e->correlations));
    if (!e->history || !e->delayed || !e->current || !e->correlations)
        return spl_fail_memory(ret_error);
    for (;;) {
        unsigned count;
        int status = read_samples(e, BLOCK, &count, ret_error);
        if (status < 0)
            return status;
        /* Truncate the estimates to the length of the true stems. */
        for (size_t i = e->stems; i < signals; i++)
            memset(e->samples + (i * WINDOW + count) * 2, 0, (BLOCK - count) * 2 * sizeof(float));
        for (unsigned i = 0; i < e->stems; i++)
            e->result.silent[i] &= is_silent(e->samples + (size_t)i * 2 * WINDOW, count);
        spl_pool_run(e->pool, signals, transform_signal, e);
        spl_pool_run(e->pool, signals, correlate_signal, e);
        e->result.samples += count;
        status = report(e, 1, e->result.samples, ret_error);
        if (status < 0 || count < BLOCK)
            return status;
    }
}

/* ----------------------------------------------------------- filters ---- */

/* Computes the correlation of the true channel x with both channels of `signal`, at lags from 0 on,
 * into scratch->re[0] and im[0]. */
static void lags_of(evaluation *e, size_t x, size_t signal, spl_fft_scratch *scratch) {
    spl_fft_inverse(&e->table, &e->correlations[x * 2 * e->stems + signal], scratch);
}

/* Factors the matrix of correlations between the `count` active stems from `first` on. */
static int factor(evaluation *e, unsigned first, unsigned count, spl_fft_scratch *scratch,
                  spl_toeplitz **ret_matrix, spl_error *ret_error) {
    const size_t size = 2 * (size_t)count;
    SPL_CLEANUP(spl_free_p) double *blocks = calloc(TAPS * size * size, sizeof(*blocks));
    if (!blocks)
        return spl_fail_memory(ret_error);
    for (size_t x = 0; x < size; x++) {
        for (size_t j = 0; j < count; j++) {
            lags_of(e, 2 * e->stem_of[first + x / 2] + x % 2, e->stem_of[first + j], scratch);
            for (size_t lag = 0; lag < TAPS; lag++) {
                double *row = blocks + (lag * size + x) * size + 2 * j;
                row[0] = scratch->re[0][lag];
                row[1] = scratch->im[0][lag];
            }
        }
    }
    return spl_toeplitz_factor(blocks, size, TAPS, &e->source->stop, ret_matrix, ret_error);
}

/* Task 0 is the matrix of all stems, since it takes longest. */
static void factor_task(void *user, size_t task, unsigned thread) {
    evaluation *e = user;
    const unsigned which = task == 0 ? e->active : (unsigned)task - 1;
    const bool all = which == e->active;
    e->errors[which].status = factor(e, all ? 0 : which, all ? e->active : 1, &e->work[thread].fft,
                                     &e->matrices[which], &e->errors[which]) == 0
                                  ? SPL_OK
                                  : e->errors[which].status;
}

/* Computes the filters from the `count` active stems from `first` on to the estimate of the stem
 * `estimate`. */
static int find_filters(evaluation *e, const spl_toeplitz *matrix, unsigned first, unsigned count,
                        unsigned estimate, spl_fft_scratch *scratch, spl_stereo_spectrum *filters,
                        spl_error *ret_error) {
    const size_t size = 2 * (size_t)count, order = size * TAPS;
    SPL_CLEANUP(spl_free_p) double *left = malloc(2 * order * sizeof(*left));
    if (!left)
        return spl_fail_memory(ret_error);
    double *right = left + order;
    for (size_t x = 0; x < size; x++) {
        lags_of(e, 2 * e->stem_of[first + x / 2] + x % 2, e->stems + estimate, scratch);
        for (size_t lag = 0; lag < TAPS; lag++) {
            left[lag * size + x] = scratch->re[0][lag];
            right[lag * size + x] = scratch->im[0][lag];
        }
    }
    spl_toeplitz_solve(matrix, left, right);
    for (size_t x = 0; x < size; x++) {
        memset(scratch->re[0], 0, sizeof(scratch->re[0]));
        memset(scratch->im[0], 0, sizeof(scratch->im[0]));
        for (size_t lag = 0; lag < TAPS; lag++) {
            scratch->re[0][lag] = left[lag * size + x];
            scratch->im[0][lag] = right[lag * size + x];
        }
        spl_fft_forward(&e->table, scratch, &filters[x]);
    }
    return 0;
}

static void filter_task(void *user, size_t task, unsigned thread) {
    evaluation *e = user;
    const unsigned i = (unsigned)task, stem = e->stem_of[i];
    spl_fft_scratch *scratch = &e->work[thread].fft;
    if (spl_stop_requested(&e->source->stop))
        spl_fail(&e->errors[i], SPL_E_CANCELED, "interrupted");
    else if (find_filters(e, e->matrices[i], i, 1, stem, scratch, e->own_filters + 2 * i,
                          &e->errors[i]) == 0)
        (void)find_filters(e, e->matrices[e->active], 0, e->active, stem, scratch,
                           e->all_filters + (size_t)i * 2 * e->active, &e->errors[i]);
}

static int make_filters(evaluation *e, spl_error *ret_error) {
    e->stem_of = calloc(e->stems, sizeof(*e->stem_of));
    if (!e->stem_of)
        return spl_fail_memory(ret_error);
    for (unsigned i = 0; i < e->stems; i++) {
        if (!e->result.silent[i])
            e->stem_of[e->active++] = i;
    }
    if (e->active == 0)
        return spl_fail(ret_error, SPL_E_FORMAT, "the true stems are silent");
    const size_t active = e->active;
    e->matrices = calloc(active + 1, sizeof(*e->matrices));
    e->errors = calloc(active + 1, sizeof(*e->errors));
    e->own_filters = calloc(2 * active, sizeof(*e->own_filters));
    e->all_filters = calloc(2 * active * active, sizeof(*e->all_filters));
    if (!e->matrices || !e->errors || !e->own_filters || !e->all_filters)
        return spl_fail_memory(ret_error);
    spl_pool_run(e->pool, active + 1, factor_task, e);
    int status = report(e, 1, e->result.samples, ret_error);
    if (status < 0)
        return status;
    bool failed = false;
    for (size_t i = 0; i <= active; i++)
        failed |= e->errors[i].status != SPL_OK;
    if (!failed)
        spl_pool_run(e->pool, active, filter_task, e);
    for (size_t i = 0; i <= active; i++) {
        if (e->errors[i].status != SPL_OK)
            return spl_fail(ret_error, e->errors[i].status, "%s", e->errors[i].message);
        spl_toeplitz_free(SPL_STEAL(e->matrices[i]));
    }
    free(SPL_STEAL(e->correlations));
    return 0;
}

/* ----------------------------------------------------------- windows ---- */

static void transform_block(void *user, size_t task, unsigned thread) {
    evaluation *e = user;
    const size_t block = task / e->active, stem = e->stem_of[task % e->active];
    load(&e->work[thread].fft, e->samples + (stem * WINDOW + block * BLOCK) * 2, BLOCK, 0);
    spl_fft_forward(&e->table, &e->work[thread].fft, &e->blocks[task]);
}

static void multiply_add(spl_stereo_spectrum *sum, const spl_stereo_spectrum *filter,
                         const double *restrict x_re, const double *restrict x_im) {
    for (size_t c = 0; c < 2; c++) {
        const double *restrict f_re = filter->re[c], *restrict f_im = filter->im[c];
        double *restrict re = sum->re[c], *restrict im = sum->im[c];
        for (size_t k = 0; k < SPL_EVALUATE_FFT_BINS; k++) {
            re[k] += x_re[k] * f_re[k] - x_im[k] * f_im[k];
            im[k] += x_re[k] * f_im[k] + x_im[k] * f_re[k];
        }
    }
}

/* Filters the window of the `count` active stems from `first` on with `filters`, and adds them. */
static void project(const evaluation *e, const spl_stereo_spectrum *filters, size_t first,
                    size_t count, workspace *work, double ret_projection[2][WINDOW_PADDED]) {
    memset(ret_projection, 0, sizeof(work->own));
    for (size_t block = 0; block < BLOCKS; block++) {
        memset(&work->sum, 0, sizeof(work->sum));
        for (size_t x = 0; x < 2 * count; x++) {
            const spl_stereo_spectrum *stem = &e->blocks[block * e->active + first + x / 2];
            multiply_add(&work->sum, &filters[x], stem->re[x % 2], stem->im[x % 2]);
        }
        spl_fft_inverse(&e->table, &work->sum, &work->fft);
        for (size_t n = 0; n < BLOCK + HISTORY; n++) {
            ret_projection[0][block * BLOCK + n] += work->fft.re[0][n];
            ret_projection[1][block * BLOCK + n] += work->fft.im[0][n];
        }
    }
}

static double ratio_db(double signal, double fault) {
    return fault == 0 ? (double)INFINITY : 10 * log10(signal / fault);
}

/* Scores the estimate of an active stem in the current window. */
static void score_stem(void *user, size_t i, unsigned thread) {
    const evaluation *e = user;
    workspace *work = &e->work[thread];
    const size_t stem = e->stem_of[i];
    project(e, e->own_filters + 2 * i, i, 1, work, work->own);
    project(e, e->all_filters + i * 2 * e->active, 0, e->active, work, work->all);

    const float *truth = e->samples + stem * 2 * WINDOW;
    const float *estimate = e->samples + (e->stems + stem) * 2 * WINDOW;
    double true_2 = 0, product = 0, error_2 = 0, spatial_2 = 0, own_2 = 0, interference_2 = 0,
           all_2 = 0, artifacts_2 = 0, others_2 = 0, estimate_2 = 0;
    for (size_t n = 0; n < 2 * (size_t)WINDOW_PADDED; n++) {
        const bool inside = n < 2 * (size_t)WINDOW;
        const double t = inside ? (double)truth[n] : 0, s = inside ? (double)estimate[n] : 0;
        const double own = work->own[n % 2][n / 2], all = work->all[n % 2][n / 2];
        double others = 0;
        for (size_t j = 0; inside && j < e->stems; j++)
            others += j == stem ? 0 : (double)e->samples[j * 2 * WINDOW + n];
        true_2 += t * t;
        product += t * s;
        error_2 += (s - t) * (s - t);
        spatial_2 += (own - t) * (own - t);
        own_2 += own * own;
        interference_2 += (all - own) * (all - own);
        all_2 += all * all;
        estimate_2 += s * s;
        artifacts_2 += (s - all) * (s - all);
        others_2 += others * others;
    }
    e->all_2[stem] += all_2;
    e->estimate_2[stem] += estimate_2;
    const double scale = product / true_2;
    double rest_2 = 0;
    for (size_t n = 0; n < 2 * (size_t)WINDOW; n++) {
        const double rest = (double)estimate[n] - scale * (double)truth[n];
        rest_2 += rest * rest;
    }
    e->result.windowed[stem * e->result.windows + e->window] = (spl_bss_scores){
        .sdr = ratio_db(true_2, error_2),
        .isr = ratio_db(true_2, spatial_2),
        .sir = ratio_db(own_2, interference_2),
        .sar = ratio_db(all_2, artifacts_2),
        .si_sdr = ratio_db(scale * scale * true_2, rest_2),
        .mixture_sdr = ratio_db(true_2, others_2),
    };
}

static bool has_silence(const evaluation *e, size_t count) {
    for (unsigned i = 0; i < e->active; i++) {
        const float *truth = e->samples + (size_t)e->stem_of[i] * 2 * WINDOW;
        if (is_silent(truth, count) || is_silent(truth + (size_t)e->stems * 2 * WINDOW, count))
            return true;
    }
    return false;
}

static const spl_bss_scores undefined = {NAN, NAN, NAN, NAN, NAN, NAN};

static int score(evaluation *e, spl_error *ret_error) {
    spl_bss_result *result = &e->result;
    result->windows = SPL_MAX((size_t)(result->samples / WINDOW), (size_t)1);
    result->windowed = calloc(e->stems * result->windows, sizeof(*result->windowed));
    e->blocks = calloc(BLOCKS * (size_t)e->active, sizeof(*e->blocks));
    e->estimate_2 = calloc(e->stems, sizeof(*e->estimate_2));
    e->all_2 = calloc(e->stems, sizeof(*e->all_2));
    result->ill_conditioned = calloc(e->stems, sizeof(*result->ill_conditioned));
    if (!result->windowed || !e->blocks || !e->estimate_2 || !e->all_2 || !result->ill_conditioned)
        return spl_fail_memory(ret_error);
    for (size_t i = 0; i < e->stems * result->windows; i++)
        result->windowed[i] = undefined;
    for (e->window = 0; e->window < result->windows; e->window++) {
        unsigned count;
        int status = read_samples(e, WINDOW, &count, ret_error);
        if (status < 0)
            return status;
        for (size_t i = e->stems; i < 2 * (size_t)e->stems; i++)
            memset(e->samples + (i * WINDOW + count) * 2, 0, (WINDOW - count) * 2 * sizeof(float));
        if (!has_silence(e, count)) {
            spl_pool_run(e->pool, BLOCKS * (size_t)e->active, transform_block, e);
            spl_pool_run(e->pool, e->active, score_stem, e);
        }
        status = report(e, 2, (e->window + 1) * (uint64_t)WINDOW, ret_error);
        if (status < 0)
            return status;
    }
    for (unsigned i = 0; i < e->stems; i++)
        result->ill_conditioned[i] = e->all_2[i] > PROJECTION_MOST * e->estimate_2[i];
    return 0;
}

/* ----------------------------------------------------------- medians ---- */

static int compare_numbers(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double spl_median(double *numbers, size_t count) {
    size_t finite = 0;
    for (size_t i = 0; i < count; i++) {
        if (isfinite(numbers[i]))
            numbers[finite++] = numbers[i];
    }
    if (finite == 0)
        return (double)NAN;
    qsort(numbers, finite, sizeof(*numbers), compare_numbers);
    return (numbers[(finite - 1) / 2] + numbers[finite / 2]) / 2;
}

static int find_medians(spl_bss_result *result, spl_error *ret_error) {
    const size_t fields = sizeof(spl_bss_scores) / sizeof(double);
    SPL_CLEANUP(spl_free_p) double *numbers = calloc(result->windows, sizeof(*numbers));
    result->medians = calloc(result->stems, sizeof(*result->medians));
    if (!numbers || !result->medians)
        return spl_fail_memory(ret_error);
    for (size_t i = 0; i < result->stems; i++) {
        const double *windowed = (const double *)(result->windowed + i * result->windows);
        for (size_t field = 0; field < fields; field++) {
            for (size_t w = 0; w < result->windows; w++)
                numbers[w] = windowed[w * fields + field];
            ((double *)&result->medians[i])[field] = spl_median(numbers, result->windows);
        }
        if (result->ill_conditioned[i])
            result->medians[i].sir = result->medians[i].sar = (double)NAN;
    }
    return 0;
}

static int run(evaluation *e, spl_error *ret_error) {
    e->work = calloc(spl_pool_threads(e->pool), sizeof(*e->work));
    e->samples = calloc(2 * (size_t)e->stems * 2 * WINDOW, sizeof(*e->samples));
    e->result.silent = malloc(e->stems * sizeof(*e->result.silent));
    if (!e->work || !e->samples || !e->result.silent)
        return spl_fail_memory(ret_error);
    memset(e->result.silent, true, e->stems * sizeof(*e->result.silent));
    int status;
    if ((status = correlate(e, ret_error)) < 0 || (status = make_filters(e, ret_error)) < 0 ||
        (status = e->source->rewind(e->source->user, ret_error)) < 0 ||
        (status = score(e, ret_error)) < 0)
        return status;
    return find_medians(&e->result, ret_error);
}

int spl_bss_eval(const spl_bss_source *source, spl_pool *pool,
                 bool (*progress)(void *user, unsigned pass, uint64_t samples), void *progress_user,
                 spl_bss_result *ret_result, spl_error *ret_error) {
    evaluation *e = calloc(1, sizeof(*e));
    if (!e)
        return spl_fail_memory(ret_error);
    e->source = source;
    e->pool = pool;
    e->progress = progress;
    e->progress_user = progress_user;
    e->stems = e->result.stems = source->stems;
    spl_fft_table_init(&e->table);
    int status = run(e, ret_error);
    if (status == 0) {
        *ret_result = e->result;
        e->result = (spl_bss_result){0};
    }
    evaluation_clear(e);
    free(e);
    return status;
}

void spl_bss_result_clear(spl_bss_result *result) {
    free(result->windowed);
    free(result->medians);
    free(result->silent);
    free(result->ill_conditioned);
    *result = (spl_bss_result){0};
}

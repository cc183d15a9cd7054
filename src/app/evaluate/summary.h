/* SPDX-License-Identifier: MIT
 *
 * Medians over songs for each stem: museval's summary of a data set.
 */
#ifndef SPL_APP_EVALUATE_SUMMARY_H
#define SPL_APP_EVALUATE_SUMMARY_H

#include "app/evaluate/evaluate.h"

typedef struct spl_stem_summary {
    const char *name; /* owned by the scores */
    size_t songs;     /* number of songs with a finite SDR of this stem */
    spl_bss_scores medians;
    double improvement; /* median over songs of SDR minus mixture_sdr */
} spl_stem_summary;

typedef struct spl_summary {
    spl_stem_summary *stems; /* in the order of the first song that has them */
    size_t count;
} spl_summary;

/* Summarises the scores. Failed songs are ignored. Errors: MEMORY. */
SPL_WARN_UNUSED int spl_summary_make(const spl_song_scores *scores, size_t song_count,
                                     spl_summary *ret_summary, spl_error *ret_error);

void spl_summary_clear(spl_summary *summary);

/* The medians of the stem `name` in one song; NULL when the song failed or lacks the stem. */
const spl_bss_scores *spl_scores_of(const spl_song_scores *scores, const char *name);

/* Writes an SVG picture of the median SDR of each song and stem, and of the medians of these, to
 * `path`. Errors: IO. */
SPL_WARN_UNUSED int spl_summary_plot(const spl_summary *summary, const spl_song_scores *scores,
                                     size_t song_count, const char *path, spl_error *ret_error);

#endif

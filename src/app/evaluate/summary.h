/* SPDX-License-Identifier: MIT
 *
 * Medians over songs, for each stem: museval's way of one number for a whole data set.
 */
#ifndef SPL_APP_EVALUATE_SUMMARY_H
#define SPL_APP_EVALUATE_SUMMARY_H

#include "app/evaluate/evaluate.h"

typedef struct spl_stem_summary {
    const char *name; /* belongs to the scores */
    size_t songs;     /* that have a median SDR of this stem */
    spl_bss_scores medians;
    double improvement; /* median over songs of SDR less SDR of the mixture */
} spl_stem_summary;

typedef struct spl_summary {
    spl_stem_summary *stems; /* in the order of the first song that has them */
    size_t count;
} spl_summary;

/* Sums up; songs that failed count as if they were not there. Errors: MEMORY. */
SPL_WARN_UNUSED int spl_summary_make(const spl_song_scores *scores, size_t song_count,
                                     spl_summary *ret_summary, spl_error *ret_error);

void spl_summary_clear(spl_summary *summary);

/* The medians of the stem `name` in one song; NULL when the song has none. */
const spl_bss_scores *spl_scores_of(const spl_song_scores *scores, const char *name);

/* The median SDR of each song and stem, and the median of those, as an SVG picture. Errors: IO. */
SPL_WARN_UNUSED int spl_summary_plot(const spl_summary *summary, const spl_song_scores *scores,
                                     size_t song_count, const char *path, spl_error *ret_error);

#endif

/* SPDX-License-Identifier: MIT
 *
 * How well a model separates, or how good given estimates are, over songs whose true stems are
 * known.
 *
 * An estimate is compared with the true stem of its name. "other" and "accompaniment" stand for all
 * that no estimate is named after: "other" is compared with the sum of those true stems,
 * "accompaniment" as well unless there is a true stem of that name.
 */
#ifndef SPL_APP_EVALUATE_EVALUATE_H
#define SPL_APP_EVALUATE_EVALUATE_H

#include "app/evaluate/bss_eval.h"
#include "app/evaluate/songs.h"
#include "app/pipeline/pipeline.h"

typedef struct spl_evaluate_options {
    const char *estimates; /* folder of the estimates: NAME/STEM.wav, of any codec that we write,
                              where NAME is the song's name or the last part of it; for a single
                              song also STEM.wav; NULL: separate with `pipeline` */
    spl_pipeline_options
        pipeline; /* model, bandwidth, wiener, channels; stop, asked from several threads at once */
    const char *temporary_folder; /* for what comes out of the separation */
    unsigned threads;             /* 0: all CPUs; songs are evaluated side by side */
    void *user;
    /* How far a song is, from 0 to 1; true cancels. Called from several threads, one at a time. May
     * be NULL. */
    bool (*progress)(void *user, size_t song, double fraction);
} spl_evaluate_options;

/* What came out for one song. */
typedef struct spl_song_scores {
    spl_error error; /* of status SPL_OK: evaluated; all else is then set */
    char **stems;    /* [bss.stems]: names; estimates as the model or the folder has them */
    spl_bss_result bss;
} spl_song_scores;

/* Evaluates all songs; *ret_scores is [songs->count], for spl_song_scores_free. A song that fails
 * does not stop the others. Errors: MEMORY, CANCELED. */
SPL_WARN_UNUSED int spl_evaluate(const spl_songs *songs, const spl_evaluate_options *options,
                                 spl_song_scores **ret_scores, spl_error *ret_error);

void spl_song_scores_free(spl_song_scores *scores, size_t count);

#endif

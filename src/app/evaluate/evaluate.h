/* SPDX-License-Identifier: MIT
 *
 * Evaluates a model, or given estimates, on songs with known true stems.
 *
 * An estimate is compared with the true stem of the same name. "other" is compared with the sum of
 * all true stems without an estimate of their own, and so is "accompaniment" unless there is a true
 * stem of that name.
 */
#ifndef SPL_APP_EVALUATE_EVALUATE_H
#define SPL_APP_EVALUATE_EVALUATE_H

#include "app/evaluate/bss_eval.h"
#include "app/evaluate/songs.h"
#include "app/pipeline/pipeline.h"

typedef struct spl_evaluate_options {
    /* Folder of the estimates: NAME/STEM.wav, where NAME is the song's name or the last part of it;
     * for a single song also STEM.wav. Other audio formats are accepted too. NULL: separate with
     * `pipeline`. */
    const char *estimates;
    /* Uses model, bandwidth, wiener, channels and stop, which must be thread-safe. */
    spl_pipeline_options pipeline;
    const char *temporary_folder; /* for the separated stems */
    unsigned threads;             /* 0: all CPUs; songs are evaluated in parallel */
    void *user;
    /* Receives the progress of a song from 0 to 1; true cancels. Called from several threads, but
     * one call at a time. May be NULL. */
    bool (*progress)(void *user, size_t song, double fraction);
} spl_evaluate_options;

/* The result for one song. */
typedef struct spl_song_scores {
    spl_error error; /* the other members are valid if its status is SPL_OK */
    char **stems;    /* [bss.stems]: names, as in the model or the folder of estimates */
    spl_bss_result bss;
} spl_song_scores;

/* Evaluates all songs. *ret_scores is [songs->count], to be freed with spl_song_scores_free. A song
 * that fails does not affect the others. Errors: MEMORY, CANCELED. */
SPL_WARN_UNUSED int spl_evaluate(const spl_songs *songs, const spl_evaluate_options *options,
                                 spl_song_scores **ret_scores, spl_error *ret_error);

void spl_song_scores_free(spl_song_scores *scores, size_t count);

#endif

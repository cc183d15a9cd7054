/* SPDX-License-Identifier: MIT
 *
 * Computes medians over songs.
 */
#include "app/evaluate/summary.h"

#include <math.h>
#include <string.h>

#define FIELDS (sizeof(spl_bss_scores) / sizeof(double))

const spl_bss_scores *spl_scores_of(const spl_song_scores *scores, const char *name) {
    for (unsigned i = 0; scores->error.status == SPL_OK && i < scores->bss.stems; i++) {
        if (strcmp(scores->stems[i], name) == 0)
            return &scores->bss.medians[i];
    }
    return NULL;
}

static bool has_stem(const spl_summary *summary, const char *name) {
    for (size_t i = 0; i < summary->count; i++) {
        if (strcmp(summary->stems[i].name, name) == 0)
            return true;
    }
    return false;
}

static int list_stems(const spl_song_scores *scores, size_t song_count, spl_summary *summary,
                      spl_error *ret_error) {
    for (size_t song = 0; song < song_count; song++) {
        for (unsigned i = 0; scores[song].stems && i < scores[song].bss.stems; i++) {
            if (has_stem(summary, scores[song].stems[i]))
                continue;
            spl_stem_summary *longer =
                reallocarray(summary->stems, summary->count + 1, sizeof(*summary->stems));
            if (!longer)
                return spl_fail_memory(ret_error);
            summary->stems = longer;
            longer[summary->count++] = (spl_stem_summary){.name = scores[song].stems[i]};
        }
    }
    return 0;
}

static void sum_up(spl_stem_summary *stem, const spl_song_scores *scores, size_t song_count,
                   double *numbers) {
    for (size_t field = 0; field <= FIELDS; field++) {
        size_t count = 0;
        for (size_t song = 0; song < song_count; song++) {
            const spl_bss_scores *of_song = spl_scores_of(&scores[song], stem->name);
            if (!of_song)
                continue;
            if (field == 0)
                stem->songs += isfinite(of_song->sdr) != 0;
            numbers[count++] = field == FIELDS ? of_song->sdr - of_song->mixture_sdr
                                               : ((const double *)of_song)[field];
        }
        double *to = field == FIELDS ? &stem->improvement : &((double *)&stem->medians)[field];
        *to = spl_median(numbers, count);
    }
}

static int make(const spl_song_scores *scores, size_t song_count, spl_summary *summary,
                spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) double *numbers = calloc(song_count + 1, sizeof(*numbers));
    if (!numbers)
        return spl_fail_memory(ret_error);
    int status = list_stems(scores, song_count, summary, ret_error);
    for (size_t i = 0; status == 0 && i < summary->count; i++)
        sum_up(&summary->stems[i], scores, song_count, numbers);
    return status;
}

int spl_summary_make(const spl_song_scores *scores, size_t song_count, spl_summary *ret_summary,
                     spl_error *ret_error) {
    spl_summary summary = {0};
    int status = make(scores, song_count, &summary, ret_error);
    if (status < 0)
        spl_summary_clear(&summary);
    else
        *ret_summary = summary;
    return status;
}

void spl_summary_clear(spl_summary *summary) {
    free(summary->stems);
    *summary = (spl_summary){0};
}

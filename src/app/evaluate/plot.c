/* SPDX-License-Identifier: MIT
 *
 * Plots a summary: a column for each stem with a dot for each song and a bar at the median.
 */
#include "app/evaluate/summary.h"
#include "base/file.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

#define LEFT   64
#define TOP    24
#define HEIGHT 360
#define COLUMN 120
#define SPREAD 64 /* width of a column of dots */

typedef struct db_axis {
    double low_db, high_db, step_db;
} db_axis;

static db_axis choose_axis(const spl_summary *summary, const spl_song_scores *scores,
                           size_t song_count) {
    double low = 0, high = 1;
    for (size_t i = 0; i < summary->count; i++) {
        for (size_t song = 0; song < song_count; song++) {
            const spl_bss_scores *of_song = spl_scores_of(&scores[song], summary->stems[i].name);
            if (of_song && isfinite(of_song->sdr)) {
                low = fmin(low, of_song->sdr);
                high = fmax(high, of_song->sdr);
            }
        }
    }
    double step = 1;
    while ((high - low) / step > 12)
        step *= step == 2 || step == 20 ? 2.5 : 2;
    return (db_axis){step * floor(low / step), step * ceil(high / step), step};
}

static double height_of(const db_axis *axis, double db) {
    return TOP + HEIGHT * (axis->high_db - db) / (axis->high_db - axis->low_db);
}

/* Escapes the text, since names may contain any character. */
static void put_text(FILE *file, const char *text) {
    for (; *text; text++) {
        if (*text == '<' || *text == '>' || *text == '&')
            fprintf(file, "&#%d;", *text);
        else
            fputc(*text, file);
    }
}

static void put_grid(FILE *file, const db_axis *axis, double right) {
    const int lines = (int)lround((axis->high_db - axis->low_db) / axis->step_db);
    for (int i = 0; i <= lines; i++) {
        const double db = axis->low_db + i * axis->step_db, y = height_of(axis, db);
        fprintf(file,
                "<path d=\"M%d %.1fH%.1f\" stroke=\"#ddd\"/>"
                "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n",
                LEFT, y, right, LEFT - 8, y + 4, db);
    }
    fprintf(file,
            "<text transform=\"translate(16 %d) rotate(-90)\" text-anchor=\"middle\">median SDR of "
            "a song, dB</text>\n",
            TOP + HEIGHT / 2);
}

static void put_column(FILE *file, const db_axis *axis, const spl_stem_summary *stem,
                       const spl_song_scores *scores, size_t song_count, double middle) {
    for (size_t song = 0; song < song_count; song++) {
        const spl_bss_scores *of_song = spl_scores_of(&scores[song], stem->name);
        if (of_song && isfinite(of_song->sdr))
            fprintf(
                file,
                "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"#26c\" fill-opacity=\"0.5\"/>\n",
                middle + SPREAD * (((double)song + 0.5) / (double)song_count - 0.5),
                height_of(axis, of_song->sdr));
    }
    fprintf(file, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">", middle, TOP + HEIGHT + 20);
    put_text(file, stem->name);
    fputs("</text>\n", file);
    if (!isfinite(stem->medians.sdr))
        return;
    const double y = height_of(axis, stem->medians.sdr);
    fprintf(file,
            "<path d=\"M%.1f %.1fH%.1f\" stroke=\"#c22\" stroke-width=\"2\"/>"
            "<text x=\"%.1f\" y=\"%.1f\" fill=\"#c22\">%.1f</text>\n",
            middle - SPREAD / 2.0 - 8, y, middle + SPREAD / 2.0 + 8, middle + SPREAD / 2.0 + 10,
            y + 4, stem->medians.sdr);
}

static void put_picture(FILE *file, const spl_summary *summary, const spl_song_scores *scores,
                        size_t song_count) {
    const db_axis scale = choose_axis(summary, scores, song_count);
    const double right = LEFT + COLUMN * (double)summary->count;
    fprintf(file,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%d\" "
            "font-family=\"sans-serif\" font-size=\"12\">\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
            right + 24, TOP + HEIGHT + 40);
    put_grid(file, &scale, right);
    for (size_t i = 0; i < summary->count; i++)
        put_column(file, &scale, &summary->stems[i], scores, song_count,
                   LEFT + COLUMN * ((double)i + 0.5));
    fputs("</svg>\n", file);
}

int spl_summary_plot(const spl_summary *summary, const spl_song_scores *scores, size_t song_count,
                     const char *path, spl_error *ret_error) {
    SPL_CLEANUP(spl_output_file_discard) spl_output_file output = SPL_OUTPUT_FILE_INIT;
    int status = spl_output_file_open(path, &output, ret_error);
    if (status < 0)
        return status;
    SPL_CLEANUP(spl_free_p) char *picture = NULL;
    size_t size;
    FILE *file = open_memstream(&picture, &size);
    if (!file)
        return spl_fail_memory(ret_error);
    put_picture(file, summary, scores, song_count);
    if (fclose(file) == EOF)
        return spl_fail_memory(ret_error);
    status = spl_write_all(output.fd, picture, size, path, ret_error);
    return status == 0 ? spl_output_file_commit(&output, ret_error) : status;
}

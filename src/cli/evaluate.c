/* SPDX-License-Identifier: MIT
 *
 * `spleeterd evaluate`: the quality of estimated stems, or of a model's separation, on songs whose
 * true stems are available.
 */
#include "app/evaluate/summary.h"
#include "app/models/search_path.h"
#include "app/request/values.h"
#include "base/clock.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/inputs.h"
#include "cli/report.h"
#include "cli/signals.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define SHOW_INTERVAL_S 0.1
#define NAME_COLUMNS    40

enum { KEY_ESTIMATES = CLI_LONG_ONLY, KEY_BANDWIDTH, KEY_MWF, KEY_THREADS, KEY_JSON, KEY_PLOT };

static const cli_option options[] = {
    {KEY_ESTIMATES, "estimates", "FOLDER",
     "Evaluate what is in SONG/STEM.wav (or another codec) of this folder instead of separating."},
    {'p', "params_filename", "MODEL", "Model, as for separate. Default: 2stems"},
    {KEY_BANDWIDTH, "bandwidth", "WIDTH", "11k, 16k or full. Default: what the model's name says"},
    {KEY_MWF, "mwf", NULL, "Separate with a multichannel Wiener filter."},
    {KEY_THREADS, "threads", "N", "CPU threads to use. Default: all CPUs"},
    {KEY_JSON, "json", NULL, "Write all scores as JSON to standard output."},
    {KEY_PLOT, "plot", "FILE", "Draw the SDR of each song and stem as an SVG picture."},
    {'h', "help", NULL, "Print this text."},
};

const cli_command cli_evaluate_command = {
    .name = "evaluate",
    .synopsis = "[OPTION...] FOLDER",
    .summary = "Measures how good a separation is. FOLDER holds songs with their true stems: "
               "folders with "
               "mixture.wav, vocals.wav and so on, or *.stem.mp4 files, at any depth (MUSDB18).",
    .options = options,
    .option_count = SPL_ARRAY_SIZE(options),
};

typedef struct evaluate_request {
    const char *model, *plot;
    bool has_bandwidth, json, help;
    spl_evaluate_options evaluate;
} evaluate_request;

static int take_option(void *user, int key, const char *value, spl_error *ret_error) {
    evaluate_request *request = user;
    switch (key) {
    case KEY_ESTIMATES:
        request->evaluate.estimates = value;
        return 0;
    case 'p':
        request->model = value;
        return 0;
    case KEY_BANDWIDTH:
        request->has_bandwidth = true;
        return spl_bandwidth_parse("--bandwidth", value, &request->evaluate.pipeline.bandwidth,
                                   ret_error);
    case KEY_MWF:
        request->evaluate.pipeline.wiener = true;
        return 0;
    case KEY_THREADS:
        return spl_threads_parse("--threads", value, &request->evaluate.threads, ret_error);
    case KEY_JSON:
        request->json = true;
        return 0;
    case KEY_PLOT:
        request->plot = value;
        return 0;
    default:
        request->help = true;
        return 0;
    }
}

static int open_model(evaluate_request *request, spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char *search_path = NULL;
    spl_pipeline_options *pipeline = &request->evaluate.pipeline;
    spl_model_choice found;
    int status = spl_models_search_path(&search_path, ret_error);
    if (status == 0)
        status = spl_model_resolve(request->model, search_path, &found, ret_error);
    if (status == 0)
        status = spl_model_open(found.path, &pipeline->model, ret_error);
    if (status < 0)
        return status;
    if (found.as_spleeter)
        pipeline->channels = SPL_CHANNELS_FIRST_TWO;
    if (!request->has_bandwidth)
        pipeline->bandwidth = found.bandwidth;
    return 0;
}

/* -------------------------------------------------------- progress ----- */

typedef struct song_bars {
    bool shown;
    size_t count, ended;
    double *fractions;
    double last_s;
} song_bars;

static bool show_progress(void *user, size_t song, double fraction) {
    song_bars *bars = user;
    bars->ended += fraction == 1 && bars->fractions[song] < 1;
    bars->fractions[song] = fraction;
    const double now = spl_now_s();
    if (bars->shown && now - bars->last_s > SHOW_INTERVAL_S) {
        bars->last_s = now;
        double done = 0;
        for (size_t i = 0; i < bars->count; i++)
            done += bars->fractions[i];
        fprintf(stderr, "\r%3.0f%%  %zu of %zu song%s\033[K", 100 * done / (double)bars->count,
                bars->ended, bars->count, SPL_PLURAL(bars->count));
    }
    return cli_signals_caught() != 0;
}

/* ----------------------------------------------------------- output ---- */

static const struct {
    const char *key, *title;
    size_t offset;
} fields[] = {
    {"sdr", "SDR", offsetof(spl_bss_scores, sdr)},
    {"isr", "ISR", offsetof(spl_bss_scores, isr)},
    {"sir", "SIR", offsetof(spl_bss_scores, sir)},
    {"sar", "SAR", offsetof(spl_bss_scores, sar)},
    {"si_sdr", "SI-SDR", offsetof(spl_bss_scores, si_sdr)},
    {"mixture_sdr", "mixture", offsetof(spl_bss_scores, mixture_sdr)},
};

static double field_of(const spl_bss_scores *scores, size_t field) {
    return *(const double *)((const char *)scores + fields[field].offset);
}

static json_t *scores_to_json(const spl_bss_scores *scores) {
    json_t *object = json_object();
    for (size_t i = 0; i < SPL_ARRAY_SIZE(fields); i++)
        json_object_set_new(object, fields[i].key, cli_json_number(field_of(scores, i)));
    return object;
}

static json_t *song_to_json(const spl_song *song, const spl_song_scores *scores) {
    json_t *object = json_object();
    json_object_set_new(object, "name", cli_json_text(song->name));
    if (scores->error.status != SPL_OK) {
        json_object_set_new(object, "error", cli_json_text(scores->error.message));
        return object;
    }
    const spl_bss_result *bss = &scores->bss;
    json_t *stems = json_array();
    for (unsigned i = 0; i < bss->stems; i++) {
        json_t *stem = scores_to_json(&bss->medians[i]);
        json_t *windows = json_array();
        for (size_t w = 0; w < bss->windows; w++)
            json_array_append_new(windows, scores_to_json(&bss->windowed[i * bss->windows + w]));
        json_object_set_new(stem, "name", cli_json_text(scores->stems[i]));
        json_object_set_new(stem, "silent", json_boolean(bss->silent[i]));
        json_object_set_new(stem, "ill_conditioned", json_boolean(bss->ill_conditioned[i]));
        json_object_set_new(stem, "windows", windows);
        json_array_append_new(stems, stem);
    }
    json_object_set_new(object, "duration_s", json_real((double)bss->samples / SPL_SAMPLE_RATE_HZ));
    json_object_set_new(object, "stems", stems);
    return object;
}

static int print_json(const evaluate_request *request, const spl_songs *songs,
                      const spl_song_scores *scores, const spl_summary *summary,
                      spl_error *ret_error) {
    json_t *root = json_object(), *song_list = json_array(), *stem_list = json_array();
    for (size_t i = 0; i < songs->count; i++)
        json_array_append_new(song_list, song_to_json(&songs->songs[i], &scores[i]));
    for (size_t i = 0; i < summary->count; i++) {
        const spl_stem_summary *stem = &summary->stems[i];
        json_t *object = scores_to_json(&stem->medians);
        json_object_set_new(object, "name", cli_json_text(stem->name));
        json_object_set_new(object, "songs", json_integer((json_int_t)stem->songs));
        json_object_set_new(object, "improvement", cli_json_number(stem->improvement));
        json_array_append_new(stem_list, object);
    }
    json_object_set_new(root, "version", json_string(spl_version()));
    const bool separated = !request->evaluate.estimates;
    json_object_set_new(root, separated ? "model" : "estimates",
                        cli_json_text(separated ? request->model : request->evaluate.estimates));
    json_object_set_new(root, "medians", stem_list);
    json_object_set_new(root, "songs", song_list);
    return cli_json_print(root, ret_error);
}

static void print_cell(double value, int width) {
    if (isnan(value))
        printf("  %*s", width, "-");
    else
        printf("  %*.2f", width, value);
}

static int width_of(const char *title) {
    return SPL_MAX((int)strlen(title), 7);
}

/* Prints a song's name, shortened or padded to `columns`. */
static void print_name(const char *name, size_t columns) {
    SPL_CLEANUP(spl_free_p) char *clean = cli_text_clean(name);
    SPL_CLEANUP(spl_free_p) char *fitting = clean ? cli_text_fit(clean, columns) : NULL;
    if (fitting)
        printf("%s%*s", fitting, (int)(columns - cli_text_columns(fitting)), "");
}

static void print_songs(const spl_songs *songs, const spl_song_scores *scores,
                        const spl_summary *summary) {
    printf("%-*s", NAME_COLUMNS, "median SDR in dB");
    for (size_t i = 0; i < summary->count; i++)
        printf("  %*s", width_of(summary->stems[i].name), summary->stems[i].name);
    putchar('\n');
    for (size_t i = 0; i < songs->count; i++) {
        if (scores[i].error.status != SPL_OK)
            continue;
        print_name(songs->songs[i].name, NAME_COLUMNS);
        for (size_t k = 0; k < summary->count; k++) {
            const spl_bss_scores *of_song = spl_scores_of(&scores[i], summary->stems[k].name);
            print_cell(of_song ? of_song->sdr : (double)NAN, width_of(summary->stems[k].name));
        }
        putchar('\n');
    }
    putchar('\n');
}

static void print_table(const spl_songs *songs, const spl_song_scores *scores,
                        const spl_summary *summary) {
    if (songs->count > 1)
        print_songs(songs, scores, summary);
    printf("%-16s  %5s", "medians in dB", "songs");
    for (size_t i = 0; i < SPL_ARRAY_SIZE(fields); i++)
        printf("  %*s", width_of(fields[i].title), fields[i].title);
    printf("  improvement\n");
    for (size_t i = 0; i < summary->count; i++) {
        const spl_stem_summary *stem = &summary->stems[i];
        printf("%-16s  %5zu", stem->name, stem->songs);
        for (size_t k = 0; k < SPL_ARRAY_SIZE(fields); k++)
            print_cell(field_of(&stem->medians, k), width_of(fields[k].title));
        print_cell(stem->improvement, (int)strlen("improvement"));
        putchar('\n');
    }
}

/* Explains missing SIR and SAR values. */
static void explain_ill_conditioned(const spl_songs *songs, const spl_song_scores *scores) {
    for (size_t i = 0; i < songs->count; i++) {
        bool any = false;
        for (unsigned k = 0; scores[i].error.status == SPL_OK && k < scores[i].bss.stems; k++)
            any |= scores[i].bss.ill_conditioned[k];
        if (any)
            cli_complain("%s: warning: SIR and SAR are left out, because they depend on rounding: "
                         "the true stems have no sound in part of the spectrum, as after lossy "
                         "encoding",
                         songs->songs[i].name);
    }
}

/* Prints the error of each failed song and returns the exit code. */
static cli_exit complain_of_failures(const spl_song_scores *scores, size_t count) {
    size_t failed = 0;
    cli_exit code = CLI_EXIT_OK;
    for (size_t i = 0; i < count; i++) {
        if (scores[i].error.status == SPL_OK)
            continue;
        cli_complain("%s", scores[i].error.message);
        code = cli_exit_of_stage(scores[i].error.status, SPL_STAGE_INPUT);
        failed++;
    }
    return failed > 0 && count > 1 ? CLI_EXIT_BATCH : code;
}

static cli_exit report(const evaluate_request *request, const spl_songs *songs,
                       const spl_song_scores *scores, spl_error *ret_error) {
    SPL_CLEANUP(spl_summary_clear) spl_summary summary = {0};
    if (spl_summary_make(scores, songs->count, &summary, ret_error) < 0)
        return CLI_EXIT_RESOURCES;
    if (request->json && print_json(request, songs, scores, &summary, ret_error) < 0)
        return CLI_EXIT_OUTPUT;
    if (!request->json && summary.count > 0)
        print_table(songs, scores, &summary);
    explain_ill_conditioned(songs, scores);
    if (request->plot &&
        spl_summary_plot(&summary, scores, songs->count, request->plot, ret_error) < 0)
        return CLI_EXIT_OUTPUT;
    return complain_of_failures(scores, songs->count);
}

static cli_exit run(evaluate_request *request, const char *folder, spl_error *ret_error) {
    SPL_CLEANUP(spl_songs_clear) spl_songs songs = {0};
    int status = spl_songs_find(folder, &songs, ret_error);
    if (status < 0)
        return cli_exit_of_stage(status, SPL_STAGE_INPUT);
    if (!request->evaluate.estimates) {
        status = open_model(request, ret_error);
        if (status < 0)
            return cli_exit_of_model(status);
    }
    SPL_CLEANUP(spl_free_p) double *fractions = calloc(songs.count, sizeof(*fractions));
    if (!fractions) {
        spl_fail_memory(ret_error);
        return CLI_EXIT_RESOURCES;
    }
    song_bars bars = {.shown = isatty(STDERR_FILENO), .count = songs.count, .fractions = fractions};
    request->evaluate.temporary_folder = cli_temporary_folder();
    request->evaluate.progress = show_progress;
    request->evaluate.user = &bars;
    request->evaluate.pipeline.stop.requested = cli_signals_stop;
    spl_song_scores *scores;
    status = spl_evaluate(&songs, &request->evaluate, &scores, ret_error);
    if (bars.shown)
        fputs("\r\033[K", stderr);
    if (status < 0)
        return cli_signals_caught() ? CLI_EXIT_SIGNAL + cli_signals_caught() : CLI_EXIT_RESOURCES;
    const cli_exit code = report(request, &songs, scores, ret_error);
    spl_song_scores_free(scores, songs.count);
    return code;
}

int cli_evaluate(int argc, char **argv) {
    evaluate_request request = {.model = "2stems"};
    spl_error error = {0};
    int first;
    cli_exit code = CLI_EXIT_USAGE;
    if (cli_parse(&cli_evaluate_command, argc, argv, take_option, &request, &first, &error) == 0) {
        if (request.help) {
            code = CLI_EXIT_OK;
            cli_print_command(&cli_evaluate_command, stdout);
        } else if (first + 1 != argc) {
            spl_fail(&error, SPL_E_ARGUMENT,
                     "evaluate takes one folder of songs; see spleeterd evaluate --help");
        } else {
            code = run(&request, argv[first], &error);
        }
    }
    if (error.status != SPL_OK)
        cli_complain("%s", error.message);
    spl_model_unref(request.evaluate.pipeline.model);
    return code;
}

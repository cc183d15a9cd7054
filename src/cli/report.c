/* SPDX-License-Identifier: MIT
 *
 * Progress, summaries and failures, for people and for programs.
 */
#include "cli/report.h"

#include "app/models/weights_id.h"
#include "base/clock.h"
#include "cli/signals.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define PROGRESS_INTERVAL_S 0.1
#define BAR_CELLS           20
/* Columns reserved for the name, if it is that long; the bar is dropped to keep them. */
#define NAME_COLUMNS_MIN    12

/* Writes one JSON line and takes ownership of `object`. */
static void emit(cli_report *report, json_t *object) {
    bool failed = !object || json_dumpf(object, stdout, JSON_COMPACT | JSON_ENSURE_ASCII) < 0 ||
                  fputc('\n', stdout) == EOF || fflush(stdout) == EOF;
    json_decref(object);
    if (failed && !report->json_failed)
        cli_complain("cannot write JSON to standard output");
    report->json_failed |= failed;
}

/* Writes one JSON line about the current input and takes ownership of `rest`. */
static void emit_about_input(cli_report *report, const char *event, json_t *rest) {
    json_t *object = json_pack("{s:s}", "event", event);
    if (object && rest) {
        cli_json_set_path(object, "input", report->input);
        json_object_update(object, rest);
    }
    json_decref(rest);
    emit(report, object);
}

json_t *cli_json_number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

int cli_json_print(json_t *root, spl_error *ret_error) {
    if (!root)
        return spl_fail_memory(ret_error);
    const bool failed = json_dumpf(root, stdout, JSON_INDENT(1)) < 0 || putchar('\n') == EOF ||
                        fflush(stdout) == EOF;
    json_decref(root);
    return failed ? spl_fail_errno(ret_error, errno, "cannot write JSON to standard output") : 0;
}

void cli_json_set_path(json_t *object, const char *key, const char *path) {
    json_object_set_new(object, key, cli_json_text(path));
    json_t *exact = json_string(path);
    json_decref(exact);
    char hex_key[32];
    SPL_CLEANUP(spl_free_p) char *hex = exact ? NULL : calloc(2, strlen(path) + 1);
    if (!hex)
        return;
    for (size_t i = 0; path[i]; i++)
        snprintf(hex + 2 * i, 3, "%02x", (unsigned char)path[i]);
    snprintf(hex_key, sizeof(hex_key), "%s_hex", key);
    json_object_set_new(object, hex_key, json_string(hex));
}

json_t *cli_json_text(const char *value) {
    json_t *string = json_string(value);
    if (string)
        return string;
    SPL_CLEANUP(spl_free_p) char *ascii = strdup(value);
    for (char *c = ascii; c && *c; c++) {
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    }
    return ascii ? json_string(ascii) : NULL;
}

void cli_report_start(cli_report *report, size_t total, size_t skipped,
                      const spl_model_info *weights, const cli_report_options *options) {
    const char *terminal = getenv("TERM");
    *report = (cli_report){
        .options = *options,
        .bar = !options->json && !options->quiet && isatty(STDERR_FILENO) &&
               !(terminal && strcmp(terminal, "dumb") == 0),
        .total = total,
        .skipped = skipped,
        .weights = weights,
    };
    if (spl_weights_id(weights, report->weights_id, NULL) < 0)
        report->weights_id[0] = '\0';
}

void cli_report_input(cli_report *report, const char *input) {
    report->input = strcmp(input, "-") == 0 ? "standard input" : input;
    report->number++;
    report->started_s = spl_now_s();
    report->shown_s = -INFINITY;
}

/* Formats a duration as "1:02:03" or "2:03". */
static const char *clock_text(double seconds, char text[32]) {
    unsigned long s = (unsigned long)fmin(fmax(seconds, 0), 1e9);
    if (s >= 3600)
        snprintf(text, 32, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(text, 32, "%lu:%02lu", s / 60, s % 60);
    return text;
}

static void clear_bar(const cli_report *report) {
    if (report->bar)
        fputs("\r\033[K", stderr);
}

/* Progress of a song over all its passes. */
typedef struct song_progress {
    double fraction; /* 0 to 1; NAN when the length is unknown */
    double speed;    /* as a multiple of real time */
    double elapsed_s, left_s;
} song_progress;

static song_progress measure(const cli_report *report, const spl_progress *progress, double now) {
    song_progress song = {
        .fraction = (double)NAN, .left_s = (double)NAN, .elapsed_s = now - report->started_s};
    double total = (double)progress->samples_total;
    double done = (double)progress->samples_done;
    if (total > 0) {
        song.fraction = (progress->pass - 1 + fmin(done / total, 1)) / progress->passes;
        done = song.fraction * total;
        if (song.fraction > 0)
            song.left_s = song.elapsed_s * (1 - song.fraction) / song.fraction;
    }
    song.speed = song.elapsed_s > 0 ? done / SPL_SAMPLE_RATE_HZ / song.elapsed_s : 0;
    return song;
}

/* Formats the progress as text; `cells` is the bar, or "" for none. */
static void describe(const spl_progress *progress, const song_progress *song, const char *cells,
                     char ret_text[160]) {
    char done[32], left[32];
    if (isnan(song->fraction))
        snprintf(ret_text, 160, "  %s  %.1fx real time",
                 clock_text((double)progress->samples_done / SPL_SAMPLE_RATE_HZ, done),
                 song->speed);
    else
        snprintf(ret_text, 160, "  %s%3d%%  %.1fx real time  %s left", cells,
                 (int)(song->fraction * 100), song->speed,
                 isnan(song->left_s) ? "-:--" : clock_text(song->left_s, left));
}

/* Draws one line that fits the terminal. If space is short, it drops the bar first, then the middle
 * of the name, and finally the end of the line. */
static void draw_bar(const cli_report *report, const spl_progress *progress,
                     const song_progress *song) {
    const size_t columns = cli_terminal_columns(stderr) - 1;
    char cells[BAR_CELLS + 2] = "", count[48] = "", state[160];
    for (int i = 0; !isnan(song->fraction) && i < BAR_CELLS; i++)
        cells[i] = i < (int)(song->fraction * BAR_CELLS) ? '#' : '.';
    cells[BAR_CELLS] = ' ';
    if (report->total > 1)
        snprintf(count, sizeof(count), "[%zu/%zu] ", report->number, report->total);
    const char *base = strrchr(report->input, '/');
    SPL_CLEANUP(spl_free_p) char *clean = cli_text_clean(base ? base + 1 : report->input);
    const size_t wanted = SPL_MIN(clean ? cli_text_columns(clean) : 0, NAME_COLUMNS_MIN);
    describe(progress, song, cells, state);
    if (strlen(count) + wanted + strlen(state) > columns)
        describe(progress, song, "", state);
    const size_t taken = strlen(count) + strlen(state);
    const size_t left = columns > taken + wanted ? columns - taken : wanted;
    SPL_CLEANUP(spl_free_p) char *name = clean ? cli_text_fit(clean, left) : NULL;
    SPL_CLEANUP(spl_free_p) char *line = NULL;
    if (!name || asprintf(&line, "%s%s%s", count, name, state) < 0)
        return;
    SPL_CLEANUP(spl_free_p) char *fitting = cli_text_cut(line, columns);
    fprintf(stderr, "\r%s\033[K", fitting ? fitting : "");
}

spl_status cli_report_progress(void *user, const spl_progress *progress) {
    cli_report *report = user;
    if (cli_signals_caught())
        return SPL_E_CANCELED;
    double now = spl_now_s();
    if ((!report->bar && !report->options.json) || now - report->shown_s < PROGRESS_INTERVAL_S)
        return 0;
    report->shown_s = now;
    song_progress song = measure(report, progress, now);
    if (report->bar)
        draw_bar(report, progress, &song);
    else
        emit_about_input(
            report, "progress",
            json_pack("{s:o, s:I, s:I, s:i, s:i, s:o, s:o, s:o}", "fraction",
                      cli_json_number(song.fraction), "samples_done",
                      (json_int_t)progress->samples_done, "samples_total",
                      (json_int_t)progress->samples_total, "pass", (int)progress->pass, "passes",
                      (int)progress->passes, "elapsed_s", cli_json_number(song.elapsed_s), "eta_s",
                      cli_json_number(song.left_s), "speed", cli_json_number(song.speed)));
    return 0;
}

static void emit_success(cli_report *report, const char *model, const spl_output *outputs,
                         size_t output_count, const spl_pipeline_result *result) {
    json_t *files = json_array();
    for (size_t i = 0; i < output_count; i++) {
        json_t *file = json_pack("{s:o, s:I, s:o}", "name", cli_json_text(outputs[i].name),
                                 "clipped", (json_int_t)result->clipped[i], "peak_dbfs",
                                 cli_json_number(result->peak_dbfs[i]));
        cli_json_set_path(file, "path", outputs[i].path ? outputs[i].path : "-");
        json_array_append_new(files, file);
    }
    double duration_s = (double)result->samples / SPL_SAMPLE_RATE_HZ;
    json_t *object = json_pack(
        "{s:s, s:o, s:{s:o, s:o, s:i, s:i}, s:I, s:i, s:f, s:f, s:f, s:o, s:o}", "status",
        "succeeded", "model", cli_json_text(model), "input_format", "container",
        cli_json_text(result->input.container), "codec", cli_json_text(result->input.codec),
        "sample_rate_hz", (int)result->input.sample_rate_hz, "channels",
        (int)result->input.channels, "samples", (json_int_t)result->samples, "sample_rate_hz",
        SPL_SAMPLE_RATE_HZ, "duration_s", duration_s, "seconds", result->seconds, "speed",
        duration_s / result->seconds, "warning",
        result->warning[0] ? cli_json_text(result->warning) : json_null(), "outputs", files);
    const spl_model_info *weights = report->weights;
    if (object)
        json_object_set_new(
            object, "weights",
            json_pack("{s:o, s:o, s:o, s:o, s:o}", "name", cli_json_text(weights->name), "path",
                      cli_json_text(weights->path), "sha256",
                      *report->weights_id ? cli_json_text(report->weights_id) : json_null(),
                      "licence", cli_json_text(weights->licence), "source",
                      cli_json_text(weights->source)));
    /* Absent if it was not measured; null if the residual is exactly zero. */
    if (object && !isnan(result->residual_db))
        json_object_set_new(object, "residual_db", cli_json_number(result->residual_db));
    emit_about_input(report, "result", object);
}

static void print_details(const spl_output *outputs, size_t output_count,
                          const spl_pipeline_result *result) {
    const spl_audio_info *input = &result->input;
    cli_print_line(stderr, "    input: %s in %s, %u Hz, %u channel%s", input->codec,
                   input->container, input->sample_rate_hz, input->channels,
                   SPL_PLURAL(input->channels));
    for (size_t i = 0; i < output_count; i++)
        cli_print_line(stderr, "    peak of %s: %.1f dBFS", outputs[i].name, result->peak_dbfs[i]);
    if (!isnan(result->residual_db))
        fprintf(stderr, "    mixture minus the sum of the stems: %.1f dB\n", result->residual_db);
}

static void print_success(const cli_report *report, const spl_output *outputs, size_t output_count,
                          const spl_pipeline_result *result) {
    double duration_s = (double)result->samples / SPL_SAMPLE_RATE_HZ;
    char duration[32];
    cli_print_line(stderr, "%s: %s separated in %.1f s (%.1fx real time) with %s%s%.8s",
                   report->input, clock_text(duration_s, duration), result->seconds,
                   duration_s / result->seconds, report->weights->name,
                   *report->weights_id ? ", weights " : "", report->weights_id);
    for (size_t i = 0; i < output_count; i++)
        cli_print_line(stderr, "    %s", outputs[i].path ? outputs[i].path : "standard output");
    if (report->options.verbose)
        print_details(outputs, output_count, result);
}

static void print_warnings(const cli_report *report, const spl_output *outputs, size_t output_count,
                           const spl_pipeline_result *result) {
    for (size_t i = 0; i < output_count; i++) {
        if (result->clipped[i] > 0)
            cli_complain("%s: warning: %llu sample%s of %s clipped; use wav with "
                         "--bit-depth float, or lower the input",
                         report->input, (unsigned long long)result->clipped[i],
                         SPL_PLURAL(result->clipped[i]), outputs[i].name);
    }
    if (result->warning[0])
        cli_complain("%s: warning: %s", report->input, result->warning);
}

void cli_report_success(cli_report *report, const char *model, const spl_output *outputs,
                        size_t output_count, const spl_pipeline_result *result) {
    report->succeeded++;
    clear_bar(report);
    if (report->options.json) {
        emit_success(report, model, outputs, output_count, result);
        return;
    }
    if (!report->options.quiet)
        print_success(report, outputs, output_count, result);
    print_warnings(report, outputs, output_count, result);
}

void cli_report_failure(cli_report *report, cli_exit code, const spl_error *error) {
    clear_bar(report);
    cli_complain("%s", error->message);
    if (report->options.json)
        emit_about_input(report, "result",
                         json_pack("{s:s, s:i, s:s, s:o}", "status", "failed", "exit_code",
                                   (int)code, "error", spl_status_text(error->status), "message",
                                   cli_json_text(error->message)));
}

void cli_report_end(cli_report *report, cli_exit code) {
    size_t failed = report->number - report->succeeded;
    if (report->options.json) {
        emit(report, json_pack("{s:s, s:I, s:I, s:I, s:I, s:i}", "event", "end", "succeeded",
                               (json_int_t)report->succeeded, "failed", (json_int_t)failed,
                               "not_started", (json_int_t)(report->total - report->number),
                               "skipped", (json_int_t)report->skipped, "exit_code", (int)code));
    }
    if (report->total > 1 && failed > 0)
        cli_complain("%zu of %zu files failed", failed, report->total);
}

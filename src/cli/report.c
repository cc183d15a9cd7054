/* SPDX-License-Identifier: MIT
 *
 * Progress, summaries and failures, for people and for programs.
 */
#include "cli/report.h"

#include "base/clock.h"
#include "cli/signals.h"
#include "pipeline/weights.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>

#define PROGRESS_INTERVAL_S 0.1
#define BAR_CELLS           24

void cli_complain(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("spleeterd: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

/* Writes one JSON line, and takes over `object`. */
static void emit(cli_report *report, json_t *object) {
    bool failed = !object || json_dumpf(object, stdout, JSON_COMPACT | JSON_ENSURE_ASCII) < 0 ||
                  fputc('\n', stdout) == EOF || fflush(stdout) == EOF;
    json_decref(object);
    if (failed && !report->json_failed)
        cli_complain("cannot write JSON to standard output");
    report->json_failed |= failed;
}

json_t *cli_json_number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
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

void cli_report_start(cli_report *report, size_t total, const spl_model_info *weights, bool json,
                      bool verbose) {
    const char *terminal = getenv("TERM");
    *report = (cli_report){
        .json = json,
        .verbose = verbose,
        .bar = !json && isatty(STDERR_FILENO) && !(terminal && strcmp(terminal, "dumb") == 0),
        .total = total,
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

/* "1:02:03", "2:03" */
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

/* How far a song is, over all its passes. */
typedef struct song_progress {
    double fraction; /* 0 to 1; NAN when the length is not known */
    double speed;    /* times real time */
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

static int terminal_columns(void) {
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

static void draw_bar(const cli_report *report, const spl_progress *progress,
                     const song_progress *song) {
    char line[512], done[32], left[32], count[48] = "";
    if (report->total > 1)
        snprintf(count, sizeof(count), "[%zu/%zu] ", report->number, report->total);
    const char *base = strrchr(report->input, '/');
    base = base ? base + 1 : report->input;
    if (isnan(song->fraction)) {
        double seconds = (double)progress->samples_done / SPL_SAMPLE_RATE_HZ;
        snprintf(line, sizeof(line), "%s%.40s  %s  %.1fx real time", count, base,
                 clock_text(seconds, done), song->speed);
    } else {
        char cells[BAR_CELLS + 1];
        int filled = (int)(song->fraction * BAR_CELLS);
        for (int i = 0; i < BAR_CELLS; i++)
            cells[i] = i < filled ? '#' : '.';
        cells[BAR_CELLS] = '\0';
        snprintf(line, sizeof(line), "%s%.40s  %s %3d%%  %.1fx real time  %s left", count, base,
                 cells, (int)(song->fraction * 100), song->speed,
                 isnan(song->left_s) ? "-:--" : clock_text(song->left_s, left));
    }
    fprintf(stderr, "\r%.*s\033[K", terminal_columns() - 1, line);
}

int cli_report_progress(void *user, const spl_progress *progress) {
    cli_report *report = user;
    if (cli_signals_caught())
        return 1;
    double now = spl_now_s();
    if ((!report->bar && !report->json) || now - report->shown_s < PROGRESS_INTERVAL_S)
        return 0;
    report->shown_s = now;
    song_progress song = measure(report, progress, now);
    if (report->bar)
        draw_bar(report, progress, &song);
    else
        emit(report,
             json_pack("{s:s, s:o, s:o, s:I, s:I, s:i, s:i, s:o, s:o, s:o}", "event", "progress",
                       "input", cli_json_text(report->input), "fraction",
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
        const char *path = outputs[i].path ? outputs[i].path : "-";
        json_array_append_new(
            files, json_pack("{s:o, s:o, s:I, s:o}", "name", cli_json_text(outputs[i].name), "path",
                             cli_json_text(path), "clipped", (json_int_t)result->clipped[i],
                             "peak_dbfs", cli_json_number(result->peak_dbfs[i])));
    }
    double duration_s = (double)result->samples / SPL_SAMPLE_RATE_HZ;
    json_t *object = json_pack(
        "{s:s, s:o, s:s, s:o, s:{s:o, s:o, s:i, s:i}, s:I, s:i, s:f, s:f, s:f, s:o, s:o}", "event",
        "result", "input", cli_json_text(report->input), "status", "succeeded", "model",
        cli_json_text(model), "input_format", "container", cli_json_text(result->input.container),
        "codec", cli_json_text(result->input.codec), "sample_rate_hz",
        (int)result->input.sample_rate_hz, "channels", (int)result->input.channels, "samples",
        (json_int_t)result->samples, "sample_rate_hz", SPL_SAMPLE_RATE_HZ, "duration_s", duration_s,
        "seconds", result->seconds, "speed", duration_s / result->seconds, "warning",
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
    /* Left out when it was not measured; null when nothing at all is left. */
    if (object && !isnan(result->residual_db))
        json_object_set_new(object, "residual_db", cli_json_number(result->residual_db));
    emit(report, object);
}

static void print_details(const spl_output *outputs, size_t output_count,
                          const spl_pipeline_result *result) {
    const spl_audio_info *input = &result->input;
    fprintf(stderr, "    input: %s in %s, %u Hz, %u channel%s\n", input->codec, input->container,
            input->sample_rate_hz, input->channels, input->channels == 1 ? "" : "s");
    for (size_t i = 0; i < output_count; i++)
        fprintf(stderr, "    peak of %s: %.1f dBFS\n", outputs[i].name, result->peak_dbfs[i]);
    if (!isnan(result->residual_db))
        fprintf(stderr, "    mixture minus the sum of the stems: %.1f dB\n", result->residual_db);
}

static void print_success(const cli_report *report, const spl_output *outputs, size_t output_count,
                          const spl_pipeline_result *result) {
    double duration_s = (double)result->samples / SPL_SAMPLE_RATE_HZ;
    char duration[32];
    fprintf(stderr, "%s: %s separated in %.1f s (%.1fx real time) with %s%s%.8s\n", report->input,
            clock_text(duration_s, duration), result->seconds, duration_s / result->seconds,
            report->weights->name, *report->weights_id ? ", weights " : "", report->weights_id);
    for (size_t i = 0; i < output_count; i++)
        fprintf(stderr, "    %s\n", outputs[i].path ? outputs[i].path : "standard output");
    if (report->verbose)
        print_details(outputs, output_count, result);
    for (size_t i = 0; i < output_count; i++) {
        if (result->clipped[i] > 0)
            cli_complain("%s: warning: %llu samples of %s clipped; use --bit-depth float, or lower "
                         "the input",
                         report->input, (unsigned long long)result->clipped[i], outputs[i].name);
    }
    if (result->warning[0])
        cli_complain("%s: warning: %s", report->input, result->warning);
}

void cli_report_success(cli_report *report, const char *model, const spl_output *outputs,
                        size_t output_count, const spl_pipeline_result *result) {
    report->succeeded++;
    clear_bar(report);
    if (report->json)
        emit_success(report, model, outputs, output_count, result);
    else
        print_success(report, outputs, output_count, result);
}

void cli_report_failure(cli_report *report, cli_exit code, const spl_error *error) {
    clear_bar(report);
    cli_complain("%s", error->message);
    if (report->json)
        emit(report, json_pack("{s:s, s:o, s:s, s:i, s:s, s:o}", "event", "result", "input",
                               cli_json_text(report->input), "status", "failed", "exit_code",
                               (int)code, "error", spl_status_text(error->status), "message",
                               cli_json_text(error->message)));
    char **longer =
        reallocarray(report->failures, report->failure_count + 1, sizeof(*report->failures));
    if (!longer)
        return;
    report->failures = longer;
    report->failures[report->failure_count++] = strdup(error->message);
}

void cli_report_end(cli_report *report, cli_exit code) {
    size_t failed = report->number - report->succeeded;
    if (report->json) {
        emit(report,
             json_pack("{s:s, s:I, s:I, s:I, s:i}", "event", "end", "succeeded",
                       (json_int_t)report->succeeded, "failed", (json_int_t)failed, "not_started",
                       (json_int_t)(report->total - report->number), "exit_code", (int)code));
    }
    if (report->total < 2 || failed == 0)
        return;
    cli_complain("%zu of %zu files failed:", failed, report->total);
    for (size_t i = 0; i < report->failure_count; i++)
        fprintf(stderr, "    %s\n", report->failures[i] ? report->failures[i] : "out of memory");
}

void cli_report_free(cli_report *report) {
    for (size_t i = 0; i < report->failure_count; i++)
        free(report->failures[i]);
    free(report->failures);
    *report = (cli_report){0};
}

/* SPDX-License-Identifier: MIT
 *
 * Output of `separate` during and after the work: a progress bar and summaries for people on
 * standard error, or JSON lines for programs on standard output.
 */
#ifndef SPL_CLI_REPORT_H
#define SPL_CLI_REPORT_H

#include "app/pipeline/pipeline.h"
#include "cli/exit_code.h"
#include "cli/text.h"

#include <jansson.h>

/* What the command line selects for output. */
typedef struct cli_report_options {
    bool json;    /* JSON lines on standard output instead of text on standard error */
    bool verbose; /* more text */
    bool quiet;   /* only failures and warnings */
} cli_report_options;

typedef struct cli_report {
    cli_report_options options;
    bool bar;
    const spl_model_info *weights; /* of the model in use */
    char weights_id[65];           /* from spl_weights_id; "" if that failed */
    bool json_failed;              /* a write to standard output failed */
    size_t total;                  /* inputs */
    size_t skipped;                /* files in folders that are not inputs */
    size_t succeeded;

    const char *input; /* the current input */
    size_t number;     /* its number, from 1 */
    double started_s, shown_s;
} cli_report;

/* Starts reporting on `total` inputs; `skipped` other files were found beside them. `weights`
 * describes the model and must outlive the report. A bar is shown when standard error is a
 * terminal, unless `json` or `quiet` is set. */
void cli_report_start(cli_report *report, size_t total, size_t skipped,
                      const spl_model_info *weights, const cli_report_options *options);

/* Starts the next input. */
void cli_report_input(cli_report *report, const char *input);

/* Shows the progress of the current input; a callback for spl_pipeline_options.progress. Returns
 * CANCELED after a signal that requests a stop. */
spl_status cli_report_progress(void *user, const spl_progress *progress);

/* Reports that the current input succeeded. */
void cli_report_success(cli_report *report, const char *model, const spl_output *outputs,
                        size_t output_count, const spl_pipeline_result *result);

/* Reports that the current input failed. */
void cli_report_failure(cli_report *report, cli_exit code, const spl_error *error);

/* Reports how many of several inputs failed. */
void cli_report_end(cli_report *report, cli_exit code);

/* Returns a JSON string. A name that is not UTF-8, which JSON requires, gets '?' for each byte
 * above ASCII. NULL when out of memory. */
json_t *cli_json_text(const char *value);

/* Writes `root` to standard output, indented, and takes ownership of it. NULL counts as out of
 * memory. Errors: IO, MEMORY. */
SPL_WARN_UNUSED int cli_json_print(json_t *root, spl_error *ret_error);

/* Sets `key` of `object` to a file name. For a name that is not UTF-8, also sets `key`_hex to its
 * bytes, two hex digits each. */
void cli_json_set_path(json_t *object, const char *key, const char *path);

/* Returns a JSON number, or null for infinities and NaN, which JSON cannot represent. */
json_t *cli_json_number(double value);

#endif

/* SPDX-License-Identifier: MIT
 *
 * What `separate` tells while it works and when it is done: a progress bar and
 * summaries for people on standard error, or JSON lines for programs on standard output.
 */
#ifndef SPL_CLI_REPORT_H
#define SPL_CLI_REPORT_H

#include "app/pipeline/pipeline.h"
#include "cli/exit_code.h"
#include "cli/text.h"

#include <jansson.h>

/* What the command line asks to be told. */
typedef struct cli_report_options {
    bool json;    /* JSON lines on standard output instead of text on standard error */
    bool verbose; /* more text */
    bool quiet;   /* failures and warnings only */
} cli_report_options;

typedef struct cli_report {
    cli_report_options options;
    bool bar;
    const spl_model_info *weights; /* of the model that separates */
    char weights_id[65];           /* as of spl_weights_id */
    bool json_failed;              /* standard output is gone */
    size_t total;                  /* inputs */
    size_t skipped;                /* files of folders that are no inputs */
    size_t succeeded;

    const char *input; /* the current one */
    size_t number;     /* its, from 1 */
    double started_s, shown_s;
} cli_report;

/* Starts reporting on `total` inputs, beside which `skipped` files were found, separated with the
 * model `weights`, which must outlive the report. A bar is shown when standard error is a terminal,
 * unless `json` or `quiet` is on. */
void cli_report_start(cli_report *report, size_t total, size_t skipped,
                      const spl_model_info *weights, const cli_report_options *options);

/* The next input. */
void cli_report_input(cli_report *report, const char *input);

/* How far it is; spl_pipeline_options.progress. Returns 1 when a signal asks to stop. */
int cli_report_progress(void *user, const spl_progress *progress);

/* The current input is done. */
void cli_report_success(cli_report *report, const char *model, const spl_output *outputs,
                        size_t output_count, const spl_pipeline_result *result);

/* The current input failed. */
void cli_report_failure(cli_report *report, cli_exit code, const spl_error *error);

/* Says how many of several inputs failed. */
void cli_report_end(cli_report *report, cli_exit code);

/* A JSON string. File names may be any bytes, JSON strings are UTF-8: the names that are not have
 * '?' for each byte above ASCII. NULL when memory runs out. */
json_t *cli_json_text(const char *value);

/* Writes `root`, with line breaks, to standard output, and takes it over; NULL counts as no memory.
 * Errors: IO, MEMORY. */
SPL_WARN_UNUSED int cli_json_print(json_t *root, spl_error *ret_error);

/* Sets `key` of `object` to a file name; when it is not UTF-8, also `key`_hex to its bytes, two hex
 * digits each. */
void cli_json_set_path(json_t *object, const char *key, const char *path);

/* A JSON number; JSON has neither infinities nor NaN: they are null. */
json_t *cli_json_number(double value);

#endif

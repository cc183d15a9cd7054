/* SPDX-License-Identifier: MIT
 *
 * What the program's exit code says. One table feeds the code, the help text and the tests.
 */
#ifndef SPL_CLI_EXIT_CODE_H
#define SPL_CLI_EXIT_CODE_H

#include "app/pipeline/pipeline.h"

#include <stdio.h>

typedef enum cli_exit {
    CLI_EXIT_OK = 0,
    CLI_EXIT_BATCH = 1,
    CLI_EXIT_USAGE = 2,
    CLI_EXIT_INPUT = 3,
    CLI_EXIT_AUDIO = 4,
    CLI_EXIT_MODEL = 5,
    CLI_EXIT_OUTPUT = 6,
    CLI_EXIT_RESOURCES = 7,
    CLI_EXIT_HELPER = 8,
    CLI_EXIT_SIGNAL = 128, /* plus the number of the signal */
} cli_exit;

/* The code for a failure with `status` (negative) on one side of the pipeline. */
cli_exit cli_exit_of_stage(int status, spl_pipeline_stage stage);

/* The code for a failure with `status` (negative) of a model function. */
cli_exit cli_exit_of_model(int status);

/* Lists all codes, for the help text. */
void cli_print_exit_codes(FILE *stream);

#endif

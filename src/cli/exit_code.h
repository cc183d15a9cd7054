/* SPDX-License-Identifier: MIT
 *
 * The program's exit codes. One table feeds the code, the help text and the tests.
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
    CLI_EXIT_SIGNAL = 128, /* plus the signal number */
} cli_exit;

/* Returns the exit code for a pipeline failure with `status` (negative) in `stage`. */
cli_exit cli_exit_of_stage(int status, spl_pipeline_stage stage);

/* Returns the exit code for `status` (negative) of a check of the command line. */
cli_exit cli_exit_of_arguments(int status);

/* Returns the exit code for `status` (negative) of a model function. */
cli_exit cli_exit_of_model(int status);

/* Lists all exit codes for the help text. */
void cli_print_exit_codes(FILE *stream);

#endif

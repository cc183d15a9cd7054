/* SPDX-License-Identifier: MIT
 *
 * Command-line arguments. One table per command drives both the parser and the help text.
 */
#ifndef SPL_CLI_ARGUMENTS_H
#define SPL_CLI_ARGUMENTS_H

#include "base/error.h"

#include <stdio.h>

/* Options with keys from here up have no short name. */
#define CLI_LONG_ONLY 256

typedef struct cli_option {
    int key;          /* the short name, or CLI_LONG_ONLY and up */
    const char *name; /* the long name */
    /* The placeholder for the value in the help text; NULL for an option without a value. */
    const char *argument;
    const char *help; /* one or more sentences, without line breaks */
} cli_option;

typedef struct cli_command {
    const char *name;     /* "separate" */
    const char *synopsis; /* "[OPTION...] FILE..." */
    const char *summary;  /* one line */
    const cli_option *options;
    size_t option_count;
} cli_command;

/* Handles one option; `value` is NULL for an option without a value. Returns 0, or a negative
 * status with a message. */
typedef int cli_take_option(void *user, int key, const char *value, spl_error *ret_error);

/* Passes each option in `argv` to `take`, skipping argv[0]. Moves the other arguments to the end of
 * `argv`, starting at *ret_first. Errors: ARGUMENT for an option that is not in the table, and
 * whatever `take` returns. */
SPL_WARN_UNUSED int cli_parse(const cli_command *command, int argc, char **argv,
                              cli_take_option *take, void *user, int *ret_first,
                              spl_error *ret_error);

/* Writes the synopsis, the summary and a description of each option. */
void cli_print_command(const cli_command *command, FILE *stream);

#endif

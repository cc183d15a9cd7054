/* SPDX-License-Identifier: MIT
 *
 * Command line arguments: one table a command drives both the parser and the help text.
 */
#ifndef SPL_CLI_ARGUMENTS_H
#define SPL_CLI_ARGUMENTS_H

#include "base/error.h"

#include <stdio.h>

/* Keys from here on are options without a short name. */
#define CLI_LONG_ONLY 256

typedef struct cli_option {
    int key;              /* the short name, or CLI_LONG_ONLY and up */
    const char *name;     /* the long name */
    const char *argument; /* what stands for the value in the help text; NULL: it takes none */
    const char *help;     /* one sentence or a few, without line breaks */
} cli_option;

typedef struct cli_command {
    const char *name;     /* "separate" */
    const char *synopsis; /* "[OPTION...] FILE..." */
    const char *summary;  /* one line */
    const cli_option *options;
    size_t option_count;
} cli_command;

/* Takes one option and its value (NULL when it has none). Returns 0 or a negative status with a
 * message. */
typedef int cli_take_option(void *user, int key, const char *value, spl_error *ret_error);

/* Gives each option in `argv` to `take`; argv[0] is not looked at. The other arguments are moved to
 * the end of argv, from *ret_first on. Errors: ARGUMENT for options that are not in the table, and
 * what `take` returns. */
SPL_WARN_UNUSED int cli_parse(const cli_command *command, int argc, char **argv,
                              cli_take_option *take, void *user, int *ret_first,
                              spl_error *ret_error);

/* Writes synopsis, summary and the options with their explanations. */
void cli_print_command(const cli_command *command, FILE *stream);

#endif

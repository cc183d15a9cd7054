/* SPDX-License-Identifier: MIT
 *
 * Converts a command's option table for getopt_long, and prints it.
 */
#include "cli/arguments.h"

#include <getopt.h>
#include <string.h>

#define HELP_COLUMN 34
#define HELP_WIDTH  80

#define FORM_SEPARATOR " | " /* between the forms in a synopsis */

/* The tables of getopt_long, built from a cli_command. */
typedef struct getopt_tables {
    char *shorts;
    struct option *longs;
} getopt_tables;

static void getopt_tables_free(getopt_tables *tables) {
    free(tables->shorts);
    free(tables->longs);
}

static int getopt_tables_make(const cli_command *command, getopt_tables *tables) {
    tables->shorts = calloc(2 * command->option_count + 2, 1);
    tables->longs = calloc(command->option_count + 1, sizeof(*tables->longs));
    if (!tables->shorts || !tables->longs)
        return SPL_E_MEMORY;
    char *next = tables->shorts;
    *next++ = ':'; /* distinguishes a missing value from an unknown option */
    for (size_t i = 0; i < command->option_count; i++) {
        const cli_option *option = &command->options[i];
        tables->longs[i] = (struct option){
            .name = option->name,
            .has_arg = option->argument ? required_argument : no_argument,
            .val = option->key,
        };
        if (option->key >= CLI_LONG_ONLY)
            continue;
        *next++ = (char)option->key;
        if (option->argument)
            *next++ = ':';
    }
    return 0;
}

/* Reports the option that getopt_long rejected: a short one is in optopt, a long one is the
 * argument before optind. */
static int fail_option(const cli_command *command, char **argv, int found, spl_error *ret_error) {
    char short_name[] = {'-', (char)optopt, '\0'};
    bool is_short = optopt > 0 && optopt < CLI_LONG_ONLY && strncmp(argv[optind - 1], "--", 2) != 0;
    const char *what = is_short ? short_name : argv[optind - 1];
    if (found == ':')
        return spl_fail(ret_error, SPL_E_ARGUMENT, "%s needs a value", what);
    if (optopt != 0 && !is_short)
        return spl_fail(ret_error, SPL_E_ARGUMENT, "%s: the option takes no value", what);
    return spl_fail(ret_error, SPL_E_ARGUMENT, "there is no option %s; see spleeterd %s --help",
                    what, command->name);
}

int cli_parse(const cli_command *command, int argc, char **argv, cli_take_option *take, void *user,
              int *ret_first, spl_error *ret_error) {
    SPL_CLEANUP(getopt_tables_free) getopt_tables tables = {0};
    if (getopt_tables_make(command, &tables) < 0)
        return spl_fail_memory(ret_error);
    optind = 1;
    for (;;) {
        int found = getopt_long(argc, argv, tables.shorts, tables.longs, NULL);
        if (found == -1)
            break;
        if (found == '?' || found == ':')
            return fail_option(command, argv, found, ret_error);
        int status = take(user, found, optarg, ret_error);
        if (status < 0)
            return status;
    }
    *ret_first = optind;
    return 0;
}

/* Prints `text` from column `indent` on, wrapped at white space; `column` is the cursor
 * position. */
static void print_wrapped(FILE *stream, const char *text, int indent, int column) {
    if (column > indent) {
        fputc('\n', stream);
        column = 0;
    }
    fprintf(stream, "%*s", indent - column, "");
    column = indent;
    while (*text) {
        int length = (int)strcspn(text, " \n");
        if (column > indent && column + 1 + length > HELP_WIDTH) {
            fprintf(stream, "\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            fputc(' ', stream);
            column++;
        }
        fprintf(stream, "%.*s", length, text);
        column += length;
        text += length;
        text += strspn(text, " \n");
    }
    fputc('\n', stream);
}

void cli_print_command(const cli_command *command, FILE *stream) {
    const char *form = command->synopsis;
    for (bool first = true; form; first = false) {
        const char *next = strstr(form, FORM_SEPARATOR);
        SPL_CLEANUP(spl_free_p)
        char *text = strndup(form, next ? (size_t)(next - form) : strlen(form));
        const int column =
            fprintf(stream, "%s spleeterd %s ", first ? "Usage:" : "      ", command->name);
        print_wrapped(stream, text ? text : "", column, column);
        form = next ? next + strlen(FORM_SEPARATOR) : NULL;
    }
    fputc('\n', stream);
    print_wrapped(stream, command->summary, 0, 0);
    fputs("\nOptions:\n", stream);
    for (size_t i = 0; i < command->option_count; i++) {
        const cli_option *option = &command->options[i];
        int column = option->key < CLI_LONG_ONLY ? fprintf(stream, "  -%c, ", option->key)
                                                 : fprintf(stream, "      ");
        column += fprintf(stream, "--%s", option->name);
        if (option->argument)
            column += fprintf(stream, " %s", option->argument);
        print_wrapped(stream, option->help, HELP_COLUMN,
                      column + 2 > HELP_COLUMN ? HELP_COLUMN + 1 : column);
    }
}

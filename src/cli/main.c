/* SPDX-License-Identifier: MIT
 *
 * The command spleeterd: finds the subcommand and runs it.
 */
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/report.h"
#include "cli/signals.h"

#include <spleeter/spleeter.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const cli_command *command;
    int (*run)(int argc, char **argv);
    bool polls_signals; /* polls cli_signals_caught to stop cleanly; the others end at once */
} commands[] = {
    {&cli_separate_command, cli_separate, true},  {&cli_models_command, cli_models, true},
    {&cli_evaluate_command, cli_evaluate, true},  {&cli_bench_command, cli_bench, true},
#ifdef SPL_WITH_SERVICE
    {&cli_serve_command, cli_serve, false},       {&cli_worker_command, cli_worker, false},
    {&cli_health_command, cli_health, false},     {&cli_keys_command, cli_keys, false},
    {&cli_webhooks_command, cli_webhooks, false}, {&cli_config_command, cli_config, false},
    {&cli_audit_command, cli_audit, false},
#endif
};

static void print_help(FILE *stream) {
    fputs("Usage: spleeterd COMMAND [OPTION...] [ARGUMENT...]\n"
          "\n"
          "Separates music into stems with Deezer's Spleeter models.\n"
          "\n"
          "Commands:\n",
          stream);
    for (size_t i = 0; i < SPL_ARRAY_SIZE(commands); i++) {
        const cli_command *command = commands[i].command;
        fprintf(stream, "  %-10s %.*s\n", command->name, (int)strcspn(command->summary, ".") + 1,
                command->summary);
    }
    fputs("  help       Prints this text, or the help of a command: spleeterd help COMMAND.\n"
          "\n"
          "Options:\n"
          "      --version  Print the version and the CPU's instruction set.\n"
          "  -h, --help     Print this text.\n"
          "\n",
          stream);
    cli_print_exit_codes(stream);
}

void cli_print_version(void) {
    printf("spleeterd %s (kernels: %s)\n", spl_version(), spl_cpu_isa());
}

static int run_command(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : "";
    bool help = strcmp(name, "help") == 0;
    if (strcmp(name, "--version") == 0) {
        cli_print_version();
        return CLI_EXIT_OK;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || (help && argc == 2)) {
        print_help(stdout);
        return CLI_EXIT_OK;
    }
    if (argc < 2) {
        print_help(stderr);
        return CLI_EXIT_USAGE;
    }
    if (help)
        name = argv[2];
    char help_option[] = "--help";
    char *help_arguments[] = {argv[1], help_option, NULL};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(commands); i++) {
        if (strcmp(name, commands[i].command->name) != 0)
            continue;
        if (commands[i].polls_signals)
            cli_signals_watch();
        return help ? commands[i].run(2, help_arguments) : commands[i].run(argc - 1, argv + 1);
    }
    cli_complain("there is no command \"%s\"; see spleeterd --help", name);
    return CLI_EXIT_USAGE;
}

int main(int argc, char **argv) {
    cli_signals_ignore();
    cli_text_start();
    int code = run_command(argc, argv);
    if (fflush(stdout) == EOF && code == CLI_EXIT_OK) {
        cli_complain("cannot write standard output: %s", strerror(errno));
        code = CLI_EXIT_OUTPUT;
    }
    return code;
}

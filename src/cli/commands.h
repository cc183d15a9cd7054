/* SPDX-License-Identifier: MIT
 *
 * The subcommands of spleeterd.
 */
#ifndef SPL_CLI_COMMANDS_H
#define SPL_CLI_COMMANDS_H

#include "cli/arguments.h"

extern const cli_command cli_separate_command;
extern const cli_command cli_models_command;
extern const cli_command cli_bench_command;
extern const cli_command cli_evaluate_command;
extern const cli_command cli_keys_command;
extern const cli_command cli_webhooks_command;
extern const cli_command cli_config_command;
extern const cli_command cli_audit_command;
extern const cli_command cli_serve_command;
extern const cli_command cli_worker_command;
extern const cli_command cli_health_command;

/* Run a subcommand; argv[0] is its name. Return the program's exit code. */
int cli_separate(int argc, char **argv);
int cli_models(int argc, char **argv);
int cli_bench(int argc, char **argv);
int cli_evaluate(int argc, char **argv);
int cli_keys(int argc, char **argv);
int cli_webhooks(int argc, char **argv);
int cli_config(int argc, char **argv);
int cli_audit(int argc, char **argv);
int cli_serve(int argc, char **argv);
int cli_worker(int argc, char **argv);
int cli_health(int argc, char **argv);

/* Prints the name, the version and the instruction set. */
void cli_print_version(void);

#endif

/* SPDX-License-Identifier: MIT
 *
 * `spleeterd serve` runs the service, `spleeterd worker` runs its jobs on another machine, and
 * `spleeterd health` checks whether a service is alive. All take the service's settings as options.
 */
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/report.h"
#include "service/health.h"
#include "service/service.h"

#include <string.h>

static const cli_option options[] = {
    {'h', "help", NULL, "Print this text."},
};

const cli_command cli_serve_command = {
    .name = "serve",
    .synopsis = "[SETTING...]",
    .summary = "Runs the REST service. Settings come from options or the environment; spleeterd "
               "config check shows those in force.",
    .options = options,
    .option_count = SPL_ARRAY_SIZE(options),
};

const cli_command cli_worker_command = {
    .name = "worker",
    .synopsis = "[SETTING...]",
    .summary =
        "Does jobs of a service on another machine. They share SPLEETER_DATABASE_URL. Settings "
        "are those of spleeterd serve; it answers /health, /ready and /metrics.",
    .options = options,
    .option_count = SPL_ARRAY_SIZE(options),
};

const cli_command cli_health_command = {
    .name = "health",
    .synopsis = "[SETTING...]",
    .summary =
        "Asks the service of these settings whether it is alive. They are those of spleeterd "
        "serve; --bind, --port and --tls-certificate say where it is.",
    .options = options,
    .option_count = SPL_ARRAY_SIZE(options),
};

static bool wants_help(int argc, char **argv) {
    return argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
}

static int load(const cli_command *command, int argc, char **argv, spl_settings *ret_settings,
                int *ret_code) {
    if (wants_help(argc, argv)) {
        cli_print_command(command, stdout);
        if (command != &cli_health_command) {
            fputc('\n', stdout);
            spl_settings_print_help(stdout);
        }
        *ret_code = CLI_EXIT_OK;
        return SPL_E_CANCELED;
    }
    spl_error error;
    int status = spl_settings_load(argc, argv, ret_settings, &error);
    if (status < 0) {
        cli_complain("%s", error.message);
        *ret_code = CLI_EXIT_USAGE;
    }
    return status;
}

static int run(const cli_command *command, spl_service_role role, int argc, char **argv) {
    SPL_CLEANUP(spl_settings_free) spl_settings settings = {0};
    int code;
    if (load(command, argc, argv, &settings, &code) < 0)
        return code;
    spl_error error;
    int status = spl_service_run(&settings, role, &error);
    if (status == 0)
        return CLI_EXIT_OK;
    cli_complain("%s", error.message);
    return status == SPL_E_ARGUMENT ? CLI_EXIT_USAGE
                                    : (int)cli_exit_of_stage(status, SPL_STAGE_OUTPUT);
}

int cli_serve(int argc, char **argv) {
    return run(&cli_serve_command, SPL_SERVES, argc, argv);
}

int cli_worker(int argc, char **argv) {
    return run(&cli_worker_command, SPL_WORKS, argc, argv);
}

int cli_health(int argc, char **argv) {
    SPL_CLEANUP(spl_settings_free) spl_settings settings = {0};
    int code;
    if (load(&cli_health_command, argc, argv, &settings, &code) < 0)
        return code;
    spl_error error;
    if (spl_service_health(&settings, &error) == 0)
        return CLI_EXIT_OK;
    cli_complain("%s", error.message);
    return CLI_EXIT_BATCH;
}

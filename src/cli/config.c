/* SPDX-License-Identifier: MIT
 *
 * `spleeterd config`: what settings the service would run with, and what settings there are.
 */
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/report.h"
#include "service/auth/keys.h"
#include "service/settings.h"

#include <string.h>

static const cli_option options[] = {
    {'h', "help", NULL, "Print this text."},
};

const cli_command cli_config_command = {
    .name = "config",
    .synopsis = "check [SETTING...] | table",
    .summary = "Checks the service's settings and says where each comes from. check takes the "
               "environment and the options of serve, as serve would; table prints all settings "
               "there are, in Markdown.",
    .options = options,
    .option_count = SPL_ARRAY_SIZE(options),
};

static int check_access(const spl_settings *settings, spl_error *ret_error) {
    const spl_quota defaults = {.rate_per_minute = settings->rate_per_minute,
                                .jobs = settings->jobs_per_key,
                                .storage_bytes = settings->storage_per_key_bytes};
    spl_keyring *keyring;
    int status =
        spl_keyring_open(settings->data_dir, settings->api_key, &defaults, &keyring, ret_error);
    if (status < 0)
        return status;
    status = spl_settings_check_access(settings, spl_keyring_count(keyring), ret_error);
    spl_keyring_free(keyring);
    return status;
}

static int check(int argc, char **argv, spl_error *ret_error) {
    SPL_CLEANUP(spl_settings_free) spl_settings settings = {0};
    const int status = spl_settings_load(argc, argv, &settings, ret_error);
    if (status < 0)
        return status;
    spl_settings_print(&settings, stdout);
    return check_access(&settings, ret_error);
}

int cli_config(int argc, char **argv) {
    const char *action = argc > 1 ? argv[1] : "";
    if (strcmp(action, "--help") == 0 || strcmp(action, "-h") == 0) {
        cli_print_command(&cli_config_command, stdout);
        return CLI_EXIT_OK;
    }
    spl_error error = {0};
    int status = 0;
    if (strcmp(action, "check") == 0)
        status = check(argc - 1, argv + 1, &error);
    else if (strcmp(action, "table") == 0 && argc == 2)
        spl_settings_print_markdown(stdout);
    else
        status = spl_fail(&error, SPL_E_ARGUMENT, "write it as: spleeterd config %s",
                          cli_config_command.synopsis);
    if (status < 0)
        cli_complain("%s", error.message);
    return status < 0 ? CLI_EXIT_USAGE : CLI_EXIT_OK;
}

/* SPDX-License-Identifier: MIT
 *
 * `spleeterd config`: the settings that the service would run with, and a table of all settings.
 */
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/report.h"
#include "service/check.h"
#include "service/core/settings.h"

#include <string.h>

static const cli_option options[] = {
    {CLI_LONG_ONLY, "offline", NULL,
     "check: leave out what other programs and machines have to answer: the port, database, "
     "storage, "
     "virus scanner, and the issuer's keys."},
    {CLI_LONG_ONLY + 1, "json", NULL,
     "check: write settings and problems as JSON to standard output."},
    {'h', "help", NULL, "Print this text."},
};

const cli_command cli_config_command = {
    .name = "config",
    .synopsis = "check [OPTION...] [SETTING...] | table",
    .summary = "Checks the service's settings and says where each comes from. check takes the "
               "environment and the options of serve, as serve would, and says everything that "
               "would keep the "
               "service from starting or a first job from succeeding; table prints all settings "
               "there are, in "
               "Markdown.",
    .options = options,
    .option_count = SPL_ARRAY_SIZE(options),
};

/* Counts problems, and prints them and the warnings at once or collects them for JSON. */
typedef struct problems {
    size_t count;
    json_t *texts, *warnings; /* NULL: print to standard error */
} problems;

static void add_problem(void *user, const char *problem) {
    problems *found = user;
    found->count++;
    if (found->texts)
        json_array_append_new(found->texts, cli_json_text(problem));
    else
        cli_complain("%s", problem);
}

static void add_warning(void *user, const char *warning) {
    problems *found = user;
    if (found->warnings)
        json_array_append_new(found->warnings, cli_json_text(warning));
    else
        cli_complain("warning: %s", warning);
}

/* Removes the option `name` from the arguments and returns whether it was present. */
static bool take_flag(int *argc, char **argv, const char *name) {
    for (int i = 1; i < *argc; i++) {
        if (strcmp(argv[i], name) != 0)
            continue;
        memmove(&argv[i], &argv[i + 1], (size_t)(*argc - i) * sizeof(*argv));
        --*argc;
        return true;
    }
    return false;
}

static int check(int argc, char **argv, spl_error *ret_error) {
    /* Static, because a check that exceeds its time limit may still read it. */
    static spl_settings settings;
    const bool json = take_flag(&argc, argv, "--json");
    const bool offline = take_flag(&argc, argv, "--offline");
    problems found = {.texts = json ? json_array() : NULL, .warnings = json ? json_array() : NULL};
    int status = spl_settings_load_all(argc, argv, add_problem, &found, &settings, ret_error);
    if (status == SPL_E_MEMORY)
        return status;
    if (!json)
        spl_settings_print(&settings, stdout);
    spl_settings_find_unknown(add_problem, &found);
    spl_service_check_local(&settings, add_problem, add_warning, &found);
    if (!offline && status == 0)
        spl_service_check_remote(&settings, add_problem, &found);
    else if (!offline)
        add_problem(
            &found,
            "the port, database, storage, virus scanner and issuer were not checked, because "
            "settings are wrong");
    if (json) {
        json_t *object = json_pack("{s:o, s:o, s:o}", "settings", spl_settings_to_json(&settings),
                                   "problems", found.texts, "warnings", found.warnings);
        if (cli_json_print(object, ret_error) < 0)
            return SPL_E_IO;
    }
    return found.count > 0 ? SPL_E_ARGUMENT : 0;
}

int cli_config(int argc, char **argv) {
    const char *action = argc > 1 ? argv[1] : "";
    if (strcmp(action, "--help") == 0 || strcmp(action, "-h") == 0) {
        cli_print_command(&cli_config_command, stdout);
        return CLI_EXIT_OK;
    }
    spl_error error = {0};
    int status = 0;
    if (strcmp(action, "check") == 0) {
        status = check(argc - 1, argv + 1, &error);
        if (status == 0 || status == SPL_E_ARGUMENT) /* already reported */
            return status < 0 ? CLI_EXIT_USAGE : CLI_EXIT_OK;
        cli_complain("%s", error.message);
        return CLI_EXIT_OUTPUT;
    }
    if (strcmp(action, "table") == 0 && argc == 2)
        spl_settings_print_markdown(stdout);
    else
        status = spl_fail(&error, SPL_E_ARGUMENT, "usage: spleeterd config %s",
                          cli_config_command.synopsis);
    if (status < 0)
        cli_complain("%s", error.message);
    return status < 0 ? CLI_EXIT_USAGE : CLI_EXIT_OK;
}

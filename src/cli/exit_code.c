/* SPDX-License-Identifier: MIT
 *
 * Maps statuses to exit codes and describes them.
 */
#include "cli/exit_code.h"

static const struct {
    const char *code, *meaning;
} meanings[] = {
    {"0", "everything worked"},
    {"1", "at least one of several files failed"},
    {"2", "the command line is wrong"},
    {"3", "the input cannot be found or read"},
    {"4", "the input is damaged, is not audio, or holds no sound"},
    {"5", "the model cannot be found or is damaged"},
    {"6", "the output cannot be written"},
    {"7", "out of memory or open files, or a limit was exceeded"},
    {"8", "the codec helper is missing or failed"},
    {"129, 130, 131, 143", "interrupted (SIGHUP, SIGINT, SIGQUIT, SIGTERM)"},
};

/* Maps the failures with the same code in every stage; returns CLI_EXIT_OK for the others. */
static cli_exit exit_of_status(int status) {
    switch ((spl_status)status) {
    case SPL_E_MEMORY:
    case SPL_E_LIMIT:
    case SPL_E_BUDGET:
    case SPL_E_EXHAUSTED:
        return CLI_EXIT_RESOURCES;
    case SPL_E_HELPER:
        return CLI_EXIT_HELPER;
    default:
        return CLI_EXIT_OK;
    }
}

cli_exit cli_exit_of_stage(int status, spl_pipeline_stage stage) {
    cli_exit code = exit_of_status(status);
    if (code != CLI_EXIT_OK)
        return code;
    if (stage == SPL_STAGE_OUTPUT)
        return CLI_EXIT_OUTPUT;
    if (status == SPL_E_FORMAT || status == SPL_E_UNSUPPORTED || status == SPL_E_SAMPLE)
        return CLI_EXIT_AUDIO;
    return stage == SPL_STAGE_INPUT ? CLI_EXIT_INPUT : CLI_EXIT_USAGE;
}

cli_exit cli_exit_of_arguments(int status) {
    cli_exit code = exit_of_status(status);
    return code != CLI_EXIT_OK ? code : CLI_EXIT_USAGE;
}

cli_exit cli_exit_of_model(int status) {
    if (status == SPL_E_NO_SPACE || status == SPL_E_EXISTS)
        return CLI_EXIT_OUTPUT;
    cli_exit code = exit_of_status(status);
    return code != CLI_EXIT_OK ? code : CLI_EXIT_MODEL;
}

void cli_print_exit_codes(FILE *stream) {
    fputs("Exit codes:\n", stream);
    for (size_t i = 0; i < SPL_ARRAY_SIZE(meanings); i++)
        fprintf(stream, "  %-18s  %s\n", meanings[i].code, meanings[i].meaning);
}

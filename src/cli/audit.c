/* SPDX-License-Identifier: MIT
 *
 * `spleeterd audit verify`: checks that the service's audit log is unchanged.
 */
#include "service/observe/audit.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/report.h"
#include "service/auth/auth.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

enum { KEY_DATA_DIR = CLI_LONG_ONLY };

static const cli_option options[] = {
    {KEY_DATA_DIR, "data-dir", "FOLDER",
     "The service's data folder. Default: $SPLEETER_DATA_DIR, or that of serve"},
    {'h', "help", NULL, "Print this text."},
};

const cli_command cli_audit_command = {
    .name = "audit",
    .synopsis = "verify [--data-dir FOLDER]",
    .summary = "Checks that the service's audit log is as it was written. A line that was changed, "
               "removed or moved is found. Exit code 3: there is no log, or no secret to check it "
               "with; 4: it is not as it was "
               "written.",
    .options = options,
    .option_count = SPL_ARRAY_SIZE(options),
};

typedef struct audit_request {
    const char *data_dir;
    bool help;
} audit_request;

static int take_option(void *user, int key, const char *value, spl_error *ret_error) {
    (void)ret_error;
    audit_request *request = user;
    if (key == KEY_DATA_DIR)
        request->data_dir = value;
    else
        request->help = true;
    return 0;
}

/* Derives the audit key from SPLEETER_SECRET (`shared`), or from the secret in `data_dir`, which
 * must exist. */
static int read_key(const char *shared, const char *data_dir, uint8_t ret_key[32],
                    spl_error *ret_error) {
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/secret", data_dir);
    if (!*shared && access(path, R_OK) < 0)
        return spl_fail_errno(ret_error, errno, "cannot read %s", path);
    uint8_t secret[32];
    int status = *shared ? spl_secret_from_text(shared, secret, ret_error)
                         : spl_secret_open(data_dir, secret, ret_error);
    if (status == 0)
        status = spl_secret_derive(secret, "audit", ret_key, ret_error);
    explicit_bzero(secret, sizeof(secret));
    return status;
}

static int verify(const char *shared, const char *data_dir, spl_error *ret_error) {
    uint8_t key[32];
    int status = read_key(shared, data_dir, key, ret_error);
    if (status < 0)
        return status;
    char folder[PATH_MAX];
    snprintf(folder, sizeof(folder), "%s/audit", data_dir);
    status = spl_audit_verify(folder, key, stdout, ret_error);
    explicit_bzero(key, sizeof(key));
    return status;
}

static int run(const audit_request *request, spl_error *ret_error) {
    SPL_CLEANUP(spl_settings_free) spl_settings settings = {0};
    const int status = spl_settings_load(0, NULL, &settings, ret_error);
    if (status < 0)
        return status;
    return verify(settings.shared_secret, request->data_dir ? request->data_dir : settings.data_dir,
                  ret_error);
}

int cli_audit(int argc, char **argv) {
    audit_request request = {0};
    spl_error error = {0};
    int first;
    int status = cli_parse(&cli_audit_command, argc, argv, take_option, &request, &first, &error);
    if (status == 0 && request.help) {
        cli_print_command(&cli_audit_command, stdout);
        return CLI_EXIT_OK;
    }
    if (status == 0 && (argc - first != 1 || strcmp(argv[first], "verify") != 0))
        status = spl_fail(&error, SPL_E_ARGUMENT, "usage: spleeterd audit %s",
                          cli_audit_command.synopsis);
    if (status == 0)
        status = run(&request, &error);
    if (status == 0)
        return CLI_EXIT_OK;
    cli_complain("%s", error.message);
    return status == SPL_E_ARGUMENT ? CLI_EXIT_USAGE : cli_exit_of_stage(status, SPL_STAGE_INPUT);
}

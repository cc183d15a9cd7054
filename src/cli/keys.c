/* SPDX-License-Identifier: MIT
 *
 * `spleeterd keys`: the service's API keys, in keys.json of its data folder.
 */
#include "service/auth/keys.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/report.h"
#include "service/core/settings.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

enum {
    KEY_ROLE = CLI_LONG_ONLY,
    KEY_OF,
    KEY_RATE,
    KEY_JOBS,
    KEY_STORAGE,
    KEY_PRIORITY,
    KEY_DATA_DIR,
    KEY_JSON,
};

static const cli_option options[] = {
    {KEY_ROLE, "role", "ROLE",
     "add: user (creates and reads its own jobs), reader (reads the jobs of the client that --of "
     "names), metrics (only GET /metrics) or admin (user and metrics). Default: user"},
    {KEY_OF, "of", "NAME", "add: the client whose jobs a reader reads"},
    {KEY_RATE, "rate-per-minute", "N", "add: requests a minute. Default: that of the service"},
    {KEY_JOBS, "jobs-per-key", "N", "add: jobs queued and running. Default: that of the service"},
    {KEY_STORAGE, "storage-per-key-mb", "N",
     "add: MiB of inputs and outputs. Default: that of the service"},
    {KEY_PRIORITY, "priority", "N", "add: of its jobs, -10 to 10, higher first. Default: 0"},
    {KEY_DATA_DIR, "data-dir", "FOLDER",
     "The service's data folder. Default: $SPLEETER_DATA_DIR, or that of serve"},
    {KEY_JSON, "json", NULL, "list: write JSON to standard output."},
    {'h', "help", NULL, "Print this text."},
};

const cli_command cli_keys_command = {
    .name = "keys",
    .synopsis = "add [OPTION...] NAME | list | rotate NAME | revoke NAME",
    .summary =
        "Adds, lists, replaces and revokes API keys of the service. A new key is printed once "
        "and kept only as its hash. A client keeps its jobs, links and webhook "
        "secret when its key is rotated; a name that is added again after it was revoked is "
        "another "
        "client. Replace a key that leaked by revoke and add: rotate keeps what it gave out. A "
        "service that runs takes "
        "changes when it gets SIGHUP.",
    .options = options,
    .option_count = SPL_ARRAY_SIZE(options),
};

typedef struct keys_request {
    const char *role, *of, *data_dir;
    spl_quota quota;
    bool json, help;
} keys_request;

static int parse_integer(const char *option, const char *text, long long low, long long high,
                         long long *ret_number, spl_error *ret_error) {
    char *end;
    errno = 0;
    const long long number = strtoll(text, &end, 10);
    if (errno || end == text || *end || number < low || number > high)
        return spl_fail(ret_error, SPL_E_ARGUMENT, "--%s %s: give a number from %lld to %lld",
                        option, text, low, high);
    *ret_number = number;
    return 0;
}

static int take_option(void *user, int key, const char *value, spl_error *ret_error) {
    keys_request *request = user;
    long long number = 0;
    int status = 0;
    switch (key) {
    case KEY_ROLE:
        request->role = value;
        break;
    case KEY_OF:
        request->of = value;
        break;
    case KEY_RATE:
        status = parse_integer("rate-per-minute", value, 1, UINT_MAX, &number, ret_error);
        request->quota.rate_per_minute = (unsigned)number;
        break;
    case KEY_JOBS:
        status = parse_integer("jobs-per-key", value, 1, UINT_MAX, &number, ret_error);
        request->quota.jobs = (unsigned)number;
        break;
    case KEY_STORAGE:
        status = parse_integer("storage-per-key-mb", value, 1, 1 << 30, &number, ret_error);
        request->quota.storage_bytes = (uint64_t)number << 20;
        break;
    case KEY_PRIORITY:
        status = parse_integer("priority", value, -10, 10, &number, ret_error);
        request->quota.priority = (int)number;
        break;
    case KEY_DATA_DIR:
        request->data_dir = value;
        break;
    case KEY_JSON:
        request->json = true;
        break;
    default:
        request->help = true;
    }
    return status;
}

/* Creates a key for `name`; with `rotate`, it replaces the previous one. */
static int make(const char *data_dir, const char *name, bool rotate, const keys_request *request,
                spl_error *ret_error) {
    char key[64];
    const char *role = request->role ? request->role : "user";
    const int status =
        rotate ? spl_keys_rotate(data_dir, name, key, ret_error)
               : spl_keys_add(data_dir, name, role, request->of, &request->quota, key, ret_error);
    if (status < 0)
        return status;
    printf("%s\n", key);
    explicit_bzero(key, sizeof(key));
    fprintf(stderr, "Keep it: it is not stored and will not be shown again.\n");
    return 0;
}

static int list_as_json(const char *data_dir, spl_error *ret_error) {
    json_t *keys;
    const int status = spl_keys_to_json(data_dir, &keys, ret_error);
    return status < 0 ? status : cli_json_print(keys, ret_error);
}

static int act(const char *data_dir, const keys_request *request, int argc, char **argv,
               spl_error *ret_error) {
    const char *action = argc > 0 ? argv[0] : "";
    if (strcmp(action, "add") == 0 && argc == 2)
        return make(data_dir, argv[1], false, request, ret_error);
    if (strcmp(action, "rotate") == 0 && argc == 2)
        return make(data_dir, argv[1], true, request, ret_error);
    if (strcmp(action, "revoke") == 0 && argc == 2)
        return spl_keys_revoke(data_dir, argv[1], ret_error);
    if (strcmp(action, "list") == 0 && argc == 1)
        return request->json ? list_as_json(data_dir, ret_error)
                             : spl_keys_list(data_dir, stdout, ret_error);
    return spl_fail(ret_error, SPL_E_ARGUMENT, "usage: spleeterd keys %s",
                    cli_keys_command.synopsis);
}

static int run(const keys_request *request, int argc, char **argv, spl_error *ret_error) {
    if (request->data_dir)
        return act(request->data_dir, request, argc, argv, ret_error);
    SPL_CLEANUP(spl_settings_free) spl_settings settings = {0};
    const int status = spl_settings_load(0, NULL, &settings, ret_error);
    return status < 0 ? status : act(settings.data_dir, request, argc, argv, ret_error);
}

static cli_exit exit_of(int status) {
    switch (status) {
    case SPL_E_ARGUMENT:
        return CLI_EXIT_USAGE;
    case SPL_E_NOT_FOUND:
    case SPL_E_FORMAT:
        return CLI_EXIT_INPUT;
    case SPL_E_MEMORY:
    case SPL_E_LIMIT:
    case SPL_E_EXHAUSTED:
        return CLI_EXIT_RESOURCES;
    default:
        return status < 0 ? CLI_EXIT_OUTPUT : CLI_EXIT_OK;
    }
}

int cli_keys(int argc, char **argv) {
    keys_request request = {0};
    spl_error error = {0};
    int first;
    int status = cli_parse(&cli_keys_command, argc, argv, take_option, &request, &first, &error);
    if (status == 0 && request.help) {
        cli_print_command(&cli_keys_command, stdout);
        return CLI_EXIT_OK;
    }
    if (status == 0)
        status = run(&request, argc - first, argv + first, &error);
    if (status < 0)
        cli_complain("%s", error.message);
    return exit_of(status);
}

/* SPDX-License-Identifier: MIT
 *
 * `spleeterd webhooks verify`: checks that a received webhook is from the service, for receivers
 * that are scripts.
 */
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/report.h"
#include "service/auth/webhook_signature.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define PAYLOAD_MAX_BYTES ((size_t)16 << 20)
#define SECRET_MAX_BYTES  256

enum {
    KEY_ID = CLI_LONG_ONLY,
    KEY_TIMESTAMP,
    KEY_SIGNATURE,
    KEY_SECRET_FILE,
};

static const cli_option options[] = {
    {KEY_ID, "id", "TEXT", "The header webhook-id"},
    {KEY_TIMESTAMP, "timestamp", "TEXT", "The header webhook-timestamp"},
    {KEY_SIGNATURE, "signature", "TEXT", "The header webhook-signature"},
    {KEY_SECRET_FILE, "secret-file", "FILE",
     "Where the secret is (whsec_...). Default: the variable SPLEETER_WEBHOOK_SECRET"},
    {'h', "help", NULL, "Print this text."},
};

const cli_command cli_webhooks_command = {
    .name = "webhooks",
    .synopsis = "verify --id TEXT --timestamp TEXT --signature TEXT [--secret-file FILE] <BODY",
    .summary = "Checks that a webhook is from the service. Its body is taken, byte for byte, from "
               "standard input, its three headers from options. Exit code 4: the signature is "
               "wrong, or the "
               "timestamp is more than 5 minutes away from this clock.",
    .options = options,
    .option_count = SPL_ARRAY_SIZE(options),
};

typedef struct webhooks_request {
    const char *id, *timestamp, *signature, *secret_file;
    bool help;
} webhooks_request;

static int take_option(void *user, int key, const char *value, spl_error *ret_error) {
    (void)ret_error;
    webhooks_request *request = user;
    switch (key) {
    case KEY_ID:
        request->id = value;
        break;
    case KEY_TIMESTAMP:
        request->timestamp = value;
        break;
    case KEY_SIGNATURE:
        request->signature = value;
        break;
    case KEY_SECRET_FILE:
        request->secret_file = value;
        break;
    default:
        request->help = true;
    }
    return 0;
}

static int read_secret(const char *path, char ret_secret[SECRET_MAX_BYTES], spl_error *ret_error) {
    const char *set = getenv("SPLEETER_WEBHOOK_SECRET");
    if (!path && !set)
        return spl_fail(ret_error, SPL_E_ARGUMENT,
                        "give the secret by --secret-file or SPLEETER_WEBHOOK_SECRET");
    if (!path) {
        snprintf(ret_secret, SECRET_MAX_BYTES, "%s", set);
        return 0;
    }
    FILE *file = fopen(path, "re");
    if (!file)
        return spl_fail_errno(ret_error, errno, "cannot open %s", path);
    const bool whole = fgets(ret_secret, SECRET_MAX_BYTES, file) != NULL;
    fclose(file);
    if (!whole)
        return spl_fail(ret_error, SPL_E_FORMAT, "%s holds no secret", path);
    ret_secret[strcspn(ret_secret, "\r\n")] = '\0';
    return 0;
}

/* Reads all of standard input. The caller owns *ret_payload. */
static int read_payload(char **ret_payload, size_t *ret_size, spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char *payload = malloc(PAYLOAD_MAX_BYTES + 1);
    if (!payload)
        return spl_fail_memory(ret_error);
    const size_t size = fread(payload, 1, PAYLOAD_MAX_BYTES + 1, stdin);
    if (ferror(stdin))
        return spl_fail(ret_error, SPL_E_IO, "cannot read standard input");
    if (size > PAYLOAD_MAX_BYTES)
        return spl_fail(ret_error, SPL_E_LIMIT, "the body has more than %zu bytes",
                        PAYLOAD_MAX_BYTES);
    *ret_payload = SPL_STEAL(payload);
    *ret_size = size;
    return 0;
}

static cli_exit verify(const webhooks_request *request, spl_error *ret_error) {
    char secret[SECRET_MAX_BYTES];
    SPL_CLEANUP(spl_free_p) char *payload = NULL;
    size_t size = 0;
    int status = read_secret(request->secret_file, secret, ret_error);
    if (status < 0)
        return status == SPL_E_ARGUMENT ? CLI_EXIT_USAGE : CLI_EXIT_INPUT;
    status = read_payload(&payload, &size, ret_error);
    if (status < 0)
        return status == SPL_E_IO ? CLI_EXIT_INPUT : CLI_EXIT_RESOURCES;
    status = spl_webhook_verify(secret, request->id, request->timestamp, request->signature,
                                payload, size, time(NULL), ret_error);
    explicit_bzero(secret, sizeof(secret));
    switch (status) {
    case 0:
        return CLI_EXIT_OK;
    case SPL_E_ARGUMENT:
    case SPL_E_FORMAT:
        return CLI_EXIT_USAGE;
    case SPL_E_MEMORY:
        return CLI_EXIT_RESOURCES;
    default:
        return CLI_EXIT_AUDIO;
    }
}

int cli_webhooks(int argc, char **argv) {
    webhooks_request request = {0};
    spl_error error = {0};
    cli_exit code = CLI_EXIT_USAGE;
    int first;
    int status =
        cli_parse(&cli_webhooks_command, argc, argv, take_option, &request, &first, &error);
    if (status == 0 && request.help) {
        cli_print_command(&cli_webhooks_command, stdout);
        return CLI_EXIT_OK;
    }
    if (status == 0 && (argc - first != 1 || strcmp(argv[first], "verify") != 0))
        status = spl_fail(&error, SPL_E_ARGUMENT, "usage: spleeterd webhooks %s",
                          cli_webhooks_command.synopsis);
    if (status == 0)
        code = verify(&request, &error);
    if (code != CLI_EXIT_OK)
        cli_complain("%s", error.message);
    return code;
}

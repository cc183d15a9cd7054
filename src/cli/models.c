/* SPDX-License-Identifier: MIT
 *
 * `spleeterd models`: lists, describes and verifies models, selects the model of a name, downloads
 * Deezer's models, and converts TensorFlow checkpoints of Spleeter.
 */
#include "cli/models.h"
#include "app/models/search_path.h"
#include "app/request/values.h"
#include "base/file.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/report.h"
#include "cli/signals.h"

#include <spleeter/spleeter.h>

#include <inttypes.h>
#include <string.h>

enum {
    KEY_CONFIG = CLI_LONG_ONLY,
    KEY_NAME,
    KEY_LICENCE,
    KEY_SOURCE,
    KEY_FROM,
    KEY_TIMEOUT,
    KEY_JSON,
};

static const cli_option options[] = {
    {KEY_CONFIG, "config", "FILE",
     "import: Spleeter's JSON configuration of the checkpoint. Default: recognised, for Deezer's "
     "own 2stems, 4stems and 5stems"},
    {KEY_NAME, "name", "NAME",
     "import: name of the model. Default: the name of the checkpoint's folder, after spleeter- "
     "when there is no --config"},
    {'o', "folder", "FOLDER",
     "import: the model folder to make. Default: one named as the model, among the user's models"},
    {KEY_LICENCE, "licence", "TEXT", "import: licence of the weights, to be kept with them."},
    {KEY_SOURCE, "source", "TEXT", "import: where the weights come from, to be kept with them."},
    {KEY_FROM, "from", "BASE",
     "pull: where checksum.json and the archives are: an https, http or file URL, or a folder. "
     "Default: $SPLEETER_MODEL_URL, or Deezer's release"},
    {KEY_TIMEOUT, "timeout", "SECONDS",
     "pull: give up when no data arrives for this time. Default: 30"},
    {KEY_JSON, "json", NULL, "list, info, verify: write JSON to standard output."},
    {'h', "help", NULL, "Print this text."},
};

const cli_command cli_models_command = {
    .name = "models",
    .synopsis = "list | info NAME | verify [NAME...] | use NAME | pull [OPTION...] NAME... | "
                "import [OPTION...] CHECKPOINT_FOLDER",
    .summary = "Lists, describes, checks, chooses, downloads and imports models.",
    .options = options,
    .option_count = SPL_ARRAY_SIZE(options),
};

typedef struct models_request {
    spl_model_import_options import;
    cli_pull_request pull;
    bool json, help;
} models_request;

static int take_option(void *user, int key, const char *value, spl_error *ret_error) {
    models_request *request = user;
    double seconds;
    int status = 0;
    switch (key) {
    case KEY_CONFIG:
        request->import.config = value;
        break;
    case KEY_NAME:
        request->import.name = value;
        break;
    case 'o':
        request->import.folder = value;
        break;
    case KEY_LICENCE:
        request->import.licence = value;
        break;
    case KEY_SOURCE:
        request->import.source = value;
        break;
    case KEY_FROM:
        request->pull.base = value;
        break;
    case KEY_TIMEOUT:
        status = spl_seconds_parse("--timeout", value, &seconds, ret_error);
        if (status == 0 && !(seconds >= 1 && seconds <= 86400))
            return spl_fail(ret_error, SPL_E_ARGUMENT, "--timeout %s: give 1 to 86400 seconds",
                            value);
        if (status == 0)
            request->pull.stall_s = (unsigned)seconds;
        break;
    case KEY_JSON:
        request->json = true;
        break;
    default:
        request->help = true;
    }
    return status;
}

static const char *activation_name(spl_activation activation) {
    switch (activation) {
    case SPL_ACTIVATION_RELU:
        return "ReLU";
    case SPL_ACTIVATION_LEAKY_RELU:
        return "LeakyReLU";
    case SPL_ACTIVATION_ELU:
        return "ELU";
    }
    return "unknown";
}

static const char *architecture_name(const spl_model_info *info) {
    return info->architecture == SPL_ARCHITECTURE_UNET ? "unet" : "softmax_unet";
}

static const char *extension_name(const spl_model_info *info) {
    return info->mask_extension == SPL_MASK_EXTENSION_ZEROS ? "zeros" : "average";
}

static void print_info(const spl_model_info *info) {
    cli_print_line(stdout, "name            %s", info->name);
    cli_print_line(stdout, "path            %s", info->path);
    printf("architecture    %s\n", architecture_name(info));
    printf("frames          %u\n", info->frames);
    printf("bins            %u\n", info->bins);
    printf("mask extension  %s\n", extension_name(info));
    printf("mask exponent   %g\n", info->separation_exponent);
    cli_print_line(stdout, "licence         %s", info->licence);
    cli_print_line(stdout, "source          %s", info->source);
    for (unsigned i = 0; i < info->stem_count; i++) {
        const spl_stem_info *stem = &info->stems[i];
        cli_print_line(stdout, "stem            %s: %s, %" PRIu64 " parameters, %s down, %s up%s%s",
                       stem->name, stem->network, stem->parameters,
                       activation_name(stem->conv_activation),
                       activation_name(stem->deconv_activation), stem->sha256[0] ? ", sha256 " : "",
                       stem->sha256);
    }
}

static json_t *info_to_json(const char *search_path, const spl_model_info *info) {
    json_t *model = cli_model_to_json(search_path, info);
    json_t *nets = json_array();
    for (unsigned i = 0; i < info->stem_count; i++) {
        const spl_stem_info *stem = &info->stems[i];
        json_array_append_new(
            nets,
            json_pack("{s:o, s:o, s:I, s:s, s:s, s:s}", "stem", cli_json_text(stem->name), "net",
                      cli_json_text(stem->network), "parameters", (json_int_t)stem->parameters,
                      "down", activation_name(stem->conv_activation), "up",
                      activation_name(stem->deconv_activation), "sha256", stem->sha256));
    }
    json_t *rest =
        json_pack("{s:s, s:i, s:i, s:s, s:f, s:o}", "architecture", architecture_name(info),
                  "frames", (int)info->frames, "bins", (int)info->bins, "mask_extension",
                  extension_name(info), "mask_exponent", info->separation_exponent, "nets", nets);
    if (!model || !rest || json_object_update(model, rest) < 0) {
        json_decref(model);
        model = NULL;
    }
    json_decref(rest);
    return model;
}

static cli_exit describe_model(const char *search_path, const char *name, bool json,
                               spl_error *ret_error) {
    spl_model_choice found;
    spl_model *model = NULL;
    int status = spl_model_resolve(name, search_path, &found, ret_error);
    if (status == 0)
        status = spl_model_open(found.path, &model, ret_error);
    if (status < 0)
        return cli_exit_of_model(status);
    const spl_model_info *info = spl_model_get_info(model);
    if (json)
        status = cli_json_print(info_to_json(search_path, info), ret_error);
    else
        print_info(info);
    spl_model_unref(model);
    return status < 0 ? CLI_EXIT_OUTPUT : CLI_EXIT_OK;
}

typedef struct verification {
    size_t failed;
    json_t *results; /* NULL: text */
} verification;

/* Verifies the folder at `path` and reports the result; a signal stops the walk. */
static spl_status verify_folder(void *user, const char *path) {
    verification *checks = user;
    spl_error error;
    if (cli_signals_caught())
        return SPL_E_CANCELED;
    const bool good = spl_model_verify(path, &error) == 0;
    checks->failed += !good;
    if (checks->results) {
        json_t *result = json_pack("{s:b, s:o}", "good", good, "error",
                                   good ? json_null() : cli_json_text(error.message));
        cli_json_set_path(result, "path", path);
        json_array_append_new(checks->results, result);
    } else if (good) {
        cli_print_line(stdout, "%s: good", path);
    } else {
        cli_complain("%s", error.message);
    }
    return 0;
}

static cli_exit verify_models(const char *search_path, char **names, int name_count, bool json,
                              spl_error *ret_error) {
    json_auto_t *results = json ? json_array() : NULL;
    verification checks = {.results = results};
    int status = 0;
    if (name_count == 0)
        status = spl_model_list(search_path, verify_folder, &checks, ret_error);
    for (int i = 0; status == 0 && i < name_count; i++) {
        spl_model_choice found;
        status = spl_model_resolve(names[i], search_path, &found, ret_error);
        if (status == 0)
            status = verify_folder(&checks, found.path);
    }
    if (cli_signals_caught())
        return CLI_EXIT_SIGNAL + cli_signals_caught();
    if (status < 0)
        return cli_exit_of_model(status);
    if (json && cli_json_print(json_incref(results), ret_error) < 0)
        return CLI_EXIT_OUTPUT;
    return checks.failed > 0 ? CLI_EXIT_MODEL : CLI_EXIT_OK;
}

/* Deezer's own models, which need no --config, are named spleeter-2stems and so on, because names
 * such as spleeter:2stems resolve to that. The caller owns *ret_name. */
static int default_name(const spl_model_import_options *import, char **ret_name) {
    size_t length = strlen(import->checkpoint);
    while (length > 1 && import->checkpoint[length - 1] == '/')
        length--;
    size_t begin = length;
    while (begin > 0 && import->checkpoint[begin - 1] != '/')
        begin--;
    return asprintf(ret_name, "%s%.*s", import->config ? "" : "spleeter-", (int)(length - begin),
                    import->checkpoint + begin);
}

/* Returns the path of the folder `name` in the user's model folder, which is created if missing.
 * The caller owns *ret_folder. */
static int default_folder(const char *name, char **ret_folder, spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char *models = NULL;
    int status = spl_models_user_folder(&models, ret_error);
    if (status == 0)
        status = spl_make_folders(models, ret_error);
    if (status == 0 && asprintf(ret_folder, "%s/%s", models, name) < 0)
        status = spl_fail_memory(ret_error);
    return status;
}

static cli_exit import_model(spl_model_import_options *import, const char *checkpoint,
                             spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char *name = NULL;
    SPL_CLEANUP(spl_free_p) char *folder = NULL;
    import->checkpoint = checkpoint;
    if (!import->name) {
        if (default_name(import, &name) < 0) {
            spl_fail_memory(ret_error);
            return CLI_EXIT_RESOURCES;
        }
        import->name = name;
    }
    if (!import->folder) {
        if (default_folder(import->name, &folder, ret_error) < 0)
            return CLI_EXIT_OUTPUT;
        import->folder = folder;
    }
    int status = spl_model_import(import, ret_error);
    if (status < 0)
        return cli_exit_of_model(status);
    printf("%s\n", import->folder);
    return CLI_EXIT_OK;
}

/* Makes a plain name resolve to another model, and prints the path that it resolves to now. */
static cli_exit use_model(const char *search_path, const char *name, spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char *folder = NULL;
    const char *plain = strncmp(name, "spleeter", strlen("spleeter")) == 0 &&
                                (name[strlen("spleeter")] == ':' || name[strlen("spleeter")] == '-')
                            ? name + strlen("spleeter-")
                            : name;
    spl_model_choice found;
    int status = spl_models_user_folder(&folder, ret_error);
    if (status == 0)
        status = spl_model_use(name, search_path, folder, ret_error);
    if (status == 0)
        status = spl_model_resolve(plain, search_path, &found, ret_error);
    if (status < 0)
        return status == SPL_E_ARGUMENT ? CLI_EXIT_USAGE : cli_exit_of_model(status);
    printf("%s means %s\n", plain, found.path);
    return CLI_EXIT_OK;
}

static cli_exit run(models_request *request, int argc, char **argv, spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char *search_path = NULL;
    if (spl_models_search_path(&search_path, ret_error) < 0)
        return CLI_EXIT_RESOURCES;
    const char *action = argc > 0 ? argv[0] : "";
    if (strcmp(action, "list") == 0 && argc == 1)
        return cli_models_list(search_path, request->json, ret_error);
    if (strcmp(action, "info") == 0 && argc == 2)
        return describe_model(search_path, argv[1], request->json, ret_error);
    if (strcmp(action, "verify") == 0)
        return verify_models(search_path, argv + 1, argc - 1, request->json, ret_error);
    if (strcmp(action, "use") == 0 && argc == 2)
        return use_model(search_path, argv[1], ret_error);
    if (strcmp(action, "pull") == 0 && argc >= 2)
        return cli_models_pull(&request->pull, argv + 1, argc - 1, ret_error);
    if (strcmp(action, "import") == 0 && argc == 2)
        return import_model(&request->import, argv[1], ret_error);
    spl_fail(ret_error, SPL_E_ARGUMENT, "usage: spleeterd models %s", cli_models_command.synopsis);
    return CLI_EXIT_USAGE;
}

int cli_models(int argc, char **argv) {
    models_request request = {0};
    spl_error error = {0};
    cli_exit code = CLI_EXIT_USAGE;
    int first;
    if (cli_parse(&cli_models_command, argc, argv, take_option, &request, &first, &error) == 0) {
        code = CLI_EXIT_OK;
        if (request.help)
            cli_print_command(&cli_models_command, stdout);
        else
            code = run(&request, argc - first, argv + first, &error);
    }
    if (error.status != SPL_OK)
        cli_complain("%s", error.message);
    return code;
}

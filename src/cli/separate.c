/* SPDX-License-Identifier: MIT
 *
 * `spleeterd separate`: parses options, checks everything before writing, then separates one song
 * after another.
 */
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/inputs.h"
#include "cli/outputs.h"
#include "cli/report.h"
#include "cli/signals.h"

#include "app/models/search_path.h"
#include "app/pipeline/pipeline.h"
#include "app/request/separation.h"
#include "app/request/values.h"
#include "base/background.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#define DEFAULT_MODEL "2stems"

enum {
    KEY_MWF = CLI_LONG_ONLY,
    KEY_VERBOSE,
    KEY_QUIET,
    KEY_STEMS,
    KEY_MIX,
    KEY_BANDWIDTH,
    KEY_BIT_DEPTH,
    KEY_KEEP_FORMAT,
    KEY_THREADS,
    KEY_JSON,
    KEY_VERSION,
};

static const cli_option options[] = {
    {'i', "inputs", "FILE",
     "An input, as the arguments without an option; may be given several times."},
    {'p', "params_filename", "MODEL",
     "Model: a name such as 2stems (full band), spleeter:2stems or spleeter:2stems-16kHz (exactly "
     "as Spleeter), a model folder, or a Spleeter JSON configuration. Default: 2stems"},
    {'o', "output_path", "FOLDER",
     "Folder to write to, or - for standard output. Default: separated_audio in the folder for "
     "temporary files"},
    {'f', "filename_format", "FORMAT",
     "Names of the files, made of {filename}, {foldername}, {relpath}, {path}, {ext}, {instrument} "
     "and {codec}. Default: " CLI_FORMAT ", and " CLI_FORMAT_IN_FOLDER " for files of folders"},
    {'s', "offset", "SECONDS", "Start here. Default: 0"},
    {'d', "duration", "SECONDS", "Separate no more than this. Default: to the end"},
    {'c', "codec", "CODEC", "wav, flac, mp3, ogg, opus, m4a or wma. Default: wav"},
    {'b', "bitrate", "RATE",
     "Bits per second of mp3, ogg, opus, m4a and wma, such as 320k. Default: 128k"},
    {KEY_BIT_DEPTH, "bit-depth", "DEPTH",
     "16, 24 or float (wav only), for wav and flac. Default: 16"},
    {KEY_STEMS, "stems", "NAME,...", "Write these stems only."},
    {KEY_MIX, "mix", "NAME=STEM+...",
     "Write the sum of some stems as the instrument NAME, such as karaoke=drums+bass+other; may be "
     "given several times. The stems themselves are then written only with --stems."},
    {KEY_BANDWIDTH, "bandwidth", "WIDTH",
     "11k, 16k (silence above, as Spleeter) or full (the stems sum to the mixture). Default: what "
     "the model's name says"},
    {KEY_MWF, "mwf", NULL,
     "Separate with a multichannel Wiener filter over the whole song; takes two passes."},
    {KEY_KEEP_FORMAT, "keep-format", NULL,
     "Give the stems the sample rate and the channels of the input instead of 44.1 kHz stereo."},
    {KEY_THREADS, "threads", "N", "CPU threads to use; the result is the same. Default: all CPUs"},
    {KEY_JSON, "json", NULL, "Write progress and results as JSON lines to standard output."},
    {KEY_VERBOSE, "verbose", NULL, "Print more to standard error."},
    {KEY_QUIET, "quiet", NULL, "Print only failures and warnings to standard error."},
    {'a', "adapter", "NAME", "Refused: Spleeter's Python audio adapters do not exist here."},
    {KEY_VERSION, "version", NULL, "Print the version and the CPU's instruction set."},
    {'h', "help", NULL, "Print this text."},
};

const cli_command cli_separate_command = {
    .name = "separate",
    .synopsis = "[OPTION...] FILE...",
    .summary = "Separates songs into stems. FILE is an audio file, a folder (all audio and video "
               "files in it, recursively), a glob pattern, or - for standard input.",
    .options = options,
    .option_count = SPL_ARRAY_SIZE(options),
};

/* The parsed command line. */
typedef struct separate_request {
    const char **inputs; /* from --inputs */
    size_t input_count;
    spl_separation separation;
    const char *folder, *default_folder; /* equal if no folder was given */
    const char *format;                  /* NULL: the default */
    unsigned threads;                    /* 0: all CPUs */
    bool version, help;
    cli_report_options report;
    spl_pipeline_options pipeline; /* once the model is open */
    /* The first input, whose decoder starts while the model is opened; -1: not started. */
    int first_fd;
    spl_decoder *first_decoder;
} separate_request;

static int add_input(separate_request *request, const char *value, spl_error *ret_error) {
    const char **longer =
        reallocarray(request->inputs, request->input_count + 1, sizeof(*request->inputs));
    if (!longer)
        return spl_fail_memory(ret_error);
    request->inputs = longer;
    request->inputs[request->input_count++] = value;
    return 0;
}

/* The options of a separation, with their keys in spl_separation_set. */
static const struct {
    int key;
    const char *name, *label;
    const char *value; /* of an option without an argument; NULL: it has one */
} separation_options[] = {
    {'p', "model", "--params_filename", NULL},
    {'s', "offset", "--offset", NULL},
    {'d', "duration", "--duration", NULL},
    {'c', "codec", "--codec", NULL},
    {'b', "bitrate", "--bitrate", NULL},
    {KEY_BIT_DEPTH, "bit_depth", "--bit-depth", NULL},
    {KEY_STEMS, "stems", "--stems", NULL},
    {KEY_MIX, "mixes", "--mix", NULL},
    {KEY_BANDWIDTH, "bandwidth", "--bandwidth", NULL},
    {KEY_MWF, "mwf", "--mwf", "true"},
    {KEY_KEEP_FORMAT, "keep_format", "--keep-format", "true"},
};

static int take_option(void *user, int key, const char *value, spl_error *ret_error) {
    separate_request *request = user;
    for (size_t i = 0; i < SPL_ARRAY_SIZE(separation_options); i++) {
        if (key == separation_options[i].key)
            return spl_separation_set(
                &request->separation, separation_options[i].name, separation_options[i].label,
                separation_options[i].value ? separation_options[i].value : value, ret_error);
    }
    switch (key) {
    case 'i':
        return add_input(request, value, ret_error);
    case 'o':
        request->folder = value;
        return 0;
    case 'f':
        request->format = value;
        return 0;
    case 'a':
        return spl_fail(
            ret_error, SPL_E_ARGUMENT,
            "--adapter names a Python class of Spleeter; spleeterd reads and writes audio "
            "itself, so leave the option out");
    case KEY_THREADS:
        return spl_threads_parse("--threads", value, &request->threads, ret_error);
    case KEY_JSON:
        request->report.json = true;
        return 0;
    case KEY_VERBOSE:
        request->report.verbose = true;
        return 0;
    case KEY_QUIET:
        request->report.quiet = true;
        return 0;
    case KEY_VERSION:
        request->version = true;
        return 0;
    default:
        request->help = true;
        return 0;
    }
}

static int find_inputs(const separate_request *request, char **arguments, size_t argument_count,
                       cli_inputs *inputs, spl_error *ret_error) {
    int status = 0;
    for (size_t i = 0; status == 0 && i < request->input_count; i++)
        status = cli_inputs_add(inputs, request->inputs[i], request->folder, ret_error);
    for (size_t i = 0; status == 0 && i < argument_count; i++)
        status = cli_inputs_add(inputs, arguments[i], request->folder, ret_error);
    if (status < 0)
        return status;
    if (inputs->count == 0)
        return spl_fail(ret_error, SPL_E_ARGUMENT,
                        "there is no input; see spleeterd separate --help");
    size_t standard_inputs = 0;
    for (size_t i = 0; i < inputs->count; i++)
        standard_inputs += strcmp(inputs->items[i].path, "-") == 0;
    if (standard_inputs > 1)
        return spl_fail(ret_error, SPL_E_ARGUMENT, "standard input can be read only once");
    return 0;
}

/* Starts decoding the first input while the model opens. Errors are reported when that input is
 * processed. */
static void start_first_input(separate_request *request, const cli_inputs *inputs) {
    const char *path = inputs->items[0].path;
    if (strcmp(path, "-") == 0 || cli_input_open(path, &request->first_fd, NULL) < 0)
        return;
    if (spl_pipeline_start_input(request->first_fd, path, &request->pipeline,
                                 &request->first_decoder, NULL) < 0) {
        close(request->first_fd);
        request->first_fd = -1;
    }
}

typedef struct model_opening {
    const char *path;
    spl_model *model;
    int status;
    spl_error *error;
} model_opening;

static void open_in_background(void *user) {
    model_opening *opening = user;
    opening->status = spl_model_open(opening->path, &opening->model, opening->error);
}

static int open_model(separate_request *request, const cli_inputs *inputs, spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char *search_path = NULL;
    int status = spl_models_search_path(&search_path, ret_error);
    if (status == 0 && !request->separation.model)
        status =
            spl_separation_set(&request->separation, "model", "model", DEFAULT_MODEL, ret_error);
    spl_model_choice found;
    spl_background *background;
    if (status == 0)
        status = spl_model_resolve(request->separation.model, search_path, &found, ret_error);
    if (status == 0)
        status = spl_background_new(&background, ret_error);
    if (status < 0)
        return status;
    request->pipeline = spl_separation_pipeline(&request->separation, found.bandwidth);
    request->pipeline.threads = request->threads;
    request->pipeline.stop.requested = cli_signals_stop;
    request->pipeline.channels =
        found.as_spleeter ? SPL_CHANNELS_FIRST_TWO : SPL_CHANNELS_STEREO_DOWNMIX;
    model_opening opening = {.path = found.path, .error = ret_error};
    spl_background_start(background, open_in_background, &opening);
    start_first_input(request, inputs);
    spl_background_wait(background);
    spl_background_free(background);
    request->pipeline.model = opening.model;
    if (opening.status == 0 && request->report.verbose)
        cli_print_line(stderr, "model %s from %s, kernels for %s", request->separation.model,
                       found.path, spl_cpu_isa());
    return opening.status;
}

static bool to_standard_output(const separate_request *request) {
    return strcmp(request->folder, "-") == 0;
}

static int check_standard_output(const separate_request *request, const cli_inputs *inputs,
                                 const spl_parts *parts, spl_error *ret_error) {
    if (inputs->count != 1 || parts->count != 1)
        return spl_fail(ret_error, SPL_E_ARGUMENT,
                        "-o - takes one input and one stem or mix, but there are %zu and %zu; use "
                        "--stems or --mix",
                        inputs->count, parts->count);
    if (request->report.json)
        return spl_fail(ret_error, SPL_E_ARGUMENT,
                        "-o - and --json both write to standard output; choose one");
    if (isatty(STDOUT_FILENO))
        return spl_fail(ret_error, SPL_E_ARGUMENT,
                        "standard output is a terminal; redirect it to a file or a pipe");
    return 0;
}

/* Separates one input, whose decoder may already run, into outputs whose paths are set. Returns 0,
 * or a negative status with the exit code in *ret_code. */
static int separate_file(separate_request *request, const char *input, const spl_output *outputs,
                         size_t output_count, spl_pipeline_result *ret_result, cli_exit *ret_code,
                         spl_error *ret_error) {
    spl_pipeline_options pipeline = request->pipeline;
    pipeline.decoder = SPL_STEAL(request->first_decoder);
    SPL_CLEANUP(spl_close_p) int fd = request->first_fd;
    request->first_fd = -1;
    int status = fd < 0 ? cli_input_open(input, &fd, ret_error) : 0;
    if (status < 0) {
        *ret_code = cli_exit_of_stage(status, SPL_STAGE_INPUT);
        return status;
    }
    size_t existed[SPL_OUTPUTS_MAX];
    size_t made = 0;
    spl_pipeline_stage stage = SPL_STAGE_OUTPUT;
    while (status == 0 && made < output_count && outputs[made].path) {
        status = cli_folder_make(outputs[made].path, &existed[made], ret_error);
        made++;
    }
    if (status == 0)
        status = spl_pipeline_run(fd, strcmp(input, "-") == 0 ? "standard input" : input, &pipeline,
                                  outputs, output_count, ret_result, &stage, ret_error);
    else
        spl_decoder_free(pipeline.decoder);
    if (status < 0) {
        *ret_code = cli_exit_of_stage(status, stage);
        while (made-- > 0)
            cli_folder_remove(outputs[made].path, existed[made]);
    }
    return status;
}

/* Separates all inputs. Continues after a failed input; stops when a signal arrives. */
static cli_exit separate_files(separate_request *request, const cli_inputs *inputs,
                               spl_parts *parts, const cli_plan *plan, cli_report *report) {
    cli_exit code = CLI_EXIT_OK;
    request->pipeline.progress = cli_report_progress;
    request->pipeline.progress_user = report;
    for (size_t i = 0; i < inputs->count && !cli_signals_caught(); i++) {
        for (size_t j = 0; j < parts->count; j++) {
            parts->outputs[j].path = plan->paths ? plan->paths[i * parts->count + j] : NULL;
            parts->outputs[j].fd = STDOUT_FILENO;
        }
        const char *input = inputs->items[i].path;
        cli_report_input(report, input);
        spl_pipeline_result result;
        spl_error error;
        cli_exit failed_code = CLI_EXIT_RESOURCES;
        int status = separate_file(request, input, parts->outputs, parts->count, &result,
                                   &failed_code, &error);
        if (status == 0) {
            cli_report_success(report, request->separation.model, parts->outputs, parts->count,
                               &result);
            continue;
        }
        if (cli_signals_caught()) {
            failed_code = CLI_EXIT_SIGNAL + cli_signals_caught();
            spl_fail(&error, SPL_E_CANCELED, "%s: interrupted, nothing written", report->input);
        }
        cli_report_failure(report, failed_code, &error);
        code = inputs->count > 1 ? CLI_EXIT_BATCH : failed_code;
    }
    if (cli_signals_caught()) {
        code = CLI_EXIT_SIGNAL + cli_signals_caught();
        if (report->number < inputs->count)
            cli_complain("interrupted before %zu of %zu files", inputs->count - report->number,
                         inputs->count);
    }
    cli_report_end(report, code);
    return report->json_failed && code == CLI_EXIT_OK ? CLI_EXIT_OUTPUT : code;
}

/* Creates the default folder. Its path is predictable, so another user could have placed a link
 * there that redirects the stems; only a real folder owned by this user is accepted. */
static int claim_default_folder(const char *folder, spl_error *ret_error) {
    struct stat found;
    if (mkdir(folder, 0777) == 0)
        return 0;
    if (errno != EEXIST || lstat(folder, &found) < 0)
        return spl_fail_errno(ret_error, errno, "cannot make the folder %s", folder);
    if (!S_ISDIR(found.st_mode) || found.st_uid != geteuid())
        return spl_fail(ret_error, SPL_E_PERMISSION,
                        "%s is not a folder that you own; give another with -o", folder);
    return 0;
}

/* Runs the command after the options are parsed. */
static cli_exit run(separate_request *request, char **arguments, size_t argument_count,
                    spl_error *ret_error) {
    SPL_CLEANUP(cli_inputs_free) cli_inputs inputs = {0};
    spl_parts parts;
    SPL_CLEANUP(cli_plan_free) cli_plan plan = {0};
    cli_report report;

    int status = spl_separation_check(&request->separation, "--bit-depth", ret_error);
    if (status == 0)
        status = find_inputs(request, arguments, argument_count, &inputs, ret_error);
    if (status < 0)
        return cli_exit_of_arguments(status);
    if (inputs.skipped > 0 && !request->report.json && !request->report.quiet)
        cli_complain("skipped %zu file%s of other types, such as %s", inputs.skipped,
                     SPL_PLURAL(inputs.skipped), inputs.first_skipped);
    status = open_model(request, &inputs, ret_error);
    if (status < 0)
        return cli_exit_of_model(status);
    const spl_model_info *model = spl_model_get_info(request->pipeline.model);
    status = spl_separation_select(&request->separation, model, &parts, ret_error);
    if (status == 0)
        status = to_standard_output(request)
                     ? check_standard_output(request, &inputs, &parts, ret_error)
                     : cli_plan_make(&inputs, &parts, request->folder, request->format,
                                     spl_codec_name(request->separation.codec), &plan, ret_error);
    if (status < 0)
        return cli_exit_of_arguments(status);
    if (request->folder == request->default_folder &&
        claim_default_folder(request->folder, ret_error) < 0)
        return CLI_EXIT_OUTPUT;
    cli_report_start(&report, inputs.count, inputs.skipped, model, &request->report);
    return separate_files(request, &inputs, &parts, &plan, &report);
}

int cli_separate(int argc, char **argv) {
    SPL_CLEANUP(spl_free_p) char *folder = NULL;
    if (asprintf(&folder, "%s/separated_audio", cli_temporary_folder()) < 0) {
        cli_complain("out of memory");
        return CLI_EXIT_RESOURCES;
    }
    separate_request request = {
        .folder = folder,
        .default_folder = folder,
        .first_fd = -1,
    };
    spl_separation_init(&request.separation);
    spl_error error = {0};
    cli_exit code = CLI_EXIT_OK;
    int first;
    const int status =
        cli_parse(&cli_separate_command, argc, argv, take_option, &request, &first, &error);
    if (status < 0) {
        code = cli_exit_of_arguments(status);
    } else if (request.help) {
        cli_print_command(&cli_separate_command, stdout);
        putchar('\n');
        cli_print_exit_codes(stdout);
    } else if (request.version) {
        cli_print_version();
    } else {
        code = run(&request, argv + first, (size_t)(argc - first), &error);
    }
    if (error.status != SPL_OK)
        cli_complain("%s", error.message);
    spl_decoder_free(request.first_decoder);
    spl_close_p(&request.first_fd);
    spl_model_unref(request.pipeline.model);
    spl_separation_free(&request.separation);
    free(request.inputs);
    return code;
}

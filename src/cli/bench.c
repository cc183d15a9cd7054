/* SPDX-License-Identifier: MIT
 *
 * `spleeterd bench`: the speed of separation on this machine, by layer, as a share of the measured
 * peak.
 *
 * The peak is measured before and after, in the same run. Operations are those of direct
 * convolution, two per multiply-add, so a better algorithm can exceed the peak.
 */
#include "app/models/search_path.h"
#include "app/request/values.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/pool.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/report.h"
#include "cli/signals.h"

#include <spleeter/spleeter.h>

#include <errno.h>
#include <math.h>
#include <string.h>

#define RESULT_MAX_BYTES ((size_t)1 << 20)

enum { KEY_BANDWIDTH = CLI_LONG_ONLY, KEY_THREADS, KEY_JSON, KEY_COMPARE };

enum { FRAME = 4096, HOP = 1024 }; /* the STFT's frame length and hop, in samples */

static const cli_option options[] = {
    {'p', "params_filename", "MODEL", "Model, as for separate. Default: spleeter:2stems"},
    {KEY_BANDWIDTH, "bandwidth", "WIDTH", "11k, 16k or full. Default: what the model's name says"},
    {'d', "duration", "SECONDS",
     "Length of the synthetic song, to the nearest segment. Default: 60"},
    {KEY_THREADS, "threads", "N", "CPU threads to use. Default: all CPUs"},
    {KEY_JSON, "json", NULL, "Write the results as JSON to standard output."},
    {KEY_COMPARE, "compare", "FILE", "Compare with earlier results of --json."},
    {'h', "help", NULL, "Print this text."},
};

const cli_command cli_bench_command = {
    .name = "bench",
    .synopsis = "[OPTION...]",
    .summary = "Measures the speed of separation, by phase and by layer.",
    .options = options,
    .option_count = SPL_ARRAY_SIZE(options),
};

typedef struct bench_request {
    const char *model, *bandwidth, *compare;
    double duration_s;
    unsigned threads;
    bool json, help;
} bench_request;

typedef struct bench_result {
    unsigned threads, stems, networks;
    double peak_flops;
    double open_s, duration_s, separate_s;
    spl_timings timings;
} bench_result;

static const char *const layer_names[SPL_UNET_LAYERS] = {
    "conv1", "conv2", "conv3", "conv4", "conv5", "conv6", "up1",
    "up2",   "up3",   "up4",   "up5",   "up6",   "mask",
};

static int take_option(void *user, int key, const char *value, spl_error *ret_error) {
    bench_request *request = user;
    char *end = NULL;
    switch (key) {
    case 'p':
        request->model = value;
        return 0;
    case 'd':
        request->duration_s = strtod(value, &end);
        if (*end || !(request->duration_s > 0 && request->duration_s <= 3600))
            return spl_fail(ret_error, SPL_E_ARGUMENT, "--duration %s: give up to 3600 seconds",
                            value);
        return 0;
    case KEY_BANDWIDTH:
        request->bandwidth = value;
        return 0;
    case KEY_THREADS:
        return spl_threads_parse("--threads", value, &request->threads, ret_error);
    case KEY_JSON:
        request->json = true;
        return 0;
    case KEY_COMPARE:
        request->compare = value;
        return 0;
    default:
        request->help = true;
        return 0;
    }
}

/* A synthetic song of sliding tones and noise, generated as it is read. */
typedef struct synthetic_song {
    uint64_t position, count;
    uint32_t random;
} synthetic_song;

static spl_status read_song(void *user, float *samples, size_t capacity, size_t *ret_count) {
    synthetic_song *song = user;
    const size_t count = (size_t)SPL_MIN((uint64_t)capacity, song->count - song->position);
    for (size_t n = 0; n < 2 * count; n++) {
        song->random = song->random * 1664525u + 1013904223u;
        const float noise = (float)(song->random >> 8) / (1 << 23) - 1;
        const unsigned t = (unsigned)(song->position + n / 2);
        const float saw = (float)(t * (200 + t / 44100 % 16 * 25) % 44100) / 22050 - 1;
        samples[n] = 0.2f * noise + 0.3f * saw;
    }
    song->position += count;
    *ret_count = count;
    return 0;
}

static spl_status ignore_stems(void *user, const float *const *stems, size_t count) {
    (void)user, (void)stems, (void)count;
    return 0;
}

static spl_status stop_on_signal(void *user, const spl_progress *progress) {
    (void)user, (void)progress;
    return cli_signals_caught() ? SPL_E_CANCELED : SPL_OK;
}

/* Returns the length in samples of a song of whole segments, so that the time per segment is
 * exact. */
static uint64_t whole_segments(const spl_model_info *info, double duration_s) {
    const uint64_t segment = (uint64_t)info->frames * HOP;
    const double count = round(duration_s * SPL_SAMPLE_RATE_HZ / (double)segment);
    return (uint64_t)fmax(count, 1) * segment - FRAME;
}

static int separate(spl_model *model, spl_separate_options *separation, uint64_t samples,
                    spl_timings *timings, double *ret_seconds, spl_error *ret_error) {
    synthetic_song song = {.count = samples, .random = 1};
    const spl_source source = {.user = &song, .read = read_song};
    const spl_sink sink = {.write = ignore_stems};
    separation->timings = timings;
    const double start_s = spl_now_s();
    const int status = spl_separate(model, separation, &source, &sink, ret_error);
    if (status == 0)
        *ret_seconds = spl_now_s() - start_s;
    return status;
}

static int run_bench(const bench_request *request, bench_result *ret_result, spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char *search_path = NULL;
    spl_model_choice choice;
    int status = spl_models_search_path(&search_path, ret_error);
    if (status == 0)
        status = spl_model_resolve(request->model, search_path, &choice, ret_error);
    spl_separate_options separation;
    spl_separate_options_init(&separation);
    separation.threads = request->threads;
    separation.progress = stop_on_signal;
    if (status == 0) {
        separation.bandwidth = choice.bandwidth;
        if (request->bandwidth)
            status = spl_bandwidth_parse("--bandwidth", request->bandwidth, &separation.bandwidth,
                                         ret_error);
    }
    if (status < 0)
        return status;

    bench_result result = {.threads = request->threads};
    spl_model *model;
    const double start_s = spl_now_s();
    status = spl_model_open(choice.path, &model, ret_error);
    if (status < 0)
        return status;
    result.open_s = spl_now_s() - start_s;
    const spl_model_info *info = spl_model_get_info(model);
    const uint64_t samples = whole_segments(info, request->duration_s);
    result.duration_s = (double)samples / SPL_SAMPLE_RATE_HZ;
    result.stems = info->stem_count;
    result.networks = info->stem_count + info->group_count;

    spl_timings warm_up = {0};
    double warm_up_s;
    result.peak_flops = spl_cpu_peak_flops(request->threads);
    status = separate(model, &separation, SPL_SAMPLE_RATE_HZ, &warm_up, &warm_up_s, ret_error);
    if (status == 0)
        status =
            separate(model, &separation, samples, &result.timings, &result.separate_s, ret_error);
    result.peak_flops = fmax(result.peak_flops, spl_cpu_peak_flops(request->threads));
    spl_model_unref(model);
    if (status == 0)
        *ret_result = result;
    return status;
}

static double sum(const double *values, size_t count) {
    double total = 0;
    for (size_t i = 0; i < count; i++)
        total += values[i];
    return total;
}

static json_t *to_json(const bench_request *request, const bench_result *result) {
    const spl_timings *t = &result->timings;
    json_t *layers = json_array();
    for (size_t i = 0; i < SPL_UNET_LAYERS; i++)
        json_array_append_new(
            layers, json_pack("{s:s, s:f, s:f, s:f}", "name", layer_names[i], "seconds",
                              t->layers_s[i], "gflops", t->layers_flop[i] / t->layers_s[i] / 1e9,
                              "of_peak", t->layers_flop[i] / t->layers_s[i] / result->peak_flops));
    const double flop = sum(t->layers_flop, SPL_UNET_LAYERS);
    return json_pack("{s:s, s:s, s:s, s:i, s:i, s:f, s:f, s:f, s:f, s:f, s:I, s:f, s:f, "
                     "s:{s:f, s:f, s:f, s:f, s:f, s:f}, s:o}",
                     "version", spl_version(), "isa", spl_cpu_isa(), "model", request->model,
                     "stems", (int)result->stems, "threads", (int)result->threads, "peak_gflops",
                     result->peak_flops / 1e9, "open_s", result->open_s, "duration_s",
                     result->duration_s, "separate_s", result->separate_s, "real_time",
                     result->duration_s / result->separate_s, "segments", (json_int_t)t->segments,
                     "net_ms", 1e3 * t->networks_s / (double)t->segments / result->networks,
                     "net_of_peak", flop / t->networks_s / result->peak_flops, "phases_s", "read",
                     t->read_s, "stft", t->forward_s, "nets", t->networks_s, "masks", t->masks_s,
                     "inverse", t->inverse_s, "write", t->write_s, "layers", layers);
}

static double number_in(const json_t *object, const char *key) {
    return json_number_value(json_object_get(object, key));
}

/* Formats the change against an earlier number, such as " +3.1 %"; "" without one. */
static const char *change(double now, double before, char text[32]) {
    text[0] = '\0';
    if (before > 0)
        snprintf(text, 32, "  %+.1f %%", 100 * (now / before - 1));
    return text;
}

static void print_result(const json_t *now, const json_t *before) {
    char text[32];
    const double threads = number_in(now, "threads");
    printf("%s, %s kernels, %.0f thread%s, measured peak %.0f GFLOP/s\n",
           json_string_value(json_object_get(now, "model")),
           json_string_value(json_object_get(now, "isa")), threads, SPL_PLURAL(threads),
           number_in(now, "peak_gflops"));
    printf("  %.0f s of song in %.2f s: %.1f x real time%s\n", number_in(now, "duration_s"),
           number_in(now, "separate_s"), number_in(now, "real_time"),
           change(number_in(now, "real_time"), number_in(before, "real_time"), text));
    printf("  one network, one segment: %.1f ms, %.2f x peak%s\n", number_in(now, "net_ms"),
           number_in(now, "net_of_peak"),
           change(number_in(now, "net_of_peak"), number_in(before, "net_of_peak"), text));
    printf("  model opened in %.0f ms\n\n", 1e3 * number_in(now, "open_s"));

    const double total_s = number_in(now, "separate_s");
    const json_t *phases = json_object_get(now, "phases_s");
    const char *name;
    json_t *value;
    printf("%-10s %10s %8s\n", "phase", "seconds", "share");
    json_object_foreach((json_t *)(uintptr_t)phases, name, value) {
        printf("%-10s %10.3f %7.1f%%\n", name, json_number_value(value),
               100 * json_number_value(value) / total_s);
    }
    printf("\n%-10s %10s %8s %10s %8s\n", "layer", "seconds", "share", "GFLOP/s", "x peak");
    const json_t *layers = json_object_get(now, "layers");
    const json_t *layers_before = json_object_get(before, "layers");
    for (size_t i = 0; i < json_array_size(layers); i++) {
        const json_t *layer = json_array_get(layers, i);
        printf("%-10s %10.3f %7.1f%% %10.1f %8.2f%s\n",
               json_string_value(json_object_get(layer, "name")), number_in(layer, "seconds"),
               100 * number_in(layer, "seconds") / total_s, number_in(layer, "gflops"),
               number_in(layer, "of_peak"),
               change(number_in(layer, "of_peak"),
                      number_in(json_array_get(layers_before, i), "of_peak"), text));
    }
}

static int read_result(const char *path, json_t **ret_result, spl_error *ret_error) {
    SPL_CLEANUP(spl_file_content_free) spl_file_content file = {0};
    int status = spl_file_read(path, SPL_FILE_ANYBODYS, RESULT_MAX_BYTES, &file, ret_error);
    if (status < 0)
        return status;
    spl_error reason;
    status = spl_json_load(file.text, file.size_bytes, 0, ret_result, &reason);
    return status < 0 ? spl_fail(ret_error, (spl_status)status, "cannot compare with %s, which %s",
                                 path, reason.message)
                      : 0;
}

static int report(const bench_request *request, const bench_result *result, spl_error *ret_error) {
    json_t *before = NULL;
    if (request->compare) {
        int status = read_result(request->compare, &before, ret_error);
        if (status < 0)
            return status;
    }
    json_t *now = to_json(request, result);
    int status = now ? 0 : spl_fail_memory(ret_error);
    if (request->json)
        status = cli_json_print(json_incref(now), ret_error);
    else if (now)
        print_result(now, before);
    json_decref(now);
    json_decref(before);
    return status;
}

int cli_bench(int argc, char **argv) {
    bench_request request = {.model = "spleeter:2stems", .duration_s = 60};
    spl_error error = {0};
    int first;
    int status = cli_parse(&cli_bench_command, argc, argv, take_option, &request, &first, &error);
    if (status == 0 && first < argc)
        status =
            spl_fail(&error, SPL_E_ARGUMENT, "bench takes no file; see spleeterd bench --help");
    if (status < 0) {
        cli_complain("%s", error.message);
        return CLI_EXIT_USAGE;
    }
    if (request.help) {
        cli_print_command(&cli_bench_command, stdout);
        return CLI_EXIT_OK;
    }
    if (request.threads == 0)
        request.threads = spl_cpu_count();
    bench_result result;
    status = run_bench(&request, &result, &error);
    if (status == 0)
        status = report(&request, &result, &error);
    if (status < 0) {
        cli_complain("%s", error.message);
        const int caught = cli_signals_caught();
        return caught ? CLI_EXIT_SIGNAL + caught : (int)cli_exit_of_model(status);
    }
    return CLI_EXIT_OK;
}

/* SPDX-License-Identifier: MIT
 *
 * The engine's guarantees apart from the samples: the same bytes for any number of threads and any
 * read size, cancellation, error propagation, refusal of bad input. tests/golden compares the
 * samples with Spleeter's.
 */
#include <spleeter/spleeter.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* Three segments of the 2stems model; the last one is partial. */
enum { SAMPLES = 2 * 512 * 1024 + 20000, STEMS = 3 };

typedef struct song {
    spl_model *model;
    float *samples;
    size_t count, at, read_size;
    unsigned rewinds;
    /* Number of the first read that fails, from 1. 0: none fails. */
    int fail_at_read;
    int reads;
    float *stems[STEMS];
    size_t written;
    int fail_write;
    unsigned calls, cancel_after;
    uint64_t last_done;
    unsigned last_pass;
} song;

static spl_model *model, *grouped;

static int read_song(void *user, float *samples, size_t capacity, size_t *ret_count) {
    song *s = user;
    if (s->fail_at_read && ++s->reads >= s->fail_at_read)
        return SPL_E_IO;
    size_t count = s->count - s->at;
    if (count > capacity)
        count = capacity;
    if (count > s->read_size)
        count = s->read_size;
    memcpy(samples, s->samples + 2 * s->at, 2 * count * sizeof(float));
    s->at += count;
    *ret_count = count;
    return 0;
}

static int rewind_song(void *user) {
    song *s = user;
    s->at = 0;
    s->rewinds++;
    return 0;
}

static int write_song(void *user, const float *const *stems, size_t count) {
    song *s = user;
    if (s->fail_write)
        return SPL_E_LIMIT;
    for (unsigned i = 0; i < spl_model_get_info(s->model)->stem_count; i++)
        if (stems[i])
            memcpy(s->stems[i] + 2 * s->written, stems[i], 2 * count * sizeof(float));
    s->written += count;
    return 0;
}

static spl_status on_progress(void *user, const spl_progress *progress) {
    song *s = user;
    assert_true(progress->pass > s->last_pass || progress->samples_done >= s->last_done);
    assert_true(progress->samples_done <= s->count);
    s->last_done = progress->samples_done;
    s->last_pass = progress->pass;
    return s->cancel_after && ++s->calls >= s->cancel_after ? SPL_E_CANCELED : SPL_OK;
}

static song *song_new(size_t count) {
    song *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    s->samples = malloc((2 * count + 1) * sizeof(float));
    assert_non_null(s->samples);
    for (int i = 0; i < STEMS; i++) {
        s->stems[i] = calloc(2 * count + 1, sizeof(float));
        assert_non_null(s->stems[i]);
    }
    s->model = model;
    s->count = count;
    s->read_size = 5000;
    uint32_t random = 3;
    for (size_t n = 0; n < 2 * count; n++) {
        random = random * 1664525u + 1013904223u;
        s->samples[n] =
            0.3f * sinf(0.01f * (float)n) + 0.2f * ((float)(random >> 8) / (1 << 23) - 1);
    }
    return s;
}

static void song_free(song *s) {
    free(s->samples);
    for (int i = 0; i < STEMS; i++)
        free(s->stems[i]);
    free(s);
}

static int separate(song *s, const spl_separate_options *options, spl_error *error) {
    const spl_source source = {s, read_song, rewind_song, s->count};
    const spl_sink sink = {s, write_song};
    return spl_separate(s->model, options, &source, &sink, error);
}

static spl_separate_options defaults(song *s) {
    spl_separate_options options;
    spl_separate_options_init(&options);
    options.progress = on_progress;
    options.progress_user = s;
    return options;
}

static void bytes_depend_on_input_alone(void **state) {
    (void)state;
    for (int wiener = 0; wiener < 2; wiener++) {
        song *first = song_new(SAMPLES);
        spl_separate_options options = defaults(first);
        options.bandwidth = SPL_BANDWIDTH_FULL;
        options.wiener = wiener;
        options.threads = 1;
        assert_int_equal(separate(first, &options, NULL), 0);
        assert_int_equal(first->written, SAMPLES);
        assert_int_equal(first->rewinds, wiener);
        static const struct {
            unsigned threads;
            size_t read_size;
        } ways[] = {{2, SAMPLES}, {3, 1021}};
        for (size_t i = 0; i < 2; i++) {
            song *other = song_new(SAMPLES);
            other->read_size = ways[i].read_size;
            options.threads = ways[i].threads;
            options.progress_user = other;
            assert_int_equal(separate(other, &options, NULL), 0);
            for (int stem = 0; stem < 2; stem++)
                assert_memory_equal(first->stems[stem], other->stems[stem],
                                    2 * SAMPLES * sizeof(float));
            song_free(other);
        }
        song_free(first);
    }
}

static void stems_sum_to_the_mixture_at_full_band(void **state) {
    (void)state;
    for (int wiener = 0; wiener < 2; wiener++) {
        song *s = song_new(SAMPLES);
        spl_separate_options options = defaults(s);
        options.bandwidth = SPL_BANDWIDTH_FULL;
        options.wiener = wiener;
        assert_int_equal(separate(s, &options, NULL), 0);
        double residual = 0, energy = 0;
        for (size_t n = 0; n < 2 * SAMPLES; n++) {
            const double rest =
                (double)s->samples[n] - (double)s->stems[0][n] - (double)s->stems[1][n];
            residual += rest * rest;
            energy += (double)s->samples[n] * (double)s->samples[n];
        }
        print_message("residual %.1f dB\n", 10 * log10(residual / energy));
        assert_true(residual < energy * 1e-10);
        song_free(s);
    }
}

static void any_length_comes_out_whole(void **state) {
    (void)state;
    static const size_t counts[] = {
        0, 1, 1023, 1024, 4096, 512 * 1024 - 4096, 512 * 1024 - 4095, 512 * 1024};
    for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
        song *s = song_new(counts[i]);
        spl_separate_options options = defaults(s);
        assert_int_equal(separate(s, &options, NULL), 0);
        assert_int_equal(s->written, counts[i]);
        song_free(s);
    }
}

static void one_stem_alone_has_the_same_bytes(void **state) {
    (void)state;
    song *both = song_new(60000), *one = song_new(60000);
    spl_separate_options options = defaults(both);
    assert_int_equal(separate(both, &options, NULL), 0);
    options.progress_user = one;
    options.stems = 2;
    assert_int_equal(separate(one, &options, NULL), 0);
    assert_memory_equal(both->stems[1], one->stems[1], 2 * 60000 * sizeof(float));
    assert_true(one->stems[0][1000] == 0);
    song_free(both);
    song_free(one);
}

/* Returns the energy of the mixture minus the stems in the bit set `stems`, relative to the energy
 * of the mixture. */
static double rest_of_mixture(const song *s, unsigned stems) {
    double rest = 0, energy = 0;
    for (size_t n = 0; n < 2 * s->count; n++) {
        double sample = (double)s->samples[n];
        energy += sample * sample;
        for (unsigned i = 0; i < STEMS; i++)
            sample -= stems >> i & 1 ? (double)s->stems[i][n] : 0;
        rest += sample * sample;
    }
    return rest / energy;
}

static void groups_are_split_within_their_mask(void **state) {
    (void)state;
    enum { COUNT = 512 * 1024 + 90000, ALL = 7 };
    for (int wiener = 0; wiener < 2; wiener++) {
        song *plain = song_new(COUNT), *split = song_new(COUNT);
        spl_separate_options options = defaults(plain);
        options.bandwidth = SPL_BANDWIDTH_FULL;
        options.wiener = wiener;
        assert_int_equal(separate(plain, &options, NULL), 0);
        split->model = grouped;
        options.progress_user = split;
        options.threads = 1;
        assert_int_equal(separate(split, &options, NULL), 0);
        assert_true(rest_of_mixture(split, ALL) < 1e-12);
        assert_true(rest_of_mixture(split, 1) > 1e-3);
        if (!wiener) {
            /* The two parts of the accompaniment differ and add up to it. */
            assert_memory_equal(plain->stems[0], split->stems[0], 2 * COUNT * sizeof(float));
            assert_true(rest_of_mixture(split, 1 + 2) > 1e-9);
            assert_true(rest_of_mixture(split, 1 + 4) > 1e-9);
        }
        song *other = song_new(COUNT);
        other->model = grouped;
        options.progress_user = other;
        options.threads = 3;
        assert_int_equal(separate(other, &options, NULL), 0);
        for (int stem = 0; stem < STEMS; stem++)
            assert_memory_equal(split->stems[stem], other->stems[stem], 2 * COUNT * sizeof(float));
        song_free(plain);
        song_free(split);
        song_free(other);
    }
}

static void unneeded_networks_do_not_run(void **state) {
    (void)state;
    double flop[3] = {0};
    song *all = song_new(60000);
    for (unsigned stem = 0; stem < STEMS; stem++) {
        song *one = song_new(60000);
        spl_timings timings = {0};
        one->model = all->model = grouped;
        spl_separate_options options = defaults(all);
        all->at = all->written = all->last_done = 0;
        assert_int_equal(separate(all, &options, NULL), 0);
        options.progress_user = one;
        options.stems = UINT64_C(1) << stem;
        options.timings = &timings;
        assert_int_equal(separate(one, &options, NULL), 0);
        assert_memory_equal(all->stems[stem], one->stems[stem], 2 * 60000 * sizeof(float));
        flop[stem] = timings.layers_flop[0];
        song_free(one);
    }
    assert_true(flop[1] == 2 * flop[0]);
    assert_true(flop[2] == 2 * flop[0]);
    song_free(all);
}

static void cancel_stops_within_a_segment(void **state) {
    (void)state;
    song *s = song_new(SAMPLES);
    s->cancel_after = 30;
    spl_separate_options options = defaults(s);
    spl_error error = {0};
    assert_int_equal(separate(s, &options, &error), SPL_E_CANCELED);
    assert_int_equal(s->calls, 30);
    assert_true(s->written < SAMPLES);
    song_free(s);
}

static void callers_errors_come_back(void **state) {
    (void)state;
    song *s = song_new(SAMPLES);
    spl_separate_options options = defaults(s);
    s->fail_at_read = 150;
    assert_int_equal(separate(s, &options, NULL), SPL_E_IO);
    s->fail_at_read = 0;
    s->at = 0;
    s->fail_write = 1;
    s->last_done = 0;
    assert_int_equal(separate(s, &options, NULL), SPL_E_LIMIT);
    song_free(s);
}

/* Which callback returns `odd_result`. */
static const char *odd_callback;
static int odd_result;

static int result_of(const char *callback) {
    return strcmp(callback, odd_callback) == 0 ? odd_result : 0;
}

static int odd_read(void *user, float *samples, size_t capacity, size_t *ret_count) {
    read_song(user, samples, capacity, ret_count);
    return result_of("the source's read");
}

static int odd_rewind(void *user) {
    rewind_song(user);
    return result_of("the source's rewind");
}

static int odd_write(void *user, const float *const *stems, size_t count) {
    (void)user, (void)stems, (void)count;
    return result_of("the sink's write");
}

static spl_status odd_progress(void *user, const spl_progress *progress) {
    (void)user, (void)progress;
    return (spl_status)result_of("the progress callback");
}

static void results_of_callbacks_are_named(void **state) {
    (void)state;
    static const char *const callbacks[] = {"the source's read", "the source's rewind",
                                            "the sink's write", "the progress callback"};
    static const struct {
        int result, status;
        const char *what;
    } cases[] = {{SPL_E_LIMIT, SPL_E_LIMIT, "failed with status -9"},
                 {5, SPL_E_ARGUMENT, "returned 5, which is neither 0 nor a negative spl_status"}};
    for (size_t i = 0; i < 8; i++) {
        song *s = song_new(1000);
        odd_callback = callbacks[i / 2];
        odd_result = cases[i % 2].result;
        spl_separate_options options = defaults(s);
        options.wiener = true;
        options.progress = odd_progress;
        const spl_source source = {s, odd_read, odd_rewind, s->count};
        const spl_sink sink = {s, odd_write};
        spl_error error = {0};
        assert_int_equal(spl_separate(model, &options, &source, &sink, &error),
                         cases[i % 2].status);
        char message[200];
        snprintf(message, sizeof(message), "%s %s", odd_callback, cases[i % 2].what);
        assert_string_equal(error.message, message);
        song_free(s);
    }
}

static spl_status visit_oddly(void *user, const char *path) {
    (void)path;
    return *(const spl_status *)user;
}

static void results_of_visits_are_checked(void **state) {
    (void)state;
    spl_error error;
    spl_status result = (spl_status)3;
    const char *search_path = SPL_TEST_MODEL "/..";
    assert_int_equal(spl_model_list(search_path, visit_oddly, &result, &error), SPL_E_ARGUMENT);
    assert_non_null(strstr(error.message, "returned 3"));
    result = SPL_E_CANCELED;
    assert_int_equal(spl_model_list(search_path, visit_oddly, &result, &error), SPL_E_CANCELED);
}

static void bad_arguments_are_refused(void **state) {
    (void)state;
    song *s = song_new(100);
    spl_separate_options options = defaults(s);
    spl_error error = {0};
    options.stems = 4;
    assert_int_equal(separate(s, &options, &error), SPL_E_ARGUMENT);
    assert_non_null(strstr(error.message, "2 stems"));
    options = defaults(s);
    options.bandwidth = (spl_bandwidth)9;
    assert_int_equal(separate(s, &options, NULL), SPL_E_ARGUMENT);
    options = defaults(s);
    options.wiener = 1;
    const spl_source once = {s, read_song, NULL, 0};
    const spl_sink sink = {s, write_song};
    assert_int_equal(spl_separate(model, &options, &once, &sink, NULL), SPL_E_ARGUMENT);
    assert_int_equal(spl_separate(NULL, &options, &once, &sink, NULL), SPL_E_ARGUMENT);

    options = defaults(s);
    options.reserved[7] = 1;
    assert_int_equal(separate(s, &options, &error), SPL_E_ARGUMENT);
    assert_non_null(strstr(error.message, "reserved field of spl_separate_options"));
    options = defaults(s);
    const spl_sink later = {.user = s, .write = write_song, .reserved = {1}};
    assert_int_equal(spl_separate(model, &options, &once, &later, NULL), SPL_E_ARGUMENT);

    s->samples[2 * 70 + 1] = NAN;
    assert_int_equal(separate(s, &options, &error), SPL_E_SAMPLE);
    assert_non_null(strstr(error.message, "sample 70 "));
    song_free(s);
}

/* Opens a model with the networks of 2stems: vocals, and the accompaniment split into two parts. */
static int open_grouped(const char *folder) {
    static const char net[] = "../spleeter-2stems/";
    const spl_model_info *info = spl_model_get_info(model);
    char path[300];
    snprintf(path, sizeof(path), "%s/spleeter-2stems", folder);
    assert_int_equal(symlink(SPL_TEST_MODEL, path), 0);
    snprintf(path, sizeof(path), "%s/grouped", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof(path), "%s/grouped/manifest.json", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "{\"format\": \"spleeterd-model\", \"version\": 1, \"name\": \"grouped\", "
                  "\"architecture\": \"unet\", \"frames\": 512, \"bins\": 1024, "
                  "\"sample_rate_hz\": 44100, \"frame_length\": 4096, \"frame_step\": 1024, "
                  "\"mask_extension\": \"zeros\", \"separation_exponent\": 2, \"stems\": [");
    static const struct {
        const char *name, *group;
        unsigned net;
    } stems[STEMS] = {{"vocals", "", 0},
                      {"one", ", \"group\": \"accompaniment\"", 0},
                      {"two", ", \"group\": \"accompaniment\"", 1}};
    for (int i = 0; i < STEMS; i++)
        fprintf(file, "%s{\"name\": \"%s\", \"net\": \"%s%s\", \"sha256\": \"%s\"%s}",
                i ? ", " : "", stems[i].name, net, info->stems[stems[i].net].network,
                info->stems[stems[i].net].sha256, stems[i].group);
    fprintf(file,
            "], \"groups\": [{\"name\": \"accompaniment\", \"net\": \"%s%s\", \"sha256\": "
            "\"%s\"}], \"licence\": \"MIT\", \"source\": \"a test\"}",
            net, info->stems[1].network, info->stems[1].sha256);
    assert_int_equal(fclose(file), 0);
    snprintf(path, sizeof(path), "%s/grouped", folder);
    return spl_model_open(path, &grouped, NULL);
}

static int open_models(void **state) {
    (void)state;
    char folder[] = "/tmp/spleeter-engine-test.XXXXXX", path[300];
    assert_non_null(mkdtemp(folder));
    assert_int_equal(spl_model_open(SPL_TEST_MODEL, &model, NULL), 0);
    const int status = open_grouped(folder);
    static const char *const made[] = {"grouped/manifest.json", "grouped", "spleeter-2stems", ""};
    for (size_t i = 0; i < sizeof(made) / sizeof(*made); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, made[i]);
        remove(path);
    }
    return status;
}

static int close_models(void **state) {
    (void)state;
    spl_model_unref(grouped);
    spl_model_unref(model);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_depend_on_input_alone),
        cmocka_unit_test(stems_sum_to_the_mixture_at_full_band),
        cmocka_unit_test(any_length_comes_out_whole),
        cmocka_unit_test(one_stem_alone_has_the_same_bytes),
        cmocka_unit_test(groups_are_split_within_their_mask),
        cmocka_unit_test(unneeded_networks_do_not_run),
        cmocka_unit_test(cancel_stops_within_a_segment),
        cmocka_unit_test(callers_errors_come_back),
        cmocka_unit_test(results_of_callbacks_are_named),
        cmocka_unit_test(results_of_visits_are_checked),
        cmocka_unit_test(bad_arguments_are_refused),
    };
    return cmocka_run_group_tests_name("engine", tests, open_models, close_models);
}

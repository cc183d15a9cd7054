/* SPDX-License-Identifier: MIT
 *
 * What a run of the pipeline writes: equal mixes share their spools, and the budget counts spools
 * and outputs and ends a run before it writes more than it may.
 */
#include "app/audio/wav.h"
#include "app/pipeline/budget.h"
#include "app/pipeline/pipeline.h"
#include "base/descriptors.h"
#include "base/file.h"
#include "folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <string.h>

#define SECONDS  4
#define RATE_HZ  1000
#define CHANNELS 8 /* without positions: one pair and six single channels */
#define PAIRS    7

static char folder[128];
static spl_model *model;

/* A silent file, because silence takes no time. Its channels have no positions. */
static int make_song(void) {
    static const char samples[SECONDS * RATE_HZ * CHANNELS * 2];
    const spl_wav_format format = {.channels = CHANNELS, .sample_rate_hz = RATE_HZ};
    uint8_t header[SPL_WAV_HEADER_MAX_BYTES];
    const size_t size = spl_wav_header(&format, sizeof(samples), header);
    uint8_t *mask = memmem(header, size, "\x08\0\xe8\x03", 4);
    memset(mask + 18, 0, 4);
    char path[160];
    snprintf(path, sizeof(path), "%s/song.wav", folder);
    const int fd = open(path, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);
    assert_int_equal(spl_write_all(fd, header, size, path, NULL), 0);
    assert_int_equal(spl_write_all(fd, samples, sizeof(samples), path, NULL), 0);
    return fd;
}

/* The open unnamed files in the folder: spools, and outputs that are not complete. */
static unsigned unnamed_files(void) {
    unsigned count = 0;
    DIR *files = opendir("/proc/self/fd");
    for (struct dirent *file; (file = readdir(files));) {
        char target[256] = "";
        if (readlinkat(dirfd(files), file->d_name, target, sizeof(target) - 1) > 0)
            count += strncmp(target, folder, strlen(folder)) == 0 && strstr(target, "(deleted)");
    }
    closedir(files);
    return count;
}

typedef struct watch {
    uint64_t most_bytes; /* what may be held */
    uint64_t held_bytes, peak_bytes;
    unsigned files; /* most unnamed files at once */
} watch;

static int allow(void *user, uint64_t held_bytes, uint64_t next_bytes, spl_error *ret_error) {
    watch *own = user;
    own->held_bytes = held_bytes;
    own->peak_bytes = SPL_MAX(own->peak_bytes, held_bytes);
    own->files = SPL_MAX(own->files, unnamed_files());
    if (held_bytes + next_bytes > own->most_bytes)
        return spl_fail(ret_error, SPL_E_LIMIT, "that is enough");
    return 0;
}

/* Six outputs of three different sets. */
static const uint64_t stems[] = {1, 2, 3, 3, 1, 3};
#define OUTPUTS SPL_ARRAY_SIZE(stems)
#define SETS    3

static int run(watch *own, spl_pipeline_options options, spl_pipeline_stage *ret_stage,
               uint64_t *ret_expected_bytes) {
    SPL_CLEANUP(spl_close_p) int fd = make_song();
    char paths[OUTPUTS][160];
    spl_output outputs[OUTPUTS];
    for (size_t i = 0; i < OUTPUTS; i++) {
        snprintf(paths[i], sizeof(paths[i]), "%s/%zu.out", folder, i);
        outputs[i] = (spl_output){.name = "mix", .stems = stems[i], .path = paths[i], .fd = -1};
    }
    options.model = model;
    options.budget = (spl_budget){allow, own};
    spl_pipeline_result result;
    spl_error error;
    const int status =
        spl_pipeline_run(fd, "song", &options, outputs, OUTPUTS, &result, ret_stage, &error);
    if (status < 0 && status != SPL_E_LIMIT)
        fail_msg("%s", error.message);
    const spl_audio_info input = {.channels = CHANNELS, .sample_rate_hz = RATE_HZ};
    *ret_expected_bytes = spl_pipeline_expect(&options, &input, outputs, OUTPUTS, SECONDS);
    for (size_t i = 0; i < OUTPUTS; i++)
        assert_int_equal(unlink(paths[i]), status < 0 ? -1 : 0);
    return status;
}

static const spl_pipeline_options kept = {.keep_format = true, .sample_format = SPL_SAMPLES_FLOAT};
static const spl_pipeline_options stereo = {.channels = SPL_CHANNELS_FIRST_TWO,
                                            .sample_format = SPL_SAMPLES_FLOAT};

static void equal_sets_share_a_spool(void **state) {
    (void)state;
    watch own = {.most_bytes = UINT64_MAX};
    uint64_t expected_bytes;
    assert_int_equal(run(&own, kept, NULL, &expected_bytes), 0);
    assert_int_equal(own.files, OUTPUTS + SETS);
    const uint64_t spool_bytes = UINT64_C(4) * CHANNELS * SECONDS * SPL_SAMPLE_RATE_HZ;
    assert_in_range(own.peak_bytes, SETS * spool_bytes, expected_bytes);
    const uint64_t output_bytes = UINT64_C(4) * CHANNELS * SECONDS * RATE_HZ;
    assert_in_range(own.held_bytes, OUTPUTS * output_bytes, OUTPUTS * (output_bytes + 4096));
}

static void stereo_needs_no_spool(void **state) {
    (void)state;
    watch own = {.most_bytes = UINT64_MAX};
    uint64_t expected_bytes;
    assert_int_equal(run(&own, stereo, NULL, &expected_bytes), 0);
    assert_int_equal(own.files, OUTPUTS);
    assert_in_range(own.held_bytes, expected_bytes * 9 / 10, expected_bytes);
    assert_int_equal(own.peak_bytes, own.held_bytes);
}

static void a_run_ends_at_its_budget(void **state) {
    (void)state;
    const spl_pipeline_options options[] = {stereo, kept, kept};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(options); i++) {
        watch own = {.most_bytes = UINT64_MAX};
        uint64_t expected_bytes;
        assert_int_equal(run(&own, options[i], NULL, &expected_bytes), 0);
        /* At half of the peak, and as the spools are encoded. */
        own = (watch){.most_bytes = i < 2 ? own.peak_bytes / 2 : own.peak_bytes - 1};
        spl_pipeline_stage stage;
        assert_int_equal(run(&own, options[i], &stage, &expected_bytes), SPL_E_LIMIT);
        assert_int_equal(stage, SPL_STAGE_OUTPUT);
        assert_in_range(own.peak_bytes, 0, own.most_bytes);
        assert_int_equal(unnamed_files(), 0);
    }
}

/* Helpers write these outputs; the budget sees them grow. */
static void outputs_of_helpers_count(void **state) {
    (void)state;
    spl_pipeline_options flac = stereo;
    flac.codec = SPL_CODEC_FLAC;
    flac.sample_format = SPL_SAMPLES_16;
    watch own = {.most_bytes = UINT64_MAX};
    uint64_t expected_bytes;
    assert_int_equal(run(&own, flac, NULL, &expected_bytes), 0);
    assert_in_range(own.held_bytes, OUTPUTS * 1000, expected_bytes);
    own = (watch){.most_bytes = own.held_bytes / 2};
    assert_int_equal(run(&own, flac, NULL, &expected_bytes), SPL_E_LIMIT);
}

/* The running children of this process. */
static unsigned children(void) {
    unsigned count = 0;
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *task; (task = readdir(tasks));) {
        char path[300];
        snprintf(path, sizeof(path), "/proc/self/task/%s/children", task->d_name);
        FILE *file = fopen(path, "re");
        int pid;
        while (file && fscanf(file, "%d", &pid) == 1)
            count++;
        if (file)
            fclose(file);
    }
    closedir(tasks);
    return count;
}

typedef struct helper_watch {
    unsigned most;
    size_t descriptors; /* fewest left */
} helper_watch;

static int count_helpers(void *user, uint64_t held_bytes, uint64_t next_bytes,
                         spl_error *ret_error) {
    (void)held_bytes, (void)next_bytes, (void)ret_error;
    helper_watch *own = user;
    own->most = SPL_MAX(own->most, children());
    own->descriptors = SPL_MIN(own->descriptors, spl_descriptors_left());
    return 0;
}

static void expect_equal_files(const char *path, const char *other_path) {
    spl_file_map file, other;
    assert_int_equal(spl_file_map_open(path, SIZE_MAX, &file, NULL), 0);
    assert_int_equal(spl_file_map_open(other_path, SIZE_MAX, &other, NULL), 0);
    assert_int_equal(file.size_bytes, other.size_bytes);
    assert_memory_equal(file.data, other.data, other.size_bytes);
    spl_file_map_close(&file);
    spl_file_map_close(&other);
}

/* All outputs of a set have the same bytes, whether they waited for a helper or not. */
static void many_outputs_take_few_helpers(void **state) {
    (void)state;
    enum { COUNT = SPL_ENCODERS_MAX + 3 };
    static char paths[COUNT][160];
    static spl_output outputs[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        snprintf(paths[i], sizeof(paths[i]), "%s/%zu.flac", folder, i);
        outputs[i] = (spl_output){.name = "mix", .stems = 1 + i % 3, .path = paths[i], .fd = -1};
    }
    const spl_pipeline_options options[] = {
        {.channels = SPL_CHANNELS_FIRST_TWO, .codec = SPL_CODEC_FLAC},
        {.keep_format = true, .codec = SPL_CODEC_FLAC}};
    for (size_t o = 0; o < SPL_ARRAY_SIZE(options); o++) {
        SPL_CLEANUP(spl_close_p) int fd = make_song();
        helper_watch own = {.descriptors = SIZE_MAX};
        const size_t before = spl_descriptors_left();
        spl_pipeline_options watched = options[o];
        watched.model = model;
        watched.budget = (spl_budget){count_helpers, &own};
        spl_pipeline_result result;
        spl_error error;
        if (spl_pipeline_run(fd, "song", &watched, outputs, COUNT, &result, NULL, &error) < 0)
            fail_msg("%s", error.message);
        assert_in_range(own.most, SPL_ENCODERS_MAX, SPL_ENCODERS_MAX + 1); /* and a decoder */
        assert_in_range(before - own.descriptors, COUNT, SPL_RUN_DESCRIPTORS_MAX);
        assert_int_equal(spl_descriptors_left(), before);
        for (size_t i = 0; i < COUNT; i++)
            expect_equal_files(paths[i], paths[i % 3]);
        for (size_t i = 0; i < COUNT; i++)
            unlink(paths[i]);
    }
}

/* Rewrites the format in the header of the open file `fd`: 64 channels, or another rate. */
typedef struct header_change {
    int fd;
    unsigned pass; /* in which it happens */
    uint32_t rate_hz;
    uint16_t channels;
} header_change;

static spl_status change_header(void *user, const spl_progress *progress) {
    const header_change *change = user;
    if (progress->pass != change->pass)
        return 0;
    uint8_t start[SPL_WAV_HEADER_MAX_BYTES];
    assert_int_equal(pread(change->fd, start, sizeof(start), 0), sizeof(start));
    const uint8_t *format = memmem(start, sizeof(start), "fmt ", 4);
    const off_t at = format - start + 10;
    const uint16_t block_bytes = (uint16_t)(2 * change->channels);
    assert_int_equal(pwrite(change->fd, &change->channels, 2, at), 2);
    assert_int_equal(pwrite(change->fd, &change->rate_hz, 4, at + 2), 4);
    assert_int_equal(pwrite(change->fd, &block_bytes, 2, at + 10), 2);
    return 0;
}

/* The file is read again for the second pass and for each further channel pair. */
static void a_file_must_not_change_its_format(void **state) {
    (void)state;
    const header_change changes[] = {{.pass = 1, .channels = SPL_CHANNELS_MAX, .rate_hz = RATE_HZ},
                                     {.pass = 2, .channels = SPL_CHANNELS_MAX, .rate_hz = RATE_HZ},
                                     {.pass = 1, .channels = 2, .rate_hz = RATE_HZ},
                                     {.pass = 1, .channels = CHANNELS, .rate_hz = 2 * RATE_HZ}};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(changes); i++) {
        for (unsigned wiener = 0; wiener < 2; wiener++) {
            SPL_CLEANUP(spl_close_p) int fd = make_song();
            header_change change = changes[i];
            change.fd = fd;
            spl_pipeline_options options = kept;
            options.model = model;
            options.wiener = wiener;
            options.progress = change_header;
            options.progress_user = &change;
            char path[160];
            snprintf(path, sizeof(path), "%s/out.wav", folder);
            const spl_output output = {.name = "mix", .stems = 1, .path = path, .fd = -1};
            spl_pipeline_result result;
            spl_pipeline_stage stage;
            spl_error error;
            assert_int_equal(
                spl_pipeline_run(fd, "song", &options, &output, 1, &result, &stage, &error),
                SPL_E_FORMAT);
            assert_string_equal(error.message, "song: the file changed while it was read");
            assert_int_equal(stage, SPL_STAGE_INPUT);
            assert_int_equal(unlink(path), -1);
        }
    }
}

static int set_up(void **state) {
    (void)state;
    spl_model_choice choice;
    spl_error error;
    folder_make(folder, sizeof(folder));
    return spl_model_resolve("2stems", getenv("SPLEETER_MODEL_PATH"), &choice, &error) < 0
               ? -1
               : spl_model_open(choice.path, &model, &error);
}

static int tear_down(void **state) {
    (void)state;
    spl_model_unref(model);
    folder_remove(folder);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_sets_share_a_spool),
        cmocka_unit_test(stereo_needs_no_spool),
        cmocka_unit_test(a_run_ends_at_its_budget),
        cmocka_unit_test(outputs_of_helpers_count),
        cmocka_unit_test(many_outputs_take_few_helpers),
        cmocka_unit_test(a_file_must_not_change_its_format),
    };
    return cmocka_run_group_tests_name("pipeline", tests, set_up, tear_down);
}

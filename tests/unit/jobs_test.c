/* SPDX-License-Identifier: MIT
 *
 * The jobs module with the real store, blobs, model and codec helper. A job's outputs are the bytes
 * that the pipeline writes for the same options. Jobs are also refused, canceled, retried, given
 * back and expired.
 */
#include "app/audio/codec_protocol.h"
#include "base/clock.h"
#include "base/descriptors.h"
#include "base/digest.h"
#include "base/file.h"
#include "http_fixture.h"
#include "service/jobs/jobs.h"
#include "service/jobs/upload.h"
#include "service/observe/log.h"
#include "service/outbound/outbound.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define WAIT_S 120

/* A service without HTTP, in its own folder. */
typedef struct jobs_fixture {
    char folder[64];
    spl_settings settings;
    spl_store *store;
    spl_space *space;
    spl_blobs *blobs;
    spl_models *models;
    spl_audit *audit;
    spl_jobs *jobs;
    bool shared; /* the store counts as one that other processes use */
} jobs_fixture;

static const spl_principal alice = {.id = "key:alice",
                                    .quota = {.jobs = 10, .storage_bytes = UINT64_C(1) << 30}};

static void open_fixture(jobs_fixture *fixture) {
    spl_error error;
    const uint8_t key[32] = {0};
    char audit[128];
    snprintf(audit, sizeof(audit), "%s/audit", fixture->folder);
    assert_int_equal(spl_store_open_sqlite(fixture->folder, &fixture->store, &error), 0);
    fixture->store->shared = fixture->shared;
    assert_int_equal(
        spl_space_open(fixture->folder, fixture->settings.min_free_bytes, &fixture->space, &error),
        0);
    assert_int_equal(spl_blobs_open_directory(fixture->folder, &fixture->blobs, &error), 0);
    assert_int_equal(spl_models_open(&fixture->models, &error), 0);
    assert_int_equal(spl_audit_open(audit, key, 64 << 20, &fixture->audit, &error), 0);
    const spl_jobs_parts parts = {.settings = &fixture->settings,
                                  .store = fixture->store,
                                  .space = fixture->space,
                                  .blobs = fixture->blobs,
                                  .models = fixture->models,
                                  .audit = fixture->audit};
    if (spl_jobs_start(&parts, &fixture->jobs, &error) < 0)
        fail_msg("%s", error.message);
}

static void close_fixture(jobs_fixture *fixture, unsigned drain_s) {
    spl_jobs_stop(fixture->jobs, drain_s);
    spl_jobs_free(fixture->jobs);
    spl_audit_close(fixture->audit);
    spl_models_free(fixture->models);
    fixture->blobs->functions->close(fixture->blobs);
    spl_space_close(fixture->space);
    fixture->store->functions->close(fixture->store);
}

static int set_up(void **state) {
    jobs_fixture *fixture = calloc(1, sizeof(*fixture));
    spl_error error;
    snprintf(fixture->folder, sizeof(fixture->folder), "/tmp/jobs_test.XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    setenv("SPLEETER_ENV", "development", 1);
    setenv("SPLEETER_DATA_DIR", fixture->folder, 1);
    setenv("SPLEETER_MIN_FREE_DISK_MB", "0", 1);
    if (spl_settings_load(0, NULL, &fixture->settings, &error) < 0)
        fail_msg("%s", error.message);
    open_fixture(fixture);
    *state = fixture;
    return 0;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk) {
    (void)status, (void)type, (void)walk;
    return remove(path);
}

static int tear_down(void **state) {
    jobs_fixture *fixture = *state;
    close_fixture(fixture, 0);
    spl_settings_free(&fixture->settings);
    nftw(fixture->folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(fixture);
    return 0;
}

/* Restarts the module. Changes to fixture->settings that are read at the start take effect, as if
 * set by SPLEETER_... variables. */
static void restart(jobs_fixture *fixture, unsigned drain_s) {
    close_fixture(fixture, drain_s);
    open_fixture(fixture);
}

static spl_upload *upload_bytes(jobs_fixture *fixture, const char *name, const void *data,
                                size_t size) {
    spl_upload *upload;
    spl_problem problem = {0};
    if (spl_upload_open(fixture->jobs, &alice, name, NULL, (int64_t)size, &upload, &problem) < 0)
        fail_msg("%s", problem.detail);
    for (size_t begin = 0; begin < size; begin += 10000)
        assert_int_equal(spl_upload_write(upload, (const char *)data + begin,
                                          SPL_MIN(size - begin, (size_t)10000), &problem),
                         0);
    return upload;
}

static spl_upload *upload_song(jobs_fixture *fixture) {
    spl_file_map song;
    spl_error error;
    assert_int_equal(spl_file_map_open(SPL_TEST_SONG, SIZE_MAX, &song, &error), 0);
    spl_upload *upload = upload_bytes(fixture, "Some Song.mp3", song.data, song.size_bytes);
    spl_file_map_close(&song);
    return upload;
}

/* `options` uses ' for ". The upload is consumed in any case. Returns 1 for a replayed response,
 * else 0 or a negative status. */
static int submit(jobs_fixture *fixture, spl_upload *upload, const char *options,
                  spl_submission more, json_t **ret_job, spl_problem *ret_problem) {
    SPL_CLEANUP(spl_free_p) char *text = strdup(options);
    for (char *c = text; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    json_auto_t *object = json_loads(text, 0, NULL);
    assert_non_null(object);
    more.principal = &alice;
    more.upload = upload;
    more.options = object;
    bool replayed = false;
    int status = spl_jobs_submit(fixture->jobs, &more, ret_job, &replayed, ret_problem);
    if (status < 0)
        spl_upload_free(upload);
    return status < 0 ? status : replayed;
}

static json_t *submit_song(jobs_fixture *fixture, const char *options) {
    json_t *job;
    spl_problem problem = {0};
    if (submit(fixture, upload_song(fixture), options, (spl_submission){0}, &job, &problem) < 0)
        fail_msg("%s", problem.detail);
    return job;
}

/* Submits a WAV file of five minutes, so that the job still runs when the test looks at it. It is
 * not silent, because silence costs the engine nothing. */
static json_t *submit_long_song(jobs_fixture *fixture, const char *options) {
    const uint32_t data_bytes = 300 * 44100 * 4, file_bytes = 36 + data_bytes;
    uint8_t header[44] = "RIFF....WAVEfmt \x10\0\0\0\1\0\2\0\x44\xac\0\0\x10\xb1\2\0\4\0\x10\0data";
    memcpy(header + 4, &file_bytes, 4);
    memcpy(header + 40, &data_bytes, 4);
    uint8_t *song = malloc(sizeof(header) + data_bytes);
    assert_non_null(song);
    memcpy(song, header, sizeof(header));
    memset(song + sizeof(header), 10, data_bytes);
    json_t *job;
    spl_problem problem = {0};
    if (submit(fixture, upload_bytes(fixture, "Long.wav", song, sizeof(header) + data_bytes),
               options, (spl_submission){0}, &job, &problem) < 0)
        fail_msg("%s", problem.detail);
    free(song);
    return job;
}

static const char *text_in(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    assert_non_null(text);
    return text;
}

/* Waits until the job's status is none of `before`. The returned job is owned by the caller. */
static json_t *wait_while(jobs_fixture *fixture, const char *id, const char *before) {
    const double deadline_s = spl_now_s() + WAIT_S;
    for (;;) {
        json_t *job;
        int64_t version;
        spl_problem problem = {0};
        if (spl_jobs_get(fixture->jobs, alice.id, id, &job, &version, &problem) < 0)
            fail_msg("%s", problem.detail);
        if (!strstr(before, text_in(job, "status")))
            return job;
        json_decref(job);
        if (spl_now_s() > deadline_s)
            fail_msg("the job is still %s", before);
        spl_jobs_wait(fixture->jobs, id, version, 1000);
    }
}

static json_t *wait_for_end(jobs_fixture *fixture, const char *id) {
    return wait_while(fixture, id, "queued running");
}

static void expect_status(const json_t *job, const char *status) {
    if (strcmp(text_in(job, "status"), status) != 0) {
        SPL_CLEANUP(spl_free_p) char *text = json_dumps(job, JSON_INDENT(2));
        fail_msg("not %s: %s", status, text);
    }
}

static char *read_all(int fd, size_t *ret_size) {
    struct stat status;
    assert_int_equal(fstat(fd, &status), 0);
    char *bytes = malloc((size_t)status.st_size + 1);
    assert_int_equal(pread(fd, bytes, (size_t)status.st_size, 0), status.st_size);
    *ret_size = (size_t)status.st_size;
    return bytes;
}

static int open_file(spl_jobs *jobs, const char *owner, const char *id, const char *file,
                     spl_job_file *ret_file, spl_problem *ret_problem) {
    const int status = spl_jobs_find_file(jobs, owner, id, file, ret_file, ret_problem);
    return status < 0 ? status : spl_jobs_open_found(jobs, ret_file, NULL, ret_problem);
}

static char *read_output(jobs_fixture *fixture, const char *id, const char *file,
                         size_t *ret_size) {
    spl_job_file opened;
    spl_problem problem = {0};
    if (open_file(fixture->jobs, alice.id, id, file, &opened, &problem) < 0)
        fail_msg("%s: %s", file, problem.detail);
    assert_true(opened.blob.complete);
    SPL_CLEANUP(spl_close_p) int fd = opened.blob.fd;
    char *bytes = read_all(fd, ret_size);
    char sha256[65];
    spl_error error;
    assert_int_equal(spl_sha256_hex(bytes, *ret_size, sha256, &error), 0);
    assert_string_equal(sha256, opened.sha256);
    return bytes;
}

/* Runs the pipeline on the bundled song as the command does, with both stems as outputs. */
static void run_pipeline(spl_pipeline_options options, const char *model, const char *paths[2]) {
    spl_error error;
    spl_model_choice choice;
    assert_int_equal(spl_model_resolve(model, getenv("SPLEETER_MODEL_PATH"), &choice, &error), 0);
    assert_int_equal(spl_model_open(choice.path, &options.model, &error), 0);
    options.bandwidth = choice.bandwidth;
    options.channels = choice.as_spleeter ? SPL_CHANNELS_FIRST_TWO : SPL_CHANNELS_STEREO_DOWNMIX;
    const spl_output outputs[] = {
        {.name = "vocals", .stems = 1, .path = paths[0], .fd = -1},
        {.name = "accompaniment", .stems = 2, .path = paths[1], .fd = -1}};
    SPL_CLEANUP(spl_close_p) int fd = open(SPL_TEST_SONG, O_RDONLY | O_CLOEXEC);
    spl_pipeline_result result;
    if (spl_pipeline_run(fd, "song", &options, outputs, 2, &result, NULL, &error) < 0)
        fail_msg("%s", error.message);
    spl_model_unref(options.model);
}

static void expect_same_bytes(jobs_fixture *fixture, const char *id, const char *file,
                              const char *path) {
    size_t size, expected_size;
    SPL_CLEANUP(spl_free_p) char *bytes = read_output(fixture, id, file, &size);
    SPL_CLEANUP(spl_close_p) int fd = open(path, O_RDONLY | O_CLOEXEC);
    SPL_CLEANUP(spl_free_p) char *expected = read_all(fd, &expected_size);
    assert_int_equal(size, expected_size);
    assert_memory_equal(bytes, expected, size);
}

static void compare_with_pipeline(jobs_fixture *fixture, const char *options, const char *model,
                                  spl_pipeline_options pipeline) {
    const char *codec = spl_codec_name(pipeline.codec);
    char paths[2][256], files[2][80];
    const char *const names[] = {"vocals", "accompaniment"};
    for (size_t i = 0; i < 2; i++) {
        snprintf(files[i], sizeof(files[i]), "%s.%s", names[i], codec);
        snprintf(paths[i], sizeof(paths[i]), "%s/%s", fixture->folder, files[i]);
    }
    run_pipeline(pipeline, model, (const char *[]){paths[0], paths[1]});
    json_auto_t *created = submit_song(fixture, options);
    json_auto_t *job = wait_for_end(fixture, text_in(created, "id"));
    expect_status(job, "succeeded");
    for (size_t i = 0; i < 2; i++)
        expect_same_bytes(fixture, text_in(job, "id"), files[i], paths[i]);
}

static void makes_the_bytes_of_the_command(void **state) {
    compare_with_pipeline(*state, "{}", "2stems", (spl_pipeline_options){0});
    compare_with_pipeline(*state,
                          "{'model': 'spleeter:2stems', 'codec': 'flac', 'bit_depth': '24', "
                          "'offset': 1.5, 'duration': 2}",
                          "spleeter:2stems",
                          (spl_pipeline_options){.codec = SPL_CODEC_FLAC,
                                                 .sample_format = SPL_SAMPLES_24,
                                                 .offset_s = 1.5,
                                                 .duration_s = 2});
    compare_with_pipeline(
        *state, "{'codec': 'mp3', 'bitrate': '192k', 'duration': 3}", "2stems",
        (spl_pipeline_options){.codec = SPL_CODEC_MP3, .bitrate_bps = 192000, .duration_s = 3});
}

static void describes_a_whole_job(void **state) {
    jobs_fixture *fixture = *state;
    spl_problem problem = {0};
    json_auto_t *metadata = json_pack("{s:s}", "album", "one");
    json_t *answer;
    if (submit(fixture, upload_song(fixture),
               "{'mixes': 'all=vocals+accompaniment', 'duration': 2}",
               (spl_submission){.metadata = "{\"album\":\"one\"}", .request_id = "r-1"}, &answer,
               &problem) < 0)
        fail_msg("%s", problem.detail);
    json_auto_t *created = answer;
    json_auto_t *job = wait_for_end(fixture, text_in(created, "id"));
    expect_status(job, "succeeded");
    assert_string_equal(text_in(job, "request_id"), "r-1");
    assert_true(json_equal(json_object_get(job, "metadata"), metadata));
    assert_true(json_number_value(json_object_get(job, "progress")) == 1);
    const json_t *outputs = json_object_get(job, "outputs");
    assert_int_equal(json_array_size(outputs), 1);
    const json_t *output = json_array_get(outputs, 0);
    assert_string_equal(text_in(output, "file"), "all.wav");
    assert_int_equal(json_integer_value(json_object_get(output, "samples")), 88200);
    assert_non_null(strstr(text_in(output, "url"), "/stems/all.wav"));

    json_t *manifest;
    assert_int_equal(
        spl_jobs_manifest(fixture->jobs, alice.id, text_in(job, "id"), &manifest, &problem), 0);
    assert_string_equal(text_in(json_object_get(manifest, "model"), "sha256"),
                        text_in(json_object_get(job, "model"), "sha256"));
    assert_true(json_equal(json_object_get(manifest, "options"), json_object_get(job, "options")));
    assert_int_equal(json_integer_value(json_object_get(manifest, "samples")), 88200);
    json_decref(manifest);

    spl_job_file file;
    assert_int_equal(
        open_file(fixture->jobs, alice.id, text_in(job, "id"), "all.wav", &file, &problem), 0);
    close(file.blob.fd);
    assert_string_equal(file.media_type, "audio/wav");
    assert_string_equal(file.download_name, "Some Song - all.wav");
    assert_true(open_file(fixture->jobs, alice.id, text_in(job, "id"), "input", &file, &problem) <
                0);
    assert_int_equal(problem.code, SPL_PROBLEM_NOT_FOUND);

    json_t *hidden;
    assert_true(
        spl_jobs_get(fixture->jobs, "key:bob", text_in(job, "id"), &hidden, NULL, &problem) < 0);
    assert_int_equal(problem.code, SPL_PROBLEM_NOT_FOUND);
}

static void replays_and_reuses(void **state) {
    jobs_fixture *fixture = *state;
    spl_problem problem = {0};
    spl_idempotency idempotency;
    const spl_submission keyed = {.idempotency_key = "k1"};
    assert_int_equal(
        spl_jobs_idempotency_reserve(fixture->jobs, &alice, "k1", &idempotency, &problem), 0);
    assert_int_equal(idempotency, SPL_IDEMPOTENCY_NEW);
    json_t *answer;
    assert_int_equal(
        submit(fixture, upload_song(fixture), "{'duration': 1}", keyed, &answer, &problem), 0);
    json_auto_t *first = answer;
    assert_int_equal(
        submit(fixture, upload_song(fixture), "{'duration': 1}", keyed, &answer, &problem), 1);
    json_auto_t *second = answer;
    assert_string_equal(text_in(first, "id"), text_in(second, "id"));
    assert_true(submit(fixture, upload_song(fixture), "{'duration': 2}", keyed, &answer, &problem) <
                0);
    assert_int_equal(problem.code, SPL_PROBLEM_IDEMPOTENCY_REUSED);

    json_decref(wait_for_end(fixture, text_in(first, "id")));
    json_auto_t *again = submit_song(fixture, "{'duration': 1}");
    assert_string_not_equal(text_in(again, "id"), text_in(first, "id"));
    expect_status(again, "succeeded");
    assert_true(json_is_true(json_object_get(again, "reused")));
    size_t size, reused_size;
    SPL_CLEANUP(spl_free_p)
    char *bytes = read_output(fixture, text_in(first, "id"), "vocals.wav", &size);
    assert_int_equal(spl_jobs_delete(fixture->jobs, &alice, NULL, text_in(first, "id"), &problem),
                     0);
    SPL_CLEANUP(spl_free_p)
    char *reused = read_output(fixture, text_in(again, "id"), "vocals.wav", &reused_size);
    assert_int_equal(size, reused_size);
    assert_memory_equal(bytes, reused, size);
}

static void expect_refused(jobs_fixture *fixture, spl_upload *upload, const char *options,
                           spl_submission more, spl_problem_code code, const char *words) {
    json_t *job;
    spl_problem problem = {0};
    assert_true(submit(fixture, upload, options, more, &job, &problem) < 0);
    if (problem.code != code || !strstr(problem.detail, words))
        fail_msg("%s: %s", spl_problem_code_text(problem.code), problem.detail);
}

static void refuses_what_can_not_be_separated(void **state) {
    jobs_fixture *fixture = *state;
    const spl_submission plain = {0};
    const char nonsense[200] = "RIFF\xff\xff\xff\xffWAVE and nothing that belongs there";
    expect_refused(fixture, upload_bytes(fixture, "a.wav", nonsense, sizeof(nonsense)), "{}", plain,
                   SPL_PROBLEM_UNREADABLE_AUDIO, "");
    expect_refused(fixture, upload_bytes(fixture, "a.flac", nonsense, sizeof(nonsense)), "{}",
                   plain, SPL_PROBLEM_MEDIA_TYPE, "its content is WAV");
    expect_refused(fixture, upload_bytes(fixture, "a.flac", nonsense + 12, 100), "{}", plain,
                   SPL_PROBLEM_MEDIA_TYPE, "its content is of no known audio format");
    expect_refused(fixture, upload_bytes(fixture, "a.wav", "", 0), "{}", plain, SPL_PROBLEM_INVALID,
                   "empty");
    expect_refused(fixture, upload_song(fixture), "{'model': '99stems'}", plain,
                   SPL_PROBLEM_INVALID, "no model 99stems");
    expect_refused(fixture, upload_song(fixture), "{'model': '/etc/passwd'}", plain,
                   SPL_PROBLEM_INVALID, "no model");
    expect_refused(fixture, upload_song(fixture), "{'stems': 'kazoo'}", plain, SPL_PROBLEM_INVALID,
                   "no stem \"kazoo\"");
    expect_refused(fixture, upload_song(fixture), "{'offset': 1000}", plain, SPL_PROBLEM_INVALID,
                   "before the offset");
    expect_refused(fixture, upload_song(fixture), "{}",
                   (spl_submission){.webhook_url = "http://127.0.0.1/"}, SPL_PROBLEM_INVALID, "");
    expect_refused(fixture, NULL, "{}", (spl_submission){.source_url = "https://127.0.0.1:1/a.mp3"},
                   SPL_PROBLEM_SOURCE_REFUSED, "not public");

    fixture->settings.max_duration_s = 5;
    expect_refused(fixture, upload_song(fixture), "{}", plain, SPL_PROBLEM_TOO_LONG,
                   "more than the 5");
    fixture->settings.max_duration_s = 7200;

    spl_upload *upload;
    spl_problem problem = {0};
    fixture->settings.max_file_size_bytes = 1000;
    assert_true(spl_upload_open(fixture->jobs, &alice, "a.mp3", NULL, 1001, &upload, &problem) < 0);
    assert_int_equal(problem.code, SPL_PROBLEM_TOO_LARGE);
    assert_string_equal(problem.setting, "SPLEETER_MAX_FILE_SIZE_MB");
    assert_int_equal(spl_upload_open(fixture->jobs, &alice, "a.mp3", NULL, -1, &upload, &problem),
                     0);
    assert_int_equal(spl_upload_write(upload, nonsense, 200, &problem), 0);
    assert_true(spl_upload_write(upload, (const char[801]){0}, 801, &problem) < 0);
    assert_int_equal(problem.code, SPL_PROBLEM_TOO_LARGE);
    spl_upload_free(upload);
    fixture->settings.min_free_bytes = UINT64_MAX / 2;
    restart(fixture, 0);
    assert_true(spl_upload_open(fixture->jobs, &alice, "a.mp3", NULL, 10, &upload, &problem) < 0);
    assert_int_equal(problem.code, SPL_PROBLEM_STORAGE_FULL);
}

/* What jobs have stored since an upload was opened counts too. */
static void uploads_share_the_quota_with_jobs(void **state) {
    jobs_fixture *fixture = *state;
    static const char data[1000];
    const uint64_t bytes = 1 << 20;
    spl_principal small = alice;
    small.quota.storage_bytes = bytes + (64 << 10);
    spl_upload *announced, *chunked;
    spl_problem problem = {0};
    assert_int_equal(
        spl_upload_open(fixture->jobs, &small, "a.wav", NULL, (int64_t)bytes, &announced, &problem),
        0);
    assert_int_equal(spl_upload_open(fixture->jobs, &small, "a.wav", NULL, -1, &chunked, &problem),
                     0);
    json_decref(submit_song(fixture, "{}")); /* its stems have more than 2 MiB */
    spl_upload *const uploads[] = {announced, chunked};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(uploads); i++) {
        assert_int_equal(spl_upload_write(uploads[i], data, sizeof(data), &problem), 0);
        uploads[i]->room_read_s -= 60;
        assert_true(spl_upload_write(uploads[i], data, sizeof(data), &problem) < 0);
        assert_int_equal(problem.code, SPL_PROBLEM_QUOTA);
        assert_string_equal(problem.setting, "SPLEETER_STORAGE_PER_KEY_MB");
        spl_upload_free(uploads[i]);
    }
}

static bool folder_is_empty(const char *folder, const char *name) {
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return rmdir(path) == 0 && mkdir(path, 0700) == 0;
}

static void cancels_and_deletes(void **state) {
    jobs_fixture *fixture = *state;
    spl_problem problem = {0};
    json_auto_t *running = submit_long_song(fixture, "{'mwf': true}");
    json_auto_t *queued = submit_song(fixture, "{'duration': 3}");
    json_auto_t *deleted = submit_song(fixture, "{'duration': 4}");
    assert_int_equal(spl_jobs_cancel(fixture->jobs, &alice, NULL, text_in(queued, "id"), &problem),
                     0);
    json_auto_t *canceled = wait_for_end(fixture, text_in(queued, "id"));
    expect_status(canceled, "canceled");
    json_decref(wait_while(fixture, text_in(running, "id"), "queued"));
    assert_int_equal(spl_jobs_cancel(fixture->jobs, &alice, NULL, text_in(running, "id"), &problem),
                     0);
    json_auto_t *stopped = wait_for_end(fixture, text_in(running, "id"));
    expect_status(stopped, "canceled");
    spl_job_file file;
    assert_true(open_file(fixture->jobs, alice.id, text_in(running, "id"), "vocals.wav", &file,
                          &problem) < 0);
    assert_int_equal(problem.code, SPL_PROBLEM_CONFLICT);
    assert_true(spl_jobs_cancel(fixture->jobs, &alice, NULL, text_in(running, "id"), &problem) < 0);
    assert_int_equal(problem.code, SPL_PROBLEM_CONFLICT);

    json_decref(wait_while(fixture, text_in(deleted, "id"), "queued"));
    assert_int_equal(spl_jobs_delete(fixture->jobs, &alice, NULL, text_in(deleted, "id"), &problem),
                     0);
    json_t *gone;
    assert_true(
        spl_jobs_get(fixture->jobs, alice.id, text_in(deleted, "id"), &gone, NULL, &problem) < 0);
    restart(fixture, 60); /* returns when the job's worker has ended */
    assert_true(folder_is_empty(fixture->folder, "blobs"));
    assert_true(folder_is_empty(fixture->folder, "incoming"));
}

static void plays_while_it_grows(void **state) {
    jobs_fixture *fixture = *state;
    fixture->settings.threads = 1;
    json_auto_t *created = submit_song(fixture, "{}");
    const double deadline_s = spl_now_s() + WAIT_S;
    spl_job_file file = {0};
    spl_problem problem;
    while (file.blob.bytes == 0 && spl_now_s() < deadline_s) {
        if (open_file(fixture->jobs, alice.id, text_in(created, "id"), "vocals.wav", &file,
                      &problem) < 0)
            assert_int_equal(problem.code, SPL_PROBLEM_CONFLICT);
        else if (file.blob.bytes == 0)
            close(file.blob.fd);
        usleep(1000);
    }
    assert_false(file.blob.complete);
    assert_string_equal(file.sha256, "");
    SPL_CLEANUP(spl_close_p) int fd = file.blob.fd;
    uint8_t header[8];
    assert_int_equal(pread(fd, header, sizeof(header), 0), sizeof(header));
    assert_memory_equal(header, "RIFF\xff\xff\xff\xff", sizeof(header));

    json_auto_t *job = wait_for_end(fixture, text_in(created, "id"));
    expect_status(job, "succeeded");
    size_t size, followed_size;
    SPL_CLEANUP(spl_free_p)
    char *bytes = read_output(fixture, text_in(job, "id"), "vocals.wav", &size);
    SPL_CLEANUP(spl_free_p) char *followed = read_all(fd, &followed_size);
    assert_int_equal(followed_size, size);
    assert_memory_equal(followed, bytes, size);
}

static void gives_back_and_resumes(void **state) {
    jobs_fixture *fixture = *state;
    json_auto_t *created = submit_long_song(fixture, "{}");
    json_decref(wait_while(fixture, text_in(created, "id"), "queued"));
    restart(fixture, 0);
    json_auto_t *job = wait_for_end(fixture, text_in(created, "id"));
    expect_status(job, "succeeded");
    assert_int_equal(json_integer_value(json_object_get(job, "attempts")), 1);
}

static void gives_up_after_the_attempts(void **state) {
    jobs_fixture *fixture = *state;
    fixture->settings.attempts = 2;
    json_auto_t *created = submit_song(fixture, "{'duration': 1}");
    setenv("SPLEETER_CODEC", "/bin/false", 1);
    json_auto_t *job = wait_for_end(fixture, text_in(created, "id"));
    setenv("SPLEETER_CODEC", SPL_TEST_CODEC, 1);
    expect_status(job, "failed");
    assert_int_equal(json_integer_value(json_object_get(job, "attempts")), 2);
    assert_string_equal(text_in(json_object_get(job, "error"), "code"), "codec-failed");
    restart(fixture, 60);
    assert_true(folder_is_empty(fixture->folder, "blobs"));
}

/* Sets a helper that fails with the status at once. */
static void forge_helper(const jobs_fixture *fixture, spl_status status) {
    const spl_error failure = {.status = status, .message = "so it says"};
    const spl_record_header header = {.type = SPL_RECORD_FAILURE, .size_bytes = sizeof(failure)};
    char record[128], script[128];
    snprintf(record, sizeof(record), "%s/record", fixture->folder);
    snprintf(script, sizeof(script), "%s/helper", fixture->folder);
    FILE *file = fopen(record, "w");
    assert_non_null(file);
    fwrite(&header, sizeof(header), 1, file);
    fwrite(&failure, sizeof(failure), 1, file);
    assert_int_equal(fclose(file), 0);
    assert_non_null(file = fopen(script, "w"));
    fprintf(file, "#!/bin/sh\n/bin/cat %s >&3\nexec /bin/sleep 100\n", record);
    assert_int_equal(fchmod(fileno(file), 0755), 0);
    assert_int_equal(fclose(file), 0);
    setenv("SPLEETER_CODEC", script, 1);
}

/* A file that has compromised the helper cannot claim an outage, which would cost no attempt. */
static void a_helper_cannot_claim_an_outage(void **state) {
    jobs_fixture *fixture = *state;
    static const struct {
        spl_status status;
        const char *code;
    } cases[] = {
        {SPL_E_EXHAUSTED, "codec-failed"},
        {SPL_E_IO, "internal"},
    };
    fixture->settings.attempts = 2;
    fixture->shared = true;
    assert_int_equal(chmod(fixture->folder, 0755), 0); /* the helper may be another user */
    for (size_t i = 0; i < SPL_ARRAY_SIZE(cases); i++) {
        fixture->settings.workers = 0;
        restart(fixture, 60);
        json_auto_t *created = submit_song(fixture, i ? "{'duration': 1}" : "{'duration': 2}");
        forge_helper(fixture, cases[i].status);
        fixture->settings.workers = 1;
        restart(fixture, 60);
        json_auto_t *job = wait_for_end(fixture, text_in(created, "id"));
        setenv("SPLEETER_CODEC", SPL_TEST_CODEC, 1);
        expect_status(job, "failed");
        assert_int_equal(json_integer_value(json_object_get(job, "attempts")), 2);
        assert_string_equal(text_in(json_object_get(job, "error"), "code"), cases[i].code);
    }
}

/* Limits this process to `more` descriptors than are open now. Returns the usual limit. */
static struct rlimit leave_descriptors(rlim_t more) {
    struct rlimit usual;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
    const rlim_t open_now = usual.rlim_cur - (rlim_t)spl_descriptors_left();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &(struct rlimit){open_now + more, usual.rlim_max}),
                     0);
    return usual;
}

static void waits_for_descriptors(void **state) {
    jobs_fixture *fixture = *state;
    spl_problem problem = {0};
    fixture->settings.attempts = 1;
    char options[5000] = "{'duration': 1, 'mixes': {'m': ['vocals']";
    for (int i = 0; i < 60; i++) {
        const size_t length = strlen(options);
        snprintf(options + length, sizeof(options) - length, ", 'm%d': ['vocals', 'accompaniment']",
                 i);
    }
    snprintf(options + strlen(options), 3, "}}");

    /* Enough to claim the job, but not for its outputs. */
    json_auto_t *blocker = submit_long_song(fixture, "{}");
    json_decref(wait_while(fixture, text_in(blocker, "id"), "queued"));
    json_auto_t *created = submit_song(fixture, options);
    const struct rlimit usual = leave_descriptors(90);
    assert_int_equal(spl_jobs_ready(fixture->jobs, &problem), 0);
    assert_int_equal(spl_jobs_cancel(fixture->jobs, &alice, "", text_in(blocker, "id"), &problem),
                     0);
    json_decref(wait_while(fixture, text_in(created, "id"), "queued"));
    json_auto_t *given_back = wait_while(fixture, text_in(created, "id"), "running");
    expect_status(given_back, "queued");
    assert_int_equal(json_integer_value(json_object_get(given_back, "attempts")), 0);

    /* Not enough to claim it. */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
    leave_descriptors(20);
    assert_true(spl_jobs_ready(fixture->jobs, &problem) < 0);
    assert_int_equal(problem.code, SPL_PROBLEM_UNAVAILABLE);
    assert_non_null(strstr(problem.detail, "LimitNOFILE"));

    assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
    json_auto_t *job = wait_for_end(fixture, text_in(created, "id"));
    expect_status(job, "succeeded");
    assert_int_equal(json_integer_value(json_object_get(job, "attempts")), 1);
}

static void stops_at_the_timeout(void **state) {
    jobs_fixture *fixture = *state;
    fixture->settings.job_timeout_s = 0;
    json_auto_t *created = submit_song(fixture, "{'duration': 8}");
    json_auto_t *job = wait_for_end(fixture, text_in(created, "id"));
    expect_status(job, "failed");
    assert_string_equal(text_in(json_object_get(job, "error"), "code"), "job-timeout");
}

static const spl_blobs_functions *real_blobs;
static jobs_fixture *late_fixture;
static unsigned commits;

/* Commits an output; the job's time is over then. */
static int commit_late(spl_blobs *blobs, spl_blob_writer *writer, const char *job, const char *name,
                       const spl_blob_wait *wait, spl_error *ret_error) {
    const int status = real_blobs->commit(blobs, writer, job, name, wait, ret_error);
    if (strcmp(name, SPL_INPUT_BLOB) != 0) {
        commits++;
        late_fixture->settings.job_timeout_s = 0;
    }
    return status;
}

static void stops_while_it_commits(void **state) {
    jobs_fixture *fixture = late_fixture = *state;
    real_blobs = fixture->blobs->functions;
    spl_blobs_functions late = *real_blobs;
    late.commit = commit_late;
    commits = 0;
    fixture->blobs->functions = &late;
    json_auto_t *created = submit_song(fixture, "{'duration': 1}");
    json_auto_t *job = wait_for_end(fixture, text_in(created, "id"));
    restart(fixture, 60);
    expect_status(job, "failed");
    assert_string_equal(text_in(json_object_get(job, "error"), "code"), "job-timeout");
    assert_int_equal(commits, 1);
    assert_true(folder_is_empty(fixture->folder, "blobs"));
}

static int stop_digest(void *user) {
    return ++*(int *)user == 3;
}

static void a_digest_of_a_file_stops(void **state) {
    (void)state;
    int asked = 0;
    char hex[65], whole[65];
    spl_error error;
    SPL_CLEANUP(spl_close_p) int fd = memfd_create("file", MFD_CLOEXEC);
    assert_int_equal(ftruncate(fd, 8 << 20), 0);
    assert_int_equal(pwrite(fd, "abc", 3, 5), 3);
    spl_digest_source source = {
        .fd = fd, .name = "vocals.wav", .bytes = 8 << 20, .canceled = stop_digest, .user = &asked};
    assert_int_equal(spl_digest_file(&source, hex, &error), SPL_E_CANCELED);
    assert_string_equal(error.message, "reading vocals.wav was canceled");
    assert_int_equal(asked, 3);
    source.bytes++;
    assert_int_equal(spl_digest_file(&source, hex, &error), SPL_E_IO);
    source = (spl_digest_source){.fd = fd, .name = "part", .start = 5, .bytes = 3};
    assert_int_equal(spl_digest_file(&source, hex, &error), 0);
    assert_int_equal(spl_sha256_hex("abc", 3, whole, &error), 0);
    assert_string_equal(hex, whole);
}

static void expires(void **state) {
    jobs_fixture *fixture = *state;
    spl_problem problem = {0};
    fixture->settings.retention_s = 1;
    json_auto_t *created = submit_song(fixture, "{'duration': 1}");
    json_decref(wait_for_end(fixture, text_in(created, "id")));
    json_auto_t *job = wait_while(fixture, text_in(created, "id"), "succeeded");
    expect_status(job, "expired");
    spl_job_file file;
    assert_true(open_file(fixture->jobs, alice.id, text_in(created, "id"), "vocals.wav", &file,
                          &problem) < 0);
    assert_int_equal(problem.code, SPL_PROBLEM_GONE);
    restart(fixture, 60);
    assert_true(folder_is_empty(fixture->folder, "blobs"));
}

static void make_file(const jobs_fixture *fixture, const char *name) {
    char path[200];
    snprintf(path, sizeof(path), "%s/%s", fixture->folder, name);
    SPL_CLEANUP(spl_close_p) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
}

static void make_dir(const jobs_fixture *fixture, const char *name) {
    char path[200];
    snprintf(path, sizeof(path), "%s/%s", fixture->folder, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static bool exists(const jobs_fixture *fixture, const char *name) {
    char path[200];
    struct stat status;
    snprintf(path, sizeof(path), "%s/%s", fixture->folder, name);
    return lstat(path, &status) == 0;
}

#define UNKNOWN "0190d5a0-0000-7000-8000-000000000001"
#define ASIDE   "blobs/quarantine/" UNKNOWN

/* Files of unknown jobs are quarantined for a week. Other folders and files are left alone, except
 * temporary files. */
static void deletes_only_its_own_files(void **state) {
    jobs_fixture *fixture = *state;
    make_dir(fixture, "blobs/" UNKNOWN);
    make_file(fixture, "blobs/" UNKNOWN "/input");
    make_dir(fixture, "blobs/lost+found");
    make_dir(fixture, "blobs/notes");
    static const char *const foreign[] = {"blobs/notes/input", "blobs/notes/song.part",
                                          "blobs/read.me",     "incoming/read.me",
                                          "incoming/12.txt",   "blobs/notes/.5.part"};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(foreign); i++)
        make_file(fixture, foreign[i]);
    make_file(fixture, "incoming/12");
    make_file(fixture, "blobs/notes/vocals.wav.5.part");
    char path[200];
    snprintf(path, sizeof(path), "%s/blobs/0190d5a0-0000-7000-8000-000000000002", fixture->folder);
    assert_int_equal(symlink(fixture->folder, path), 0);
    restart(fixture, 0);
    assert_true(exists(fixture, ASIDE "/input"));
    assert_false(exists(fixture, "blobs/" UNKNOWN));
    for (size_t i = 0; i < SPL_ARRAY_SIZE(foreign); i++)
        assert_true(exists(fixture, foreign[i]));
    assert_true(exists(fixture, "blobs/lost+found"));
    assert_false(exists(fixture, "incoming/12"));
    assert_false(exists(fixture, "blobs/notes/vocals.wav.5.part"));
    assert_true(exists(fixture, "jobs.db")); /* not removed through the link */

    const time_t week_s = 7 * 24 * 3600, margin_s = 600;
    struct timespec times[2] = {{.tv_sec = time(NULL) - week_s + margin_s}};
    times[1] = times[0];
    snprintf(path, sizeof(path), "%s/" ASIDE, fixture->folder);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    restart(fixture, 0);
    assert_true(exists(fixture, ASIDE "/input"));
    times[0].tv_sec = times[1].tv_sec -= 2 * margin_s;
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    restart(fixture, 0);
    assert_false(exists(fixture, ASIDE));
}

/* A process that crashes while it sends does not send again and again. */
static void attempts_that_end_with_the_process_count(void **state) {
    jobs_fixture *fixture = *state;
    http_fixture receiver;
    char url[64];
    free(fixture->settings.webhook_allow);
    fixture->settings.webhook_allow = strdup("127.0.0.0/8");
    fixture->settings.webhook_attempts = 1;
    http_fixture_start(&receiver, false);
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/slow", receiver.port);
    json_t *job;
    spl_problem problem = {0};
    if (submit(fixture, upload_song(fixture), "{'duration': 1}",
               (spl_submission){.webhook_url = url}, &job, &problem) < 0)
        fail_msg("%s", problem.detail);
    json_decref(job);
    for (double end_s = spl_now_s() + WAIT_S; receiver.requests == 0 && spl_now_s() < end_s;)
        usleep(1000);
    close_fixture(fixture, 0);

    /* The lease expires. */
    spl_delivery delivery;
    int64_t next_ms;
    assert_int_equal(spl_store_open_sqlite(fixture->folder, &fixture->store, NULL), 0);
    const spl_store_functions *store = fixture->store->functions;
    assert_int_equal(
        store->delivery_claim(fixture->store, INT64_MAX / 2, 0, "", "", &delivery, &next_ms, NULL),
        0);
    assert_int_equal(delivery.attempts, 2);
    assert_int_equal(store->delivery_retry(fixture->store, delivery.id, 0, false, NULL), 0);
    spl_delivery_free(&delivery);
    store->close(fixture->store);

    open_fixture(fixture);
    spl_store_stats stats = {.deliveries = 1};
    for (double end_s = spl_now_s() + WAIT_S; stats.deliveries > 0 && spl_now_s() < end_s;)
        assert_int_equal(fixture->store->functions->stats(fixture->store, &stats, NULL), 0);
    assert_int_equal(stats.deliveries, 0);
    assert_int_equal(receiver.requests, 1);
    http_fixture_stop(&receiver);
}

static void sends_webhooks(void **state) {
    jobs_fixture *fixture = *state;
    http_fixture receiver;
    http_fixture_start(&receiver, false);
    free(fixture->settings.webhook_allow);
    fixture->settings.webhook_allow = strdup("127.0.0.0/8");
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/hook", receiver.port);
    json_t *answer;
    spl_problem problem = {0};
    if (submit(fixture, upload_song(fixture), "{'duration': 1}",
               (spl_submission){.webhook_url = url}, &answer, &problem) < 0)
        fail_msg("%s", problem.detail);
    json_auto_t *created = answer;
    json_decref(wait_for_end(fixture, text_in(created, "id")));
    const double deadline_s = spl_now_s() + WAIT_S;
    while (atomic_load(&receiver.requests) == 0 && spl_now_s() < deadline_s)
        usleep(10000);
    assert_string_equal(receiver.method, "POST");
    assert_string_equal(receiver.path, "/hook");
    assert_true(receiver.received_size > 0);

    if (submit(fixture, upload_song(fixture), "{'duration': 1}",
               (spl_submission){.webhook_url = url}, &answer, &problem) < 0)
        fail_msg("%s", problem.detail);
    expect_status(answer, "succeeded"); /* at once, and a webhook is sent for it too */
    json_decref(answer);
    spl_store_stats stats = {.deliveries = 1};
    while (stats.deliveries > 0 && spl_now_s() < deadline_s) {
        usleep(10000);
        assert_int_equal(fixture->store->functions->stats(fixture->store, &stats, NULL), 0);
    }
    restart(fixture, 60);
    assert_int_equal(atomic_load(&receiver.requests), 2);
    assert_int_equal(fixture->store->functions->stats(fixture->store, &stats, NULL), 0);
    assert_int_equal(stats.deliveries, 0);
    http_fixture_stop(&receiver);
}

int main(void) {
    spl_error error;
    if (spl_outbound_start(&error) < 0 || spl_log_open(NULL, 0, SPL_LOG_ERROR, &error) < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(makes_the_bytes_of_the_command, set_up, tear_down),
        cmocka_unit_test_setup_teardown(describes_a_whole_job, set_up, tear_down),
        cmocka_unit_test_setup_teardown(replays_and_reuses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_what_can_not_be_separated, set_up, tear_down),
        cmocka_unit_test_setup_teardown(uploads_share_the_quota_with_jobs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cancels_and_deletes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_helper_cannot_claim_an_outage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(plays_while_it_grows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(gives_back_and_resumes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(gives_up_after_the_attempts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(waits_for_descriptors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stops_at_the_timeout, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stops_while_it_commits, set_up, tear_down),
        cmocka_unit_test(a_digest_of_a_file_stops),
        cmocka_unit_test_setup_teardown(expires, set_up, tear_down),
        cmocka_unit_test_setup_teardown(deletes_only_its_own_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sends_webhooks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(attempts_that_end_with_the_process_count, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * The contract of blobs, checked on every implementation. `openers` lists the implementations; each
 * test runs on each of them, in a new folder, or in the bucket "spleeterd" of the S3 server that
 * SPL_TEST_S3 names, which is emptied.
 */
#include "folder.h"
#include "service/blobs/blobs.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <curl/curl.h>

typedef int (*opener)(const char *folder, spl_blobs **ret_blobs, spl_error *ret_error);

static spl_blobs_s3 s3_options = {.public_endpoint = "http://public.example:9000",
                                  .bucket = "spleeterd",
                                  .region = "us-east-1",
                                  .access_key_id = "test-access-key",
                                  .secret_access_key = "test-secret-key-0123456789",
                                  .cache_bytes = 1 << 20};

static int open_s3(const char *folder, spl_blobs **ret_blobs, spl_error *ret_error) {
    s3_options.data_dir = folder;
    s3_options.endpoint = getenv("SPL_TEST_S3");
    return spl_blobs_open_s3(&s3_options, ret_blobs, ret_error);
}
static const struct {
    const char *name;
    opener open;
} openers[] = {{"directory", spl_blobs_open_directory}, {"S3", open_s3}};
static opener open_blobs;
static bool in_directory; /* growing outputs are visible, and files can be counted */

static char folder[256];
static spl_blobs *blobs;
static spl_error error;

#define CALL(function, ...) blobs->functions->function(blobs, __VA_ARGS__)
#define OK(function, ...)   assert_success(CALL(function, __VA_ARGS__, &error), #function)
#define FAILS(status, function, ...)                                                               \
    assert_int_equal(CALL(function, __VA_ARGS__, &error), SPL_E_##status)

static void assert_success(int status, const char *function) {
    if (status < 0)
        fail_msg("%s: %d: %s", function, status, error.message);
}

static void reopen(void) {
    blobs->functions->close(blobs);
    assert_success(open_blobs(folder, &blobs, &error), "open");
}

static int remove_one(void *user, const char *job) {
    (void)user;
    return blobs->functions->remove_job(blobs, job, NULL, &error);
}

static int set_up(void **state) {
    (void)state;
    folder_make(folder, sizeof(folder));
    int status = open_blobs(folder, &blobs, &error);
    return status < 0 ? status : blobs->functions->list_jobs(blobs, remove_one, NULL, &error);
}

static int tear_down(void **state) {
    (void)state;
    blobs->functions->close(blobs);
    folder_remove(folder);
    return 0;
}

static void put(const spl_blob_writer *writer, const char *text) {
    assert_int_equal(write(writer->fd, text, strlen(text)), strlen(text));
}

static void make_blob(const char *job, const char *name, const char *text) {
    spl_blob_writer writer;
    OK(upload, &writer);
    put(&writer, text);
    OK(commit, &writer, job, name, NULL);
}

static void assert_content(const spl_blob *blob, const char *text, bool complete) {
    char content[128] = "";
    assert_int_equal(blob->bytes, strlen(text));
    assert_int_equal(pread(blob->fd, content, sizeof(content) - 1, 0), strlen(text));
    assert_string_equal(content, text);
    assert_int_equal(blob->complete, complete);
}

static void assert_blob(const char *job, const char *name, const char *text) {
    spl_blob blob;
    OK(open, job, name, NULL, 0, NULL, &blob);
    assert_content(&blob, text, true);
    close(blob.fd);
}

static void assert_missing(const char *job, const char *name, int64_t fence) {
    spl_blob blob;
    if (!in_directory && fence > 0) { /* another machine might be writing it */
        OK(open, job, name, NULL, fence, NULL, &blob);
        assert_content(&blob, "", false);
        close(blob.fd);
        return;
    }
    FAILS(NOT_FOUND, open, job, name, NULL, fence, NULL, &blob);
}

/* Checks the number of files, where blobs are files. */
static void assert_files(unsigned count) {
    if (in_directory)
        assert_int_equal(folder_count(folder, ""), count);
}

/* Collects the jobs, whose names are letters, as "abc"; stops after `most`. */
typedef struct visited {
    char jobs[32];
    size_t count, most;
} visited;

static int visit(void *user, const char *job) {
    visited *own = user;
    own->jobs[own->count++] = job[0];
    return own->count == own->most ? 7 : 0;
}

static int compare(const void *a, const void *b) {
    return *(const char *)a - *(const char *)b;
}

static void assert_jobs(const char *jobs) {
    visited all = {.most = 30};
    OK(list_jobs, visit, &all);
    qsort(all.jobs, all.count, 1, compare);
    assert_string_equal(all.jobs, jobs);
}

static void uploads(void **state) {
    (void)state;
    spl_blob_writer first, second;
    OK(upload, &first);
    OK(upload, &second);
    put(&first, "one");
    put(&second, "two");
    assert_jobs("");
    OK(commit, &second, "b", "input", NULL);
    assert_missing("a", "input", 1);
    OK(commit, &first, "a", "input", NULL);
    assert_int_equal(first.fd, -1);
    assert_blob("a", "input", "one");
    assert_blob("b", "input", "two");
    assert_jobs("ab");
    reopen();
    assert_blob("a", "input", "one");
    make_blob("a", "input", "three"); /* replaces the blob */
    assert_blob("a", "input", "three");
}

static void a_writer_can_go_back(void **state) {
    (void)state;
    spl_blob_writer writer;
    OK(upload, &writer);
    put(&writer, "size: ?");
    assert_int_equal(pwrite(writer.fd, "7", 1, 6), 1);
    char back[8] = "";
    assert_int_equal(pread(writer.fd, back, 7, 0), 7);
    assert_string_equal(back, "size: 7");
    OK(commit, &writer, "a", "vocals.wav", NULL);
    assert_blob("a", "vocals.wav", "size: 7");
}

static void outputs_can_be_read_while_they_grow(void **state) {
    (void)state;
    if (!in_directory)
        skip();
    spl_blob_writer writer;
    OK(output, "a", "vocals.wav", 3, &writer);
    put(&writer, "abc");
    assert_missing("a", "vocals.wav", 0);
    assert_missing("a", "vocals.wav", 2);
    spl_blob early, late;
    OK(open, "a", "vocals.wav", NULL, 3, NULL, &early);
    assert_content(&early, "abc", false);
    put(&writer, "def");
    OK(open, "a", "vocals.wav", NULL, 3, NULL, &late);
    assert_content(&late, "abcdef", false);
    OK(commit, &writer, "a", "vocals.wav", NULL);
    early.bytes = 6; /* a descriptor opened earlier stays readable */
    assert_content(&early, "abcdef", false);
    close(early.fd);
    close(late.fd);
    OK(open, "a", "vocals.wav", NULL, 3, NULL, &late);
    assert_content(&late, "abcdef", true);
    close(late.fd);
    assert_blob("a", "vocals.wav", "abcdef");
}

static void fences_keep_workers_apart(void **state) {
    (void)state;
    spl_blob_writer stale, fresh;
    OK(output, "a", "vocals.wav", 1, &stale);
    OK(output, "a", "vocals.wav", 2, &fresh);
    put(&stale, "old");
    put(&fresh, "new");
    spl_blob blob;
    OK(open, "a", "vocals.wav", NULL, 2, NULL, &blob);
    assert_content(&blob, in_directory ? "new" : "", false);
    close(blob.fd);
    OK(commit, &fresh, "a", "vocals.wav", NULL);
    blobs->functions->discard(blobs, &stale);
    assert_blob("a", "vocals.wav", "new");
}

static void discarding_leaves_nothing(void **state) {
    (void)state;
    spl_blob_writer writer = {.fd = -1};
    blobs->functions->discard(blobs, &writer);
    OK(upload, &writer);
    put(&writer, "x");
    blobs->functions->discard(blobs, &writer);
    assert_int_equal(writer.fd, -1);
    blobs->functions->discard(blobs, &writer);
    OK(output, "a", "vocals.wav", 1, &writer);
    blobs->functions->discard(blobs, &writer);
    assert_missing("a", "vocals.wav", 1);
    assert_jobs("");
    assert_files(0);
    OK(upload, &writer);
    OK(commit, &writer, "a", "input", NULL);
    blobs->functions->discard(blobs, &writer);
    assert_blob("a", "input", "");
}

static void names_are_checked(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "",
        ".",
        "..",
        "../a",
        "a/b",
        "/a",
        ".a",
        "a b",
        "a\n",
        "a\\b",
        "ä",
        "a%2f",
        "a.part",
        "b.1.part",
        "a*",
        "~",
        "a:b",
        "a\x7f",
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")};
    static const char *const right[] = {
        "a",
        "0",
        "A-b_c.d",
        "vocals.wav",
        "part",
        "-",
        "a..b",
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")};
    spl_blob blob;
    spl_blob_writer writer;
    make_blob("a", "input", "x");
    for (size_t i = 0; i < SPL_ARRAY_SIZE(wrong); i++) {
        FAILS(ARGUMENT, open, "a", wrong[i], NULL, 0, NULL, &blob);
        FAILS(ARGUMENT, open, wrong[i], "input", NULL, 0, NULL, &blob);
        FAILS(ARGUMENT, output, "a", wrong[i], 1, &writer);
        FAILS(ARGUMENT, output, wrong[i], "a", 1, &writer);
        FAILS(ARGUMENT, remove, "a", wrong[i], NULL);
        FAILS(ARGUMENT, remove_job, wrong[i], NULL);
        FAILS(ARGUMENT, copy, "a", wrong[i], "input", NULL, NULL);
        FAILS(ARGUMENT, copy, wrong[i], "b", "input", NULL, NULL);
        OK(upload, &writer);
        FAILS(ARGUMENT, commit, &writer, "a", wrong[i], NULL);
        assert_int_equal(writer.fd, -1);
    }
    assert_files(1);
    for (size_t i = 0; i < SPL_ARRAY_SIZE(right); i++) {
        make_blob(right[i], right[i], right[i]);
        assert_blob(right[i], right[i], right[i]);
        OK(output, right[i], "grows", INT64_MAX, &writer);
        blobs->functions->discard(blobs, &writer);
    }
}

static void copies(void **state) {
    (void)state;
    make_blob("a", "vocals.wav", "la la");
    OK(copy, "a", "b", "vocals.wav", NULL, NULL);
    OK(copy, "a", "c", "vocals.wav", NULL, NULL);
    OK(remove_job, "a", NULL);
    assert_blob("b", "vocals.wav", "la la");
    make_blob("b", "vocals.wav", "other");
    assert_blob("c", "vocals.wav", "la la");
    FAILS(NOT_FOUND, copy, "a", "d", "vocals.wav", NULL, NULL);
    FAILS(NOT_FOUND, copy, "b", "d", "bass.wav", NULL, NULL);
    assert_jobs("bc");
}

static void removing(void **state) {
    (void)state;
    make_blob("a", "input", "1");
    make_blob("a", "vocals.wav", "2");
    make_blob("b", "input", "3");
    OK(remove, "a", "input", NULL);
    OK(remove, "a", "input", NULL);
    OK(remove, "z", "input", NULL);
    OK(remove_job, "z", NULL);
    assert_missing("a", "input", 0);
    assert_blob("a", "vocals.wav", "2");
    spl_blob_writer writer;
    OK(output, "a", "bass.wav", 1, &writer);
    spl_blob blob;
    OK(open, "a", "vocals.wav", NULL, 0, NULL, &blob);
    OK(remove_job, "a", NULL);
    assert_content(&blob, "2", true); /* an open descriptor stays readable */
    close(blob.fd);
    if (in_directory)
        /* The writer's folder is gone. */
        FAILS(NOT_FOUND, commit, &writer, "a", "bass.wav", NULL);
    else
        blobs->functions->discard(blobs, &writer);
    assert_jobs("b");
    assert_files(1);
}

static void listing_stops(void **state) {
    (void)state;
    make_blob("a", "input", "1");
    make_blob("b", "input", "2");
    visited one = {.most = 1};
    assert_int_equal(CALL(list_jobs, visit, &one, &error), 7);
    assert_int_equal(one.count, 1);
}

/* Unfinished files of a dead process are removed. */
static void unfinished_work_is_cleaned_up(void **state) {
    (void)state;
    make_blob("a", "input", "1");
    spl_blob_writer writers[3];
    OK(upload, &writers[0]);
    OK(output, "a", "vocals.wav", 1, &writers[1]);
    OK(output, "b", "vocals.wav", 1, &writers[2]);
    for (int i = 0; i < 3; i++)
        put(&writers[i], "unfinished");
    reopen();
    assert_missing("a", "vocals.wav", 1);
    assert_jobs("a");
    assert_blob("a", "input", "1");
    assert_files(1);
    for (int i = 0; i < 3; i++)
        blobs->functions->discard(blobs, &writers[i]);
    assert_blob("a", "input", "1");
}

/* Files that the implementations did not name stay. */
static void foreign_files_stay(void **state) {
    (void)state;
    static const char *const foreign[] = {"incoming/read.me", "incoming/12a",   "cache/read.me",
                                          "cache/read.me~",   "cache/~read.me", "cache/a~b c"};
    static const char *const own[] = {"cache/a~input", "cache/a~vocals.wav.new"};
    char path[300], other[300];
    for (size_t i = 0; i < SPL_ARRAY_SIZE(foreign) + SPL_ARRAY_SIZE(own); i++) {
        const size_t count = SPL_ARRAY_SIZE(foreign);
        snprintf(path, sizeof(path), "%s/%s", folder, i < count ? foreign[i] : own[i - count]);
        FILE *file = fopen(path, "w");
        if (file)
            fclose(file);
        else
            assert_true(in_directory); /* a directory has no cache */
    }
    blobs->functions->close(blobs);
    assert_success(open_blobs(folder, &blobs, &error), "open");
    const unsigned count = in_directory ? 2 : SPL_ARRAY_SIZE(foreign);
    snprintf(path, sizeof(path), "%s/incoming", folder);
    snprintf(other, sizeof(other), "%s/cache", folder);
    assert_int_equal(folder_count(path, "") + (in_directory ? 0 : folder_count(other, "")), count);
}

static void the_storage_is_usable(void **state) {
    (void)state;
    OK(check, NULL);
}

static atomic_uint wrong;

static void *write_and_remove(void *user) {
    const unsigned number = (unsigned)(uintptr_t)user;
    for (int i = 0; i < (in_directory ? 200 : 20); i++) {
        char name[16];
        spl_blob_writer writer;
        snprintf(name, sizeof(name), "%u.wav", number);
        wrong += blobs->functions->output(blobs, "job", name, i + 1, &writer, NULL) != 0;
        if (i % 3 == 0) {
            blobs->functions->discard(blobs, &writer);
        } else {
            int status = blobs->functions->commit(blobs, &writer, "job", name, NULL, NULL);
            wrong += status != 0 && status != SPL_E_NOT_FOUND;
        }
        wrong += blobs->functions->upload(blobs, &writer, NULL) != 0;
        wrong += blobs->functions->commit(blobs, &writer, "job", name, NULL, NULL) != 0;
        if (i % 5 == 0)
            wrong += blobs->functions->remove_job(blobs, "job", NULL, NULL) != 0;
    }
    return NULL;
}

/* Folders appear and disappear while other threads write. */
static void many_at_once(void **state) {
    (void)state;
    enum { THREADS = 6 };
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, write_and_remove, (void *)(uintptr_t)i);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&wrong), 0);
    OK(remove_job, "job", NULL);
    assert_files(0);
}

/* A blob larger than a part, and larger than the cache. */
static void large_blobs(void **state) {
    (void)state;
    enum { BYTES = 70 << 20 };
    spl_blob_writer writer;
    OK(upload, &writer);
    uint32_t *piece = malloc(1 << 20);
    assert_non_null(piece);
    for (uint32_t i = 0; i < BYTES >> 20; i++) {
        for (uint32_t k = 0; k < 1 << 18; k++)
            piece[k] = (i << 18 | k) * 2654435761u;
        assert_int_equal(write(writer.fd, piece, 1 << 20), 1 << 20);
    }
    OK(commit, &writer, "a", "input", NULL);
    spl_blob first, second;
    OK(open, "a", "input", NULL, 0, NULL, &first);
    OK(open, "a", "input", NULL, 0, NULL, &second);
    assert_int_equal(first.bytes, BYTES);
    uint32_t last;
    for (uint32_t i = 0; i < BYTES / 4; i += 100003) {
        assert_int_equal(pread(second.fd, &last, 4, (off_t)i * 4), 4);
        assert_int_equal(last, i * 2654435761u);
    }
    close(first.fd);
    close(second.fd);
    free(piece);
}

/* Everybody who has the URL gets the blob, under the given file name. A modified URL is refused. */
static void links(void **state) {
    (void)state;
    make_blob("a", "vocals.wav", "la la");
    char *url;
    s3_options.public_endpoint = s3_options.endpoint;
    reopen();
    OK(link, "a", "vocals.wav", "audio/wav", "attachment; filename=\"Song - vocals.wav\"", &url);
    s3_options.public_endpoint = "";
    if (in_directory) {
        assert_null(url);
        return;
    }
    CURL *curl = curl_easy_init();
    char text[2000];
    for (int changed = 0; changed < 2; changed++) {
        FILE *file = tmpfile();
        long status = 0;
        char *type = NULL;
        struct curl_header *disposition;
        curl_easy_setopt(curl, CURLOPT_URL, url);
        curl_easy_setopt(curl, CURLOPT_WRITEDATA, file);
        assert_int_equal(curl_easy_perform(curl), CURLE_OK);
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
        assert_int_equal(status, changed ? 403 : 200);
        rewind(file);
        assert_non_null(fgets(text, sizeof(text), file));
        fclose(file);
        if (!changed) {
            curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type);
            assert_string_equal(text, "la la");
            assert_string_equal(type, "audio/wav");
            assert_int_equal(
                curl_easy_header(curl, "Content-Disposition", 0, CURLH_HEADER, -1, &disposition),
                CURLHE_OK);
            assert_string_equal(disposition->value, "attachment; filename=\"Song - vocals.wav\"");
        }
        memcpy(strstr(url, "vocals"), "v0cals", 6);
    }
    curl_easy_cleanup(curl);
    free(url);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(uploads),
        TEST(a_writer_can_go_back),
        TEST(outputs_can_be_read_while_they_grow),
        TEST(fences_keep_workers_apart),
        TEST(discarding_leaves_nothing),
        TEST(names_are_checked),
        TEST(copies),
        TEST(removing),
        TEST(listing_stops),
        TEST(unfinished_work_is_cleaned_up),
        TEST(foreign_files_stay),
        TEST(the_storage_is_usable),
        TEST(many_at_once),
        TEST(large_blobs),
        TEST(links),
    };
    int failed = 0;
    for (size_t i = 0; i < SPL_ARRAY_SIZE(openers); i++) {
        open_blobs = openers[i].open;
        in_directory = open_blobs == spl_blobs_open_directory;
        if (!in_directory && !getenv("SPL_TEST_S3"))
            continue;
        failed += cmocka_run_group_tests_name(openers[i].name, tests, NULL, NULL);
    }
    return failed;
}

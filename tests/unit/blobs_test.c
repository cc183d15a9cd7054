/* SPDX-License-Identifier: MIT
 *
 * What every implementation of blobs must keep. `openers` lists the implementations; each test runs on each of them, in a fresh folder.
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

typedef int (*opener)(const char *folder, spl_blobs **ret_blobs, spl_error *ret_error);
static const struct {
    const char *name;
    opener open;
} openers[] = {{"directory", spl_blobs_open_directory}};
static opener open_blobs;

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

static int set_up(void **state) {
    (void)state;
    folder_make(folder, sizeof(folder));
    return open_blobs(folder, &blobs, &error);
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
    OK(commit, &writer, job, name);
}

static void assert_content(const spl_blob *blob, const char *text, bool complete) {
    char content[100] = "";
    assert_int_equal(blob->bytes, strlen(text));
    assert_int_equal(pread(blob->fd, content, sizeof(content) - 1, 0), strlen(text));
    assert_string_equal(content, text);
    assert_int_equal(blob->complete, complete);
}

static void assert_blob(const char *job, const char *name, const char *text) {
    spl_blob blob;
    OK(open, job, name, 0, &blob);
    assert_content(&blob, text, true);
    close(blob.fd);
}

static void assert_missing(const char *job, const char *name, int64_t fence) {
    spl_blob blob;
    FAILS(NOT_FOUND, open, job, name, fence, &blob);
}

/* Collects the jobs as "abc" (their names are letters); stops after `most`. */
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
    OK(commit, &second, "b", "input");
    assert_missing("a", "input", 1);
    OK(commit, &first, "a", "input");
    assert_int_equal(first.fd, -1);
    assert_blob("a", "input", "one");
    assert_blob("b", "input", "two");
    assert_jobs("ab");
    reopen();
    assert_blob("a", "input", "one");
    make_blob("a", "input", "three"); /* takes the place */
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
    OK(commit, &writer, "a", "vocals.wav");
    assert_blob("a", "vocals.wav", "size: 7");
}

static void outputs_can_be_read_while_they_grow(void **state) {
    (void)state;
    spl_blob_writer writer;
    OK(output, "a", "vocals.wav", 3, &writer);
    put(&writer, "abc");
    assert_missing("a", "vocals.wav", 0);
    assert_missing("a", "vocals.wav", 2);
    spl_blob early, late;
    OK(open, "a", "vocals.wav", 3, &early);
    assert_content(&early, "abc", false);
    put(&writer, "def");
    OK(open, "a", "vocals.wav", 3, &late);
    assert_content(&late, "abcdef", false);
    OK(commit, &writer, "a", "vocals.wav");
    early.bytes = 6; /* who has opened it early reads on */
    assert_content(&early, "abcdef", false);
    close(early.fd);
    close(late.fd);
    OK(open, "a", "vocals.wav", 3, &late);
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
    OK(open, "a", "vocals.wav", 2, &blob);
    assert_content(&blob, "new", false);
    close(blob.fd);
    OK(commit, &fresh, "a", "vocals.wav");
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
    assert_int_equal(folder_count(folder, ""), 0);
    OK(upload, &writer);
    OK(commit, &writer, "a", "input");
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
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    static const char *const right[] = {
        "a",
        "0",
        "A-b_c.d",
        "vocals.wav",
        "part",
        "-",
        "a..b",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    spl_blob blob;
    spl_blob_writer writer;
    make_blob("a", "input", "x");
    for (size_t i = 0; i < SPL_ARRAY_SIZE(wrong); i++) {
        FAILS(ARGUMENT, open, "a", wrong[i], 0, &blob);
        FAILS(ARGUMENT, open, wrong[i], "input", 0, &blob);
        FAILS(ARGUMENT, output, "a", wrong[i], 1, &writer);
        FAILS(ARGUMENT, output, wrong[i], "a", 1, &writer);
        FAILS(ARGUMENT, remove, "a", wrong[i]);
        FAILS(ARGUMENT, remove_job, wrong[i]);
        FAILS(ARGUMENT, copy, "a", wrong[i], "input");
        FAILS(ARGUMENT, copy, wrong[i], "b", "input");
        OK(upload, &writer);
        FAILS(ARGUMENT, commit, &writer, "a", wrong[i]);
        assert_int_equal(writer.fd, -1);
    }
    assert_int_equal(folder_count(folder, ""), 1);
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
    OK(copy, "a", "b", "vocals.wav");
    OK(copy, "a", "c", "vocals.wav");
    OK(remove_job, "a");
    assert_blob("b", "vocals.wav", "la la");
    make_blob("b", "vocals.wav", "other");
    assert_blob("c", "vocals.wav", "la la");
    FAILS(NOT_FOUND, copy, "a", "d", "vocals.wav");
    FAILS(NOT_FOUND, copy, "b", "d", "bass.wav");
    assert_jobs("bc");
}

static void removing(void **state) {
    (void)state;
    make_blob("a", "input", "1");
    make_blob("a", "vocals.wav", "2");
    make_blob("b", "input", "3");
    OK(remove, "a", "input");
    OK(remove, "a", "input");
    OK(remove, "z", "input");
    OK(remove_job, "z");
    assert_missing("a", "input", 0);
    assert_blob("a", "vocals.wav", "2");
    spl_blob_writer writer;
    OK(output, "a", "bass.wav", 1, &writer);
    spl_blob blob;
    OK(open, "a", "vocals.wav", 0, &blob);
    OK(remove_job, "a");
    assert_content(&blob, "2", true); /* who reads reads on */
    close(blob.fd);
    FAILS(NOT_FOUND, commit, &writer, "a", "bass.wav"); /* who writes, for nothing */
    assert_jobs("b");
    assert_int_equal(folder_count(folder, ""), 1);
}

static void listing_stops(void **state) {
    (void)state;
    make_blob("a", "input", "1");
    make_blob("b", "input", "2");
    visited one = {.most = 1};
    assert_int_equal(CALL(list_jobs, visit, &one, &error), 7);
    assert_int_equal(one.count, 1);
}

/* What a dead process did not finish is gone. */
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
    assert_int_equal(folder_count(folder, ""), 1);
    for (int i = 0; i < 3; i++)
        blobs->functions->discard(blobs, &writers[i]);
    assert_blob("a", "input", "1");
}

static void space_is_told(void **state) {
    (void)state;
    uint64_t bytes = 0;
    OK(free_bytes, &bytes);
    assert_true(bytes > 0 && bytes < (uint64_t)1 << 60);
}

static atomic_uint wrong;

static void *write_and_remove(void *user) {
    const unsigned number = (unsigned)(uintptr_t)user;
    for (int i = 0; i < 200; i++) {
        char name[16];
        spl_blob_writer writer;
        snprintf(name, sizeof(name), "%u.wav", number);
        wrong += blobs->functions->output(blobs, "job", name, i + 1, &writer, NULL) != 0;
        if (i % 3 == 0) {
            blobs->functions->discard(blobs, &writer);
        } else {
            int status = blobs->functions->commit(blobs, &writer, "job", name, NULL);
            wrong += status != 0 && status != SPL_E_NOT_FOUND;
        }
        wrong += blobs->functions->upload(blobs, &writer, NULL) != 0;
        wrong += blobs->functions->commit(blobs, &writer, "job", name, NULL) != 0;
        if (i % 5 == 0)
            wrong += blobs->functions->remove_job(blobs, "job", NULL) != 0;
    }
    return NULL;
}

/* Folders come and go under the hands of those who write. */
static void many_at_once(void **state) {
    (void)state;
    enum { THREADS = 6 };
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, write_and_remove, (void *)(uintptr_t)i);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&wrong), 0);
    OK(remove_job, "job");
    assert_int_equal(folder_count(folder, ""), 0);
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
        TEST(space_is_told),
        TEST(many_at_once),
    };
    int failed = 0;
    for (size_t i = 0; i < SPL_ARRAY_SIZE(openers); i++) {
        open_blobs = openers[i].open;
        failed += cmocka_run_group_tests_name(openers[i].name, tests, NULL, NULL);
    }
    return failed;
}

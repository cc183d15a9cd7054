/* SPDX-License-Identifier: MIT
 *
 * Blobs in an S3 server that does not answer: a cancel ends the wait, and a wait does not delay
 * requests for other blobs. Answers that would cost memory or time without limit are refused.
 * Pages of a list, and the limits of the cache.
 */
#include "folder.h"
#include "service/blobs/cache.h"

#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cmocka.h>
#include <microhttpd.h>

#define BIG_BYTES    ((size_t)1 << 20) /* of each object "/bucket/big/..."; zeros */
#define BIG_SHA256   "30e14955ebf1352266dc2ff8067e68104607e750abb9d3b36582b8af909fcb58"
#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/* Requests for "/bucket/hangs/...", for lists of such objects, and for the bucket itself are
 * answered once `released` is posted; all others, and the POST that starts an upload in parts, at
 * once. */
static struct MHD_Daemon *server;
static sem_t hanging, released;
static char folder[256], endpoint[64];
static spl_blobs_s3 options = {.public_endpoint = "",
                               .endpoint = endpoint,
                               .data_dir = folder,
                               .bucket = "bucket",
                               .region = "us-east-1",
                               .access_key_id = "key",
                               .secret_access_key = "secret",
                               .cache_bytes = 1 << 20};
static spl_blobs *blobs;
static spl_error error;

static bool list_repeats; /* the last page names itself as the next one */

/* Pages of a list: foreign keys only, one blob, nothing. */
static char *make_page(const char *token) {
    static char pages[3][1000];
    char longest[300];
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    snprintf(pages[0], sizeof(pages[0]),
             "<IsTruncated>true</IsTruncated><NextContinuationToken>2/=+</NextContinuationToken>"
             "<Contents><Key>a&amp;b</Key></Contents><Contents><Key>%s</Key></Contents>",
             longest);
    snprintf(pages[1], sizeof(pages[1]),
             "<IsTruncated>true</IsTruncated><NextContinuationToken>3</NextContinuationToken>"
             "<Contents><Key>job/input</Key></Contents>");
    snprintf(pages[2], sizeof(pages[2]),
             list_repeats
                 ? "<IsTruncated>true</IsTruncated><NextContinuationToken>3</NextContinuationToken>"
                 : "<IsTruncated>false</IsTruncated>");
    return !token ? pages[0] : strcmp(token, "2/=+") == 0 ? pages[1] : pages[2];
}

static enum MHD_Result answer(void *user, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *body,
                              size_t *body_size, void **state) {
    static int begun;
    (void)user, (void)version, (void)body;
    if (!*state) {
        *state = &begun;
        return MHD_YES;
    }
    if (*body_size > 0) {
        *body_size = 0;
        return MHD_YES;
    }
    const bool starts = strcmp(method, "POST") == 0;
    const char *prefix = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "prefix");
    if (!starts && (strstr(url, "/hangs/") || strcmp(method, "HEAD") == 0 ||
                    (prefix && strcmp(prefix, "hangs/") == 0))) {
        sem_post(&hanging);
        sem_wait(&released);
    }
    char *text = (char *)(uintptr_t)(starts ? "<UploadId>1</UploadId>" : "");
    if (prefix)
        text = make_page(
            MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "continuation-token"));
    static char zeros[BIG_BYTES];
    const bool big = strstr(url, "/big/");
    struct MHD_Response *response = MHD_create_response_from_buffer(
        big ? BIG_BYTES : strlen(text), big ? zeros : text, MHD_RESPMEM_PERSISTENT);
    MHD_add_response_header(response, "x-amz-meta-sha256", big ? BIG_SHA256 : EMPTY_SHA256);
    enum MHD_Result queued = MHD_queue_response(connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return queued;
}

static int set_up(void **state) {
    (void)state;
    sem_init(&hanging, 0, 0);
    sem_init(&released, 0, 0);
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    server =
        MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION, 0, NULL,
                         NULL, answer, NULL, MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_END);
    assert_non_null(server);
    snprintf(endpoint, sizeof(endpoint), "http://localhost:%u",
             MHD_get_daemon_info(server, MHD_DAEMON_INFO_BIND_PORT)->port);
    folder_make(folder, sizeof(folder));
    return spl_blobs_open_s3(&options, &blobs, &error);
}

static int tear_down(void **state) {
    (void)state;
    blobs->functions->close(blobs);
    for (int i = 0; i < 100; i++)
        sem_post(&released);
    MHD_stop_daemon(server);
    folder_remove(folder);
    return 0;
}

/* Implements spl_blob_wait.canceled: true once the server has received the request. */
static int ask_hanging(void *user) {
    (void)user;
    int requests = 0;
    sem_getvalue(&hanging, &requests);
    return requests > 0;
}

static const spl_blob_wait wait_for_request = {ask_hanging, NULL};

static void forget_requests(void) {
    while (sem_trywait(&hanging) == 0)
        ;
}

static void make_upload(uint64_t bytes, spl_blob_writer *ret_writer) {
    assert_int_equal(blobs->functions->upload(blobs, ret_writer, &error), 0);
    assert_int_equal(ftruncate(ret_writer->fd, (off_t)bytes), 0);
}

/* The sizes: one request with a time limit, one with a minimum rate, and an upload in parts. */
static void uploads_are_canceled(void **state) {
    (void)state;
    static const uint64_t sizes[] = {10, 1 << 20, 70 << 20};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(sizes); i++) {
        spl_blob_writer writer;
        make_upload(sizes[i], &writer);
        assert_int_equal(
            blobs->functions->commit(blobs, &writer, "hangs", "input", &wait_for_request, &error),
            SPL_E_CANCELED);
        assert_int_equal(writer.fd, -1);
        forget_requests();
    }
}

static void downloads_and_removals_are_canceled(void **state) {
    (void)state;
    spl_blob blob;
    assert_int_equal(
        blobs->functions->open(blobs, "hangs", "input", NULL, 0, &wait_for_request, &blob, &error),
        SPL_E_CANCELED);
    forget_requests();
    assert_int_equal(blobs->functions->remove(blobs, "hangs", "input", &wait_for_request, &error),
                     SPL_E_CANCELED);
}

static void what_has_no_body_is_canceled(void **state) {
    (void)state;
    assert_int_equal(
        blobs->functions->copy(blobs, "works", "hangs", "input", NULL, &wait_for_request, &error),
        SPL_E_CANCELED);
    forget_requests();
    assert_int_equal(blobs->functions->remove_job(blobs, "hangs", &wait_for_request, &error),
                     SPL_E_CANCELED);
    forget_requests();
    assert_int_equal(blobs->functions->check(blobs, &wait_for_request, &error), SPL_E_CANCELED);
}

static int take_job(void *user, const char *job) {
    *(int *)user += strcmp(job, "job") == 0;
    return 0;
}

static void a_page_of_foreign_objects_ends_no_list(void **state) {
    (void)state;
    int jobs = 0;
    assert_int_equal(blobs->functions->list_jobs(blobs, take_job, &jobs, &error), 0);
    assert_int_equal(jobs, 1);
}

static void a_list_that_repeats_a_page_fails(void **state) {
    (void)state;
    int jobs = 0;
    list_repeats = true;
    assert_int_equal(blobs->functions->list_jobs(blobs, take_job, &jobs, &error), SPL_E_IO);
    list_repeats = false;
    assert_non_null(strstr(error.message, "twice"));
}

static void *open_hanging(void *user) {
    spl_blob *blob = user;
    blob->fd = -1;
    return (void *)(intptr_t)blobs->functions->open(blobs, "hangs", "input", NULL, 0, NULL, blob,
                                                    NULL);
}

static void a_slow_download_holds_up_no_other_file(void **state) {
    (void)state;
    pthread_t first, second;
    spl_blob blob, again;
    pthread_create(&first, NULL, open_hanging, &blob);
    sem_wait(&hanging);
    for (int i = 0; i < 200; i++) {
        char name[16];
        spl_blob other;
        snprintf(name, sizeof(name), "%d.wav", i);
        assert_int_equal(
            blobs->functions->open(blobs, "works", name, NULL, 0, NULL, &other, &error), 0);
        close(other.fd);
    }
    /* Two threads share one fetch, and the waiting one can be canceled. */
    sem_post(&hanging);
    assert_int_equal(
        blobs->functions->open(blobs, "hangs", "input", NULL, 0, &wait_for_request, &again, &error),
        SPL_E_CANCELED);
    sem_wait(&hanging);
    pthread_create(&second, NULL, open_hanging, &again);
    sem_post(&released);
    void *status;
    pthread_join(first, &status);
    assert_null(status);
    pthread_join(second, &status);
    assert_null(status);
    assert_int_equal(sem_trywait(&hanging), -1);
    close(blob.fd);
    close(again.fd);
}

static int bad_server;
static const char *bad_answer;

static void *answer_badly(void *user) {
    (void)user;
    char request[4096];
    const int connection = accept(bad_server, NULL, NULL);
    assert_true(recv(connection, request, sizeof(request), 0) > 0);
    (void)!send(connection, bad_answer, strlen(bad_answer), MSG_NOSIGNAL);
    close(connection);
    return NULL;
}

static void listen_badly(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    bad_server = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(bad_server, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(bad_server, 1), 0);
    assert_int_equal(getsockname(bad_server, (struct sockaddr *)&address, &length), 0);
    snprintf(endpoint, sizeof(endpoint), "http://127.0.0.1:%u", ntohs(address.sin_port));
}

static void refuses_answers_without_limit(void **state) {
    (void)state;
    static const char folded[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: b\r\n c\r\n\r\n";
    static char lines[10000] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n";
    for (size_t end = strlen(lines); end < sizeof(lines) - 5; end += 4)
        memcpy(lines + end, "a:\r\n", 5);
    const struct {
        const char *answer, *problem;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, gzip\r\n\r\nx", "transfer coding"},
        {folded, "folded"},
        {lines, "too long"},
    };
    listen_badly();
    for (size_t i = 0; i < SPL_ARRAY_SIZE(cases); i++) {
        pthread_t thread;
        spl_blob blob;
        bad_answer = cases[i].answer;
        pthread_create(&thread, NULL, answer_badly, NULL);
        assert_int_equal(blobs->functions->open(blobs, "a", "b", NULL, 0, NULL, &blob, &error),
                         SPL_E_IO);
        pthread_join(thread, NULL);
        if (!strstr(error.message, cases[i].problem))
            fail_msg("%s", error.message);
    }
    close(bad_server);
}

/* ------------------------------------------------------------ disk space ---- */

/* What is free, except for the files of the cache. */
static uint64_t disk_bytes = UINT64_C(1) << 40, cached_bytes;

static int add_size(const char *path, const struct stat *status, int kind, struct FTW *place) {
    (void)path, (void)place;
    cached_bytes += kind == FTW_F ? (uint64_t)status->st_size : 0;
    return 0;
}

int __wrap_fstatvfs64(int fd, struct statvfs *ret_disk);
int __wrap_fstatvfs64(int fd, struct statvfs *ret_disk) {
    (void)fd;
    char path[300];
    snprintf(path, sizeof(path), "%s/cache", folder);
    cached_bytes = 0;
    nftw(path, add_size, 16, FTW_PHYS);
    *ret_disk = (struct statvfs){.f_frsize = 1, .f_bavail = disk_bytes - cached_bytes};
    return 0;
}

static int keep_big(const char *name, const char *reader, int *ret_fd) {
    spl_blob blob;
    int status = blobs->functions->open(blobs, "big", name, reader, 0, NULL, &blob, &error);
    if (status == 0) {
        assert_int_equal(blob.bytes, BIG_BYTES);
        *ret_fd = blob.fd;
    }
    return status;
}

static int open_big(const char *name) {
    int fd = -1;
    int status = keep_big(name, NULL, &fd);
    spl_close_p(&fd);
    return status;
}

static spl_blobs_s3 usual;

/* Opens a cache of `mib` on a disk of which 16 MiB stay free. */
static int open_cache(uint64_t mib) {
    usual = options;
    blobs->functions->close(blobs);
    assert_int_equal(spl_space_open(folder, 16 * BIG_BYTES, &options.space, &error), 0);
    options.cache_bytes = mib * BIG_BYTES;
    return spl_blobs_open_s3(&options, &blobs, &error);
}

static void close_cache(void) {
    blobs->functions->close(blobs);
    spl_space_close(options.space);
    options = usual;
    disk_bytes = UINT64_C(1) << 40;
    assert_int_equal(spl_blobs_open_s3(&options, &blobs, &error), 0);
}

/* Cached files make room for others. Half of the minimum stays free. */
static void the_cache_leaves_space(void **state) {
    (void)state;
    assert_int_equal(open_cache(64), 0);
    static const char *const names[] = {"1", "2", "3", "4"};
    disk_bytes = 10 * BIG_BYTES;
    for (size_t i = 0; i < SPL_ARRAY_SIZE(names); i++) {
        assert_int_equal(open_big(names[i]), 0);
        assert_int_equal(folder_count(folder, ""), SPL_MIN(i + 1, 2u));
    }
    disk_bytes = 8 * BIG_BYTES + BIG_BYTES / 2;
    assert_int_equal(open_big("5"), SPL_E_NO_SPACE);
    assert_int_equal(folder_count(folder, ""), 0);
    disk_bytes = 9 * BIG_BYTES; /* what the failed fetch was granted has been returned */
    assert_int_equal(open_big("5"), 0);
    close_cache();
}

/* A copy that is open is not removed, which would free nothing. The whole minimum stays free. */
static void readers_leave_space(void **state) {
    (void)state;
    int first, second, more;
    assert_int_equal(open_cache(64), 0);
    disk_bytes = 18 * BIG_BYTES;
    assert_int_equal(open_big("unused"), 0);
    assert_int_equal(keep_big("1", "a", &first), 0);
    assert_int_equal(folder_count(folder, ""), 2);
    assert_int_equal(keep_big("2", "a", &second), 0); /* instead of the unused one */
    assert_int_equal(folder_count(folder, ""), 2);
    assert_int_equal(keep_big("3", "b", &more), SPL_E_NO_SPACE);
    assert_int_equal(folder_count(folder, ""), 2);
    assert_int_equal(open_big("input"), 0); /* accepted work uses the minimum */
    close(first);
    assert_int_equal(keep_big("3", "b", &more), 0);
    close(more);
    close(second);
    close_cache();
}

/* A reader has half of the cache, but always one copy. */
static void readers_have_shares(void **state) {
    (void)state;
    int fds[4], again, more;
    assert_int_equal(open_cache(4), 0);
    assert_int_equal(open_big("cached"), 0);
    assert_int_equal(keep_big("1", "a", &fds[0]), 0);
    assert_int_equal(keep_big("2", "a", &fds[1]), 0);
    assert_int_equal(keep_big("2", "a", &again), 0); /* the same copy */
    assert_int_equal(keep_big("3", "a", &more), SPL_E_LIMIT);
    assert_int_equal(keep_big("cached", "a", &more), SPL_E_LIMIT);
    close(fds[1]);
    assert_int_equal(keep_big("3", "a", &more), SPL_E_LIMIT); /* one of two has ended */
    close(again);
    assert_int_equal(keep_big("3", "a", &fds[1]), 0);
    assert_int_equal(keep_big("4", "b", &fds[2]), 0);
    assert_int_equal(keep_big("5", "b", &fds[3]), 0);
    assert_int_equal(folder_count(folder, ""), 4);
    assert_int_equal(keep_big("6", "c", &again), 0); /* although the others have all of it */
    assert_int_equal(keep_big("7", "c", &more), SPL_E_LIMIT);
    assert_int_equal(open_big("input"), 0);
    close(again);
    for (int i = 0; i < 4; i++)
        close(fds[i]);
    close_cache();
}

/* A copy whose blob was removed counts until it is closed. */
static void removed_copies_count_until_they_are_closed(void **state) {
    (void)state;
    int first, second, more;
    assert_int_equal(open_cache(4), 0);
    assert_int_equal(keep_big("1", "a", &first), 0);
    assert_int_equal(keep_big("2", "a", &second), 0);
    assert_int_equal(blobs->functions->remove(blobs, "big", "1", NULL, &error), 0);
    assert_int_equal(keep_big("3", "a", &more), SPL_E_LIMIT);
    assert_int_equal(folder_count(folder, ""), 1);
    close(first);
    assert_int_equal(keep_big("3", "a", &more), 0);
    assert_int_equal(folder_count(folder, ""), 2);
    close(more);
    close(second);
    close_cache();
}

static int put_big(void *user, spl_cache_fetch *into, spl_error *ret_error) {
    static const char zeros[BIG_BYTES];
    const unsigned *expected = user;
    int status = spl_cache_put(into, zeros, sizeof(zeros), 0, ret_error);
    assert_int_equal(folder_count(folder, ""), *expected);
    return status;
}

/* A file counts while it is fetched, so concurrent fetches keep the limit. */
static void arriving_bytes_count(void **state) {
    (void)state;
    char path[300];
    spl_cache cache;
    snprintf(path, sizeof(path), "%s/cache", folder);
    spl_cache_open(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), 2 * BIG_BYTES, NULL, &cache);
    for (unsigned i = 0; i < 5; i++) {
        char name[16];
        int fd;
        unsigned expected = SPL_MIN(i + 1, 2u);
        snprintf(name, sizeof(name), "a~%u", i);
        assert_int_equal(spl_cache_get(&cache, name, NULL, put_big, &expected, NULL, &fd, &error),
                         0);
        close(fd);
    }
    spl_cache_close(&cache);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(uploads_are_canceled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(downloads_and_removals_are_canceled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_has_no_body_is_canceled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_page_of_foreign_objects_ends_no_list, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_list_that_repeats_a_page_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_cache_leaves_space, set_up, tear_down),
        cmocka_unit_test_setup_teardown(readers_leave_space, set_up, tear_down),
        cmocka_unit_test_setup_teardown(readers_have_shares, set_up, tear_down),
        cmocka_unit_test_setup_teardown(removed_copies_count_until_they_are_closed, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(arriving_bytes_count, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_slow_download_holds_up_no_other_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_answers_without_limit, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

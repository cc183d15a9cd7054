/* SPDX-License-Identifier: MIT
 *
 * The audit log: an unmodified log verifies, and every later modification is detected.
 */
#include "service/observe/audit.h"
#include "service/observe/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cmocka.h>

static const uint8_t key[32] = "0123456789abcdef0123456789abcde";
static char folder[PATH_MAX];

enum { SPACE = 64 << 20 };

static int make_folder(void **state) {
    (void)state;
    strncpy(folder, "/tmp/observe_audit_test.XXXXXX", sizeof(folder));
    assert_non_null(mkdtemp(folder));
    strncat(folder, "/audit", 7);
    return 0;
}

static void path_of(unsigned number, char ret_path[PATH_MAX + 32]) {
    snprintf(ret_path, PATH_MAX + 32, "%s/%08u.jsonl", folder, number);
}

static int remove_folder(void **state) {
    (void)state;
    char path[PATH_MAX + 32];
    for (unsigned i = 1; i < 10; i++) {
        path_of(i, path);
        remove(path);
    }
    rmdir(folder);
    *strrchr(folder, '/') = '\0';
    return rmdir(folder);
}

static void write_event(spl_audit *audit, const char *action, const char *object) {
    const spl_audit_event event = {.actor = "key:alice",
                                   .action = action,
                                   .object = object,
                                   .address = "::1",
                                   .outcome = "ok"};
    spl_error error;
    assert_int_equal(spl_audit_write(audit, &event, &error), 0);
}

/* Writes one file: a start, `events` events and an end. If `killed`, the end is missing. */
static void write_file(unsigned events, bool killed) {
    spl_audit *audit;
    spl_error error;
    assert_int_equal(spl_audit_open(folder, key, SPACE, &audit, &error), 0);
    for (unsigned i = 0; i < events; i++) {
        char object[16];
        snprintf(object, sizeof(object), "job-%u", i);
        write_event(audit, "job.create", object);
    }
    if (!killed) {
        spl_audit_close(audit);
        return;
    }
    /* Removes what closing writes: a killed process closes its files without writing. */
    char path[PATH_MAX + 32];
    path_of(1, path);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    spl_audit_close(audit);
    assert_int_equal(truncate(path, status.st_size), 0);
}

/* Verifies the log with the key `with`. The caller frees *ret_report. */
static int verify(const uint8_t with[32], char **ret_report) {
    size_t size;
    FILE *stream = open_memstream(ret_report, &size);
    spl_error error;
    const int status = spl_audit_verify(folder, with, stream, &error);
    fclose(stream);
    return status;
}

static void expect(int status, const char *words) {
    SPL_CLEANUP(spl_free_p) char *report = NULL;
    const int found = verify(key, &report);
    if (found != status || !strstr(report, words))
        fail_msg("status %d, expected %d with \"%s\":\n%s", found, status, words, report);
}

static char *read_file(unsigned number, size_t *ret_size) {
    char path[PATH_MAX + 32];
    path_of(number, path);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    char *text = calloc(1, 1 << 20);
    *ret_size = fread(text, 1, (1 << 20) - 1, file);
    fclose(file);
    return text;
}

static void replace_file(unsigned number, const char *text, size_t size) {
    char path[PATH_MAX + 32];
    path_of(number, path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void what_was_written_verifies(void **state) {
    (void)state;
    strncpy(spl_log_context_get()->request_id, "r-7", 4);
    write_file(3, false);
    write_file(1, false);
    expect(0, "00000001.jsonl: 5 lines, whole, last mac ");
    expect(0, "00000002.jsonl: 3 lines, whole, last mac ");

    size_t size;
    SPL_CLEANUP(spl_free_p) char *text = read_file(1, &size);
    char *second = strchr(text, '\n') + 1;
    json_t *line = json_loads(second, JSON_REJECT_DUPLICATES | JSON_DISABLE_EOF_CHECK, NULL);
    assert_int_equal(json_integer_value(json_object_get(line, "sequence")), 1);
    static const char *const fields[][2] = {{"actor", "key:alice"}, {"action", "job.create"},
                                            {"object", "job-0"},    {"address", "::1"},
                                            {"outcome", "ok"},      {"request_id", "r-7"}};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(fields); i++)
        assert_string_equal(json_string_value(json_object_get(line, fields[i][0])), fields[i][1]);
    json_decref(line);

    struct stat status;
    char path[PATH_MAX + 32];
    path_of(1, path);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(stat(folder, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
}

static void another_key_does_not_verify(void **state) {
    (void)state;
    write_file(1, false);
    uint8_t other[32];
    memcpy(other, key, sizeof(other));
    other[31] ^= 1;
    SPL_CLEANUP(spl_free_p) char *report = NULL;
    assert_int_equal(verify(other, &report), SPL_E_FORMAT);
}

static void put_byte(FILE *file, size_t offset, char byte) {
    assert_int_equal(fseek(file, (long)offset, SEEK_SET), 0);
    assert_int_equal(fputc(byte, file), (unsigned char)byte);
    assert_int_equal(fflush(file), 0);
}

static void each_changed_byte_shows(void **state) {
    (void)state;
    write_file(3, false);
    size_t size;
    SPL_CLEANUP(spl_free_p) char *text = read_file(1, &size);
    char path[PATH_MAX + 32];
    path_of(1, path);
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    /* All bytes but the newline of the last line. */
    for (size_t i = 0; i + 1 < size; i++) {
        const char changed[] = {text[i] ^ 1, text[i] ^ 32, text[i] ^ (char)128, '\0', '\n'};
        for (size_t n = 0; n < sizeof(changed); n++) {
            if (changed[n] == text[i])
                continue;
            put_byte(file, i, changed[n]);
            SPL_CLEANUP(spl_free_p) char *report = NULL;
            if (verify(key, &report) != SPL_E_FORMAT)
                fail_msg("byte %zu as %d: not seen", i, changed[n]);
        }
        put_byte(file, i, text[i]);
    }
    fclose(file);
    expect(0, "5 lines");
}

/* Finds the lines of `text`, at most 16. Returns their number. */
static size_t split(char *text, char *lines[16], size_t lengths[16]) {
    size_t count = 0;
    while (*text && count < 16) {
        lines[count] = text;
        lengths[count] = strcspn(text, "\n") + 1;
        text += lengths[count++];
    }
    return count;
}

static void a_removed_or_moved_line_shows(void **state) {
    (void)state;
    write_file(3, false);
    size_t size;
    SPL_CLEANUP(spl_free_p) char *text = read_file(1, &size);
    char *lines[16];
    size_t lengths[16];
    const size_t count = split(text, lines, lengths);
    assert_int_equal(count, 5);
    char changed[1 << 14];
    for (size_t left_out = 0; left_out + 1 < count; left_out++) {
        size_t at = 0;
        for (size_t i = 0; i < count; i++) {
            if (i == left_out)
                continue;
            memcpy(changed + at, lines[i], lengths[i]);
            at += lengths[i];
        }
        replace_file(1, changed, at);
        expect(SPL_E_FORMAT, "WRONG at line");
    }
    for (size_t swapped = 0; swapped + 1 < count; swapped++) {
        size_t at = 0;
        for (size_t i = 0; i < count; i++) {
            const size_t from = i == swapped ? i + 1 : i == swapped + 1 ? i - 1 : i;
            memcpy(changed + at, lines[from], lengths[from]);
            at += lengths[from];
        }
        replace_file(1, changed, at);
        expect(SPL_E_FORMAT, "WRONG at line");
    }
    /* A duplicated line. */
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t n = 0; n < (i == 2 ? 2u : 1u); n++) {
            memcpy(changed + at, lines[i], lengths[i]);
            at += lengths[i];
        }
    }
    replace_file(1, changed, at);
    expect(SPL_E_FORMAT, "WRONG at line 4");
}

static void a_cut_end_shows(void **state) {
    (void)state;
    write_file(3, false);
    size_t size;
    SPL_CLEANUP(spl_free_p) char *text = read_file(1, &size);
    char *lines[16];
    size_t lengths[16];
    const size_t count = split(text, lines, lengths);
    replace_file(1, text, size - lengths[count - 1]);
    expect(0, "4 lines, whole so far (still open, or its process was killed)");
    replace_file(1, text, size);
    write_file(0, false);
    expect(0, "00000002.jsonl: 2 lines, whole,");
    /* The next file records the end of this one. */
    replace_file(1, text, size - lengths[count - 1]);
    expect(SPL_E_FORMAT, "00000002.jsonl: WRONG at line 1: the file before it is gone, or lines");
}

static void a_removed_or_renamed_file_shows(void **state) {
    (void)state;
    write_file(1, false);
    write_file(1, false);
    write_file(1, false);
    char first[PATH_MAX + 32], second[PATH_MAX + 32], third[PATH_MAX + 32];
    path_of(1, first);
    path_of(2, second);
    path_of(3, third);
    size_t size;
    SPL_CLEANUP(spl_free_p) char *text = read_file(2, &size);
    remove(second);
    expect(SPL_E_FORMAT, "00000003.jsonl: WRONG at line 1");
    replace_file(3, text, size);
    expect(SPL_E_FORMAT, "00000003.jsonl: WRONG at line 1: the file has another file's name");
}

static void old_files_may_be_put_away(void **state) {
    (void)state;
    write_file(1, false);
    write_file(1, false);
    char first[PATH_MAX + 32];
    path_of(1, first);
    remove(first);
    expect(0, "00000002.jsonl: 3 lines, whole,");
}

static void a_killed_process_is_no_tampering(void **state) {
    (void)state;
    write_file(2, true);
    size_t size;
    SPL_CLEANUP(spl_free_p) char *text = read_file(1, &size);
    /* The last write was cut short. */
    memcpy(text + size, "{\"sequence\":3,\"ti", 17);
    replace_file(1, text, size + 17);
    write_file(1, false);
    expect(0, "00000001.jsonl: 3 lines, whole so far");
    expect(0, "00000002.jsonl: 3 lines, whole,");
}

static void hostile_texts_stay_in_their_line(void **state) {
    (void)state;
    spl_audit *audit;
    spl_error error;
    assert_int_equal(spl_audit_open(folder, key, SPACE, &audit, &error), 0);
    char longest[5000];
    memset(longest, '\x01', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    write_event(audit, "a\"}\n{\"action\":\"audit.end\",\"mac\":\"00\"}", "\xff\xfe");
    const spl_audit_event event = {longest, longest, longest, longest, longest, longest};
    assert_int_equal(spl_audit_write(audit, &event, &error), 0);
    expect(0, "3 lines, whole so far");
    spl_audit_close(audit);
    expect(0, "4 lines, whole,");
}

enum { THREADS = 8, EVENTS = 50 };

static void *write_many(void *audit) {
    for (size_t i = 0; i < EVENTS; i++)
        write_event(audit, "job.read", "job");
    return NULL;
}

static void threads_make_one_chain(void **state) {
    (void)state;
    spl_audit *audit;
    spl_error error;
    assert_int_equal(spl_audit_open(folder, key, SPACE, &audit, &error), 0);
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, audit), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    spl_audit_close(audit);
    expect(0, "00000001.jsonl: 402 lines, whole,");
}

static void a_full_disk_is_reported_and_leaves_no_half_line(void **state) {
    (void)state;
    spl_audit *audit;
    spl_error error;
    assert_int_equal(spl_audit_open(folder, key, SPACE, &audit, &error), 0);
    write_event(audit, "job.create", "job");
    char path[PATH_MAX + 32];
    path_of(1, path);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    struct rlimit limit, small;
    getrlimit(RLIMIT_FSIZE, &limit);
    small = limit;
    /* Room for a few more bytes. */
    small.rlim_cur = (rlim_t)status.st_size + 20;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    const spl_audit_event event = {.actor = "key:alice", .action = "job.create", .outcome = "ok"};
    const int refused = spl_audit_write(audit, &event, &error);
    setrlimit(RLIMIT_FSIZE, &limit);
    assert_int_equal(refused, SPL_E_IO);
    write_event(audit, "job.create", "when there is room again");
    spl_audit_close(audit);
    expect(0, "5 lines, whole,");
    size_t size;
    SPL_CLEANUP(spl_free_p) char *text = read_file(1, &size);
    assert_non_null(strstr(text, "\"action\":\"audit.gap\",\"detail\":\"1 events since "));
}

/* Blocks are allocated in advance while the file is open and released when it is closed. */
static void disk_space_is_reserved(void **state) {
    (void)state;
    spl_audit *audit;
    spl_error error;
    char path[PATH_MAX + 32];
    struct stat status;
    assert_int_equal(spl_audit_open(folder, key, SPACE, &audit, &error), 0);
    path_of(1, path);
    assert_int_equal(stat(path, &status), 0);
    const bool reserved = status.st_blocks * 512 >= 1 << 20;
    assert_in_range(status.st_size, 100, 1000);
    spl_audit_close(audit);
    assert_int_equal(stat(path, &status), 0);
    assert_true(status.st_blocks * 512 <= 16384);
    /* Some file systems do not preallocate. */
    if (!reserved)
        skip();
}

/* A full file is followed by a new one. The oldest files are deleted when the log reaches its size
 * limit. */
static void files_follow_each_other(void **state) {
    (void)state;
    enum { SMALL_SPACE = 1 << 20, MANY = 1400 };
    char object[1001] = "";
    memset(object, 'o', sizeof(object) - 1);
    spl_audit *audit;
    spl_error error;
    char path[PATH_MAX + 32];
    struct stat status;
    assert_int_equal(spl_audit_open(folder, key, SMALL_SPACE, &audit, &error), 0);
    for (size_t i = 0; i < MANY; i++)
        write_event(audit, "job.read", object);
    spl_audit_close(audit);
    unsigned first = 1, last = 0;
    for (path_of(first, path); stat(path, &status) < 0; path_of(++first, path))
        assert_true(first < 100);
    off_t total = 0;
    for (last = first; path_of(last, path), stat(path, &status) == 0; last++) {
        assert_true(status.st_size <= SMALL_SPACE / 16 + 4096);
        total += status.st_size;
    }
    assert_true(first > 1 && last - first >= 14);
    assert_in_range(total, SMALL_SPACE / 2, SMALL_SPACE);
    expect(0, " lines, whole, last mac ");
    path_of(first + 5, path);
    remove(path);
    expect(SPL_E_FORMAT, "WRONG at line 1: the file before it is gone, or lines");
    for (unsigned i = first; i < last; i++) {
        path_of(i, path);
        remove(path);
    }
}

/* In place of libc's functions, which audit.c would call. */
static bool truncation_fails, next_flush_fails;

int ftruncate(int fd, off_t length) {
    errno = EIO;
    return truncation_fails ? -1 : (int)syscall(SYS_ftruncate, fd, length);
}

int fdatasync(int fd) {
    const bool fails = next_flush_fails;
    next_flush_fails = false;
    errno = EIO;
    return fails ? -1 : (int)syscall(SYS_fdatasync, fd);
}

/* A part of a line stays at the end of its file. The next line begins another file. */
static void a_torn_line_is_explained(void **state) {
    (void)state;
    spl_audit *audit;
    spl_error error;
    char path[PATH_MAX + 32];
    struct stat status;
    struct rlimit limit, small;
    assert_int_equal(spl_audit_open(folder, key, SPACE, &audit, &error), 0);
    write_event(audit, "job.create", "job");
    path_of(1, path);
    assert_int_equal(stat(path, &status), 0);
    getrlimit(RLIMIT_FSIZE, &limit);
    small = limit;
    small.rlim_cur = (rlim_t)status.st_size + 20;
    signal(SIGXFSZ, SIG_IGN);
    truncation_fails = true;
    setrlimit(RLIMIT_FSIZE, &small);
    const spl_audit_event event = {.actor = "key:alice", .action = "job.create", .outcome = "ok"};
    const int refused = spl_audit_write(audit, &event, &error);
    setrlimit(RLIMIT_FSIZE, &limit);
    assert_int_equal(refused, SPL_E_IO);
    write_event(audit, "job.create", "when there is room again");
    truncation_fails = false;
    spl_audit_close(audit);
    expect(0,
           "00000001.jsonl: 2 lines, whole so far (still open, or its process was killed), last");
    expect(0, "; an event of which 20 bytes were written follows: the disk was full");
    expect(0, "00000002.jsonl: 4 lines, whole, last mac ");
}

/* Whether a line is on the disk is unknown when the flush fails, so its event is refused, and
 * reported as missed. */
static void a_failed_flush_is_a_gap(void **state) {
    (void)state;
    spl_audit *audit;
    spl_error error;
    assert_int_equal(spl_audit_open(folder, key, SPACE, &audit, &error), 0);
    const spl_audit_event event = {.actor = "key:alice", .action = "job.create", .outcome = "ok"};
    next_flush_fails = true;
    assert_int_equal(spl_audit_write(audit, &event, &error), SPL_E_IO);
    assert_non_null(strstr(error.message, "cannot flush"));
    write_event(audit, "job.create", "job");
    spl_audit_close(audit);
    expect(0, "00000002.jsonl: 4 lines, whole, last mac ");
    size_t size;
    SPL_CLEANUP(spl_free_p) char *text = read_file(2, &size);
    assert_non_null(strstr(text, "\"action\":\"audit.gap\",\"detail\":\"1 events since "));
}

static char *name_of(const char *name) {
    static char path[PATH_MAX + 64];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static void make_file(const char *name) {
    const int fd = open(name_of(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
}

static void numbers_do_not_wrap(void **state) {
    (void)state;
    static const char *const others[] = {"4294967295.jsonl", "100000000.jsonl", "9999999.jsonl",
                                         "+9999999.jsonl", "99999998.jsonl.gz"};
    spl_audit *audit;
    spl_error error;
    write_file(1, false);
    for (size_t i = 0; i < SPL_ARRAY_SIZE(others); i++)
        make_file(others[i]);
    write_file(1, false);
    expect(0, "00000002.jsonl: 3 lines, whole, last mac ");
    make_file("99999999.jsonl");
    assert_int_equal(spl_audit_open(folder, key, SPACE, &audit, &error), SPL_E_LIMIT);
    assert_non_null(strstr(error.message, "move the audit log away"));
    assert_int_equal(unlink(name_of("99999999.jsonl")), 0);
    for (size_t i = 0; i < SPL_ARRAY_SIZE(others); i++)
        assert_int_equal(unlink(name_of(others[i])), 0);
}

static void no_folder_no_log(void **state) {
    (void)state;
    SPL_CLEANUP(spl_free_p) char *report = NULL;
    assert_int_equal(verify(key, &report), SPL_E_NOT_FOUND);
    assert_int_equal(mkdir(folder, 0700), 0);
    free(SPL_STEAL(report));
    assert_int_equal(verify(key, &report), SPL_E_NOT_FOUND);
}

int main(void) {
#define CASE(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        CASE(what_was_written_verifies),
        CASE(another_key_does_not_verify),
        CASE(each_changed_byte_shows),
        CASE(a_removed_or_moved_line_shows),
        CASE(a_cut_end_shows),
        CASE(a_removed_or_renamed_file_shows),
        CASE(old_files_may_be_put_away),
        CASE(a_killed_process_is_no_tampering),
        CASE(hostile_texts_stay_in_their_line),
        CASE(threads_make_one_chain),
        CASE(a_full_disk_is_reported_and_leaves_no_half_line),
        CASE(disk_space_is_reserved),
        CASE(files_follow_each_other),
        CASE(a_torn_line_is_explained),
        CASE(a_failed_flush_is_a_gap),
        CASE(numbers_do_not_wrap),
        CASE(no_folder_no_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * Logs: each line is one JSON object, whatever the fields contain, from many threads at once and
 * during rotation.
 */
#include "service/observe/log.h"

#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static char folder[] = "/tmp/observe_log_test.XXXXXX";
static char path[64];

enum { FILE_MAX_BYTES = 1 << 20 };

static int open_log(void **state) {
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/log", folder);
    spl_error error;
    return spl_log_open(path, FILE_MAX_BYTES, SPL_LOG_INFO, &error);
}

static int remove_log(void **state) {
    (void)state;
    remove(path);
    return rmdir(folder);
}

/* Calls `visit` for each line of the log, parsed as JSON, and empties the log. Returns the number
 * of lines. */
static size_t read_lines(void (*visit)(const json_t *line)) {
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    char *line = NULL;
    size_t room = 0, count = 0;
    ssize_t length;
    while ((length = getline(&line, &room, file)) > 0) {
        for (ssize_t i = 0; i < length - 1; i++)
            assert_in_range(line[i], ' ', 0x7f);
        assert_int_equal(line[length - 1], '\n');
        json_error_t problem;
        json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, &problem);
        if (!object)
            fail_msg("%s: %s", problem.text, line);
        visit(object);
        json_decref(object);
        count++;
    }
    free(line);
    fclose(file);
    assert_int_equal(truncate(path, 0), 0);
    return count;
}

static const char *text_of(const json_t *line, const char *name) {
    return json_string_value(json_object_get(line, name));
}

static void check_fields(const json_t *line) {
    assert_string_equal(text_of(line, "level"), "warning");
    assert_string_equal(text_of(line, "event"), "test.event");
    assert_int_equal(strlen(text_of(line, "time")), 24);
    assert_string_equal(text_of(line, "request_id"), "r1");
    assert_null(json_object_get(line, "job"));
    assert_int_equal(json_integer_value(json_object_get(line, "n")), -5);
    assert_true(json_real_value(json_object_get(line, "x")) == 0.25);
    assert_true(json_is_null(json_object_get(line, "infinite")));
    assert_true(json_is_true(json_object_get(line, "yes")));
    assert_true(json_is_null(json_object_get(line, "none")));
}

static void has_context_and_fields(void **state) {
    (void)state;
    strncpy(spl_log_context_get()->request_id, "r1", 3);
    spl_log(SPL_LOG_DEBUG, "below.level");
    spl_log(SPL_LOG_WARNING, "test.event", SPL_INTEGER("n", -5), SPL_NUMBER("x", 0.25),
            SPL_NUMBER("infinite", INFINITY), SPL_BOOL("yes", true), SPL_TEXT("none", NULL));
    assert_int_equal(read_lines(check_fields), 1);
    *spl_log_context_get() = (spl_log_context){0};
}

/* Hostile texts, and how they are logged. */
static const struct {
    const char *given, *logged;
} hostile[] = {
    {"\"}\n{\"level\":\"error\"", "\"}\n{\"level\":\"error\""},
    {"\r\n\t\x1b[2J\x7f\\", "\r\n\t\x1b[2J\x7f\\"},
    {"caf\xc3\xa9 \xf0\x9f\x8e\xb5", "caf\xc3\xa9 \xf0\x9f\x8e\xb5"},
    {"\xc2\x9b"
     "31m \xe2\x80\xa8",
     "\xc2\x9b"
     "31m \xe2\x80\xa8"},
    {"\xff|\xc3|\xc0\xaf|\xed\xa0\x80|\xf5\x80\x80\x80|\xe2\x82",
     "\xef\xbf\xbd|\xef\xbf\xbd|\xef\xbf\xbd\xef\xbf\xbd|\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd|"
     "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd|\xef\xbf\xbd\xef\xbf\xbd"},
};
static size_t hostile_seen;

static void check_hostile(const json_t *line) {
    assert_string_equal(text_of(line, "text"), hostile[hostile_seen++].logged);
    assert_string_equal(text_of(line, "level"), "info");
}

static void survives_hostile_texts(void **state) {
    (void)state;
    for (size_t i = 0; i < SPL_ARRAY_SIZE(hostile); i++)
        spl_log(SPL_LOG_INFO, "test", SPL_TEXT("text", hostile[i].given));
    assert_int_equal(read_lines(check_hostile), SPL_ARRAY_SIZE(hostile));
}

static void check_cut(const json_t *line) {
    const char *text = text_of(line, "text");
    assert_in_range(strlen(text), 1022, 1024);
    /* Characters are not cut, or jansson would have refused the line. */
    assert_true(strspn(text, "\xe2\x82\xac") == strlen(text));
}

static void cuts_long_texts_between_characters(void **state) {
    (void)state;
    char text[3001] = "";
    for (size_t i = 0; i < 1000; i++)
        memcpy(text + 3 * i, "\xe2\x82\xac", 3);
    spl_log(SPL_LOG_INFO, "test", SPL_TEXT("text", text));
    assert_int_equal(read_lines(check_cut), 1);
}

enum { THREADS = 8, LINES = 200 };
static size_t seen[THREADS];

static void *log_many(void *number) {
    const size_t thread = *(size_t *)number;
    snprintf(spl_log_context_get()->key, 64, "key:%zu", thread);
    for (size_t i = 0; i < LINES; i++)
        spl_log(SPL_LOG_INFO, "test", SPL_INTEGER("thread", thread), SPL_INTEGER("line", i));
    return NULL;
}

static void check_order(const json_t *line) {
    const size_t thread = (size_t)json_integer_value(json_object_get(line, "thread"));
    assert_int_equal(json_integer_value(json_object_get(line, "line")), seen[thread]++);
    char key[64];
    snprintf(key, sizeof(key), "key:%zu", thread);
    assert_string_equal(text_of(line, "key"), key);
}

static void threads_do_not_mix(void **state) {
    (void)state;
    pthread_t threads[THREADS];
    size_t numbers[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, log_many, &numbers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(read_lines(check_order), THREADS * LINES);
}

static void ignore(const json_t *line) {
    (void)line;
}

static void follows_rotation(void **state) {
    (void)state;
    char rotated[80];
    snprintf(rotated, sizeof(rotated), "%s.1", path);
    spl_log(SPL_LOG_INFO, "before");
    assert_int_equal(rename(path, rotated), 0);
    spl_error error;
    assert_int_equal(spl_log_reopen(&error), 0);
    spl_log(SPL_LOG_INFO, "after");
    assert_int_equal(read_lines(ignore), 1);
    assert_int_equal(remove(rotated), 0);
}

static void has_a_largest_size(void **state) {
    (void)state;
    char rotated[80], text[1001];
    snprintf(rotated, sizeof(rotated), "%s.1", path);
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    for (size_t i = 0; i < 3 * FILE_MAX_BYTES / sizeof(text); i++)
        spl_log(SPL_LOG_INFO, "long", SPL_TEXT("text", text));
    struct stat status;
    assert_int_equal(stat(rotated, &status), 0);
    assert_in_range(status.st_size, FILE_MAX_BYTES, FILE_MAX_BYTES + 2000);
    assert_int_equal(stat(path, &status), 0);
    assert_in_range(status.st_size, 0, FILE_MAX_BYTES - 1);
    /* A rotation that renamed the file and could not open a new one is made up for by the next. */
    assert_int_equal(rename(path, rotated), 0);
    for (size_t i = 0; i < FILE_MAX_BYTES / sizeof(text) + 1; i++)
        spl_log(SPL_LOG_INFO, "long", SPL_TEXT("text", text));
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(remove(rotated), 0);
    read_lines(ignore);
}

static void reports_a_file_that_cannot_be_written(void **state) {
    (void)state;
    spl_error error = {0};
    assert_int_equal(spl_log_open("/nowhere/log", 0, SPL_LOG_INFO, &error), SPL_E_NOT_FOUND);
    assert_non_null(strstr(error.message, "/nowhere/log"));
    spl_log(SPL_LOG_INFO, "goes on where it went before");
    assert_int_equal(read_lines(ignore), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_context_and_fields),
        cmocka_unit_test(survives_hostile_texts),
        cmocka_unit_test(cuts_long_texts_between_characters),
        cmocka_unit_test(threads_do_not_mix),
        cmocka_unit_test(follows_rotation),
        cmocka_unit_test(has_a_largest_size),
        cmocka_unit_test(reports_a_file_that_cannot_be_written),
    };
    return cmocka_run_group_tests(tests, open_log, remove_log);
}

/* SPDX-License-Identifier: MIT
 *
 * Identifiers: unique, sorted, and accepted from clients only in the form that the standards allow.
 */
#include "service/core/ids.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void uuids_are_version_7_and_sorted(void **state) {
    (void)state;
    char before[37] = "";
    /* More than the counter's 4,096 per millisecond. */
    for (size_t i = 0; i < 20000; i++) {
        char uuid[37];
        spl_uuid_make(uuid);
        assert_true(spl_uuid_valid(uuid));
        assert_true(strcmp(before, uuid) < 0);
        memcpy(before, uuid, sizeof(before));
    }
}

enum { THREADS = 4, UUIDS = 5000 };
static char made[THREADS * UUIDS][37];

static void *make_many(void *first) {
    for (size_t i = 0; i < UUIDS; i++)
        spl_uuid_make(((char(*)[37])first)[i]);
    return NULL;
}

static int compare(const void *a, const void *b) {
    return strcmp(a, b);
}

static void uuids_of_threads_differ(void **state) {
    (void)state;
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, make_many, made[i * UUIDS]), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    qsort(made, THREADS * UUIDS, sizeof(made[0]), compare);
    for (size_t i = 1; i < THREADS * UUIDS; i++)
        assert_string_not_equal(made[i - 1], made[i]);
}

static void other_ids_are_refused(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "",
        "01932e5b-7f1c-7abc-8def-0123456789a",
        "01932e5b-7f1c-7abc-8def-0123456789abc",
        "01932E5B-7f1c-7abc-8def-0123456789ab",
        "01932e5b-7f1c-4abc-8def-0123456789ab",
        "01932e5b-7f1c-7abc-cdef-0123456789ab",
        "01932e5b-7f1c-7abc-8def-0123456789a/",
        "../../../../../../etc/passwd........",
        "01932e5b_7f1c-7abc-8def-0123456789ab",
    };
    assert_true(spl_uuid_valid("01932e5b-7f1c-7abc-8def-0123456789ab"));
    for (size_t i = 0; i < SPL_ARRAY_SIZE(wrong); i++)
        assert_false(spl_uuid_valid(wrong[i]));
}

static void request_ids_are_taken_over_when_harmless(void **state) {
    (void)state;
    char id[64];
    spl_request_id_choose("abc-DEF_1.2", id);
    assert_string_equal(id, "abc-DEF_1.2");
    char longest[65];
    memset(longest, 'x', 64);
    longest[63] = '\0';
    spl_request_id_choose(longest, id);
    assert_string_equal(id, longest);
    longest[63] = 'x';
    longest[64] = '\0';
    const char *const wrong[] = {NULL, "", "a b", "a\"b", "a\nb", "\xc3\xa9", longest};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(wrong); i++) {
        spl_request_id_choose(wrong[i], id);
        assert_true(spl_uuid_valid(id));
    }
}

static void a_valid_trace_goes_on(void **state) {
    (void)state;
    spl_trace trace;
    spl_trace_start("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", &trace);
    assert_string_equal(trace.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_int_equal(strncmp(trace.parent, "00-4bf92f3577b34da6a3ce929d0e0e4736-", 36), 0);
    assert_string_equal(trace.parent + 52, "-01");
    assert_int_not_equal(strncmp(trace.parent + 36, "00f067aa0ba902b7", 16), 0);
    spl_trace_start("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-will-be", &trace);
    assert_string_equal(trace.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
}

static void an_invalid_trace_is_replaced(void **state) {
    (void)state;
    static const char *const wrong[] = {
        NULL,
        "",
        "00-",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
    };
    for (size_t i = 0; i < SPL_ARRAY_SIZE(wrong); i++) {
        spl_trace trace;
        spl_trace_start(wrong[i], &trace);
        assert_int_equal(strlen(trace.trace_id), 32);
        assert_int_equal(strspn(trace.trace_id, "0123456789abcdef"), 32);
        assert_string_not_equal(trace.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_int_equal(strlen(trace.parent), 55);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uuids_are_version_7_and_sorted),
        cmocka_unit_test(uuids_of_threads_differ),
        cmocka_unit_test(other_ids_are_refused),
        cmocka_unit_test(request_ids_are_taken_over_when_harmless),
        cmocka_unit_test(a_valid_trace_goes_on),
        cmocka_unit_test(an_invalid_trace_is_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * The depth limit of JSON, and the stack that the deepest JSON needs in a connection's thread.
 */
#include "base/json.h"

#include "service/http/connection/client_json.h"
#include "service/http/connection/state.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

/* The stack that parsing, writing, copying, comparing and freeing may use together. */
#define BUDGET_BYTES (SPL_HTTP_STACK_BYTES / 4)

/* Returns `depth` times `open`, a 1, and `depth` times `close`. The caller frees the string. */
static char *nest(size_t depth, const char *open, const char *close) {
    const size_t ends[] = {strlen(open), strlen(close)};
    char *text = malloc(depth * (ends[0] + ends[1]) + 2);
    assert_non_null(text);
    char *at = text;
    for (size_t i = 0; i < depth; i++)
        at = mempcpy(at, open, ends[0]);
    *at++ = '1';
    for (size_t i = 0; i < depth; i++)
        at = mempcpy(at, close, ends[1]);
    *at = '\0';
    return text;
}

static int load(const char *text, json_t **ret_value) {
    spl_error error;
    return spl_json_load(text, strlen(text), JSON_DECODE_ANY, ret_value, &error);
}

static void depth_is_counted_outside_strings(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t depth;
    } cases[] = {
        {"", 0},
        {"1", 0},
        {"[]", 1},
        {"[[],[[]],[]]", 3},
        {"{\"a\":[{}]}", 3},
        {"\"[[[[\"", 0},
        {"[\"\\\"[[[\", \"\\\\\", [1]]", 2},
        {"[\"\\", 1},
        {"]]]][", 1},
        {"[\"[[", 1},
    };
    for (size_t i = 0; i < SPL_ARRAY_SIZE(cases); i++)
        assert_int_equal(spl_json_depth(cases[i].text, strlen(cases[i].text)), cases[i].depth);
}

static void values_are_counted_outside_strings(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t values;
    } cases[] = {
        {"1", 1},     {"[1,1,1]", 4}, {"{\"a\":{},\"b\":[[]]}", 6}, {"[\",,[[\\\",\",2]", 3},
        {"[\",,", 2},
    };
    for (size_t i = 0; i < SPL_ARRAY_SIZE(cases); i++)
        assert_int_equal(spl_json_values(cases[i].text, strlen(cases[i].text)), cases[i].values);
}

static void text_that_is_too_deep_is_refused(void **state) {
    (void)state;
    static const size_t depths[] = {SPL_JSON_DEPTH_MAX + 1, 1800, 2047, 2048, 100000};
    static const char *const ends[][2] = {{"[", "]"}, {"{\"a\":", "}"}, {"[", ""}};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(depths); i++) {
        for (size_t k = 0; k < SPL_ARRAY_SIZE(ends); k++) {
            SPL_CLEANUP(spl_free_p) char *text = nest(depths[i], ends[k][0], ends[k][1]);
            json_t *value = NULL;
            assert_int_equal(load(text, &value), SPL_E_LIMIT);
            assert_null(value);
            assert_null(spl_json_load_own(text));
        }
    }
}

static void malformed_text_is_refused(void **state) {
    (void)state;
    static const char *const texts[] = {"", "{", "[1,]", "{\"a\":1,\"a\":2}", "[1] 2", "nan"};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(texts); i++) {
        json_t *value = NULL;
        assert_int_equal(load(texts[i], &value), SPL_E_FORMAT);
        assert_null(value);
    }
    assert_null(spl_json_load_own(NULL));
}

/* Calls every recursive function at the depth limit. Returns NULL or what went wrong. */
static void *use_deepest(void *text) {
    static char wrong[] = "wrong", *failure = wrong;
    json_t *value = NULL;
    if (load(text, &value) < 0)
        return failure;
    json_t *copy = json_deep_copy(value);
    char *sorted = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    char *indented = json_dumps(value, JSON_INDENT(2) | JSON_ENCODE_ANY);
    const bool good = copy && json_equal(copy, value) && sorted && indented;
    json_decref(copy);
    json_decref(value);
    free(sorted);
    free(indented);
    return good ? NULL : failure;
}

/* Runs `work` on a thread with the service's stack size. Returns the number of stack bytes that
 * were touched. */
static size_t measure_stack(void *(*work)(void *), void *argument) {
    unsigned char *stack = mmap(NULL, SPL_HTTP_STACK_BYTES, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    assert_true(stack != MAP_FAILED);
    pthread_attr_t attributes;
    pthread_t thread;
    void *failure;
    pthread_attr_init(&attributes);
    assert_int_equal(pthread_attr_setstack(&attributes, stack, SPL_HTTP_STACK_BYTES), 0);
    assert_int_equal(pthread_create(&thread, &attributes, work, argument), 0);
    assert_int_equal(pthread_join(thread, &failure), 0);
    pthread_attr_destroy(&attributes);
    assert_null(failure);
    size_t untouched = 0;
    while (untouched < SPL_HTTP_STACK_BYTES && stack[untouched] == 0)
        untouched++;
    munmap(stack, SPL_HTTP_STACK_BYTES);
    return SPL_HTTP_STACK_BYTES - untouched;
}

static void the_deepest_fits_on_a_connections_stack(void **state) {
    (void)state;
    static const char *const ends[][2] = {{"[", "]"}, {"{\"a\":", "}"}};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(ends); i++) {
        SPL_CLEANUP(spl_free_p) char *text = nest(SPL_JSON_DEPTH_MAX, ends[i][0], ends[i][1]);
        const size_t used = measure_stack(use_deepest, text);
        print_message("%zu bytes for %d levels of %s\n", used, SPL_JSON_DEPTH_MAX, ends[i][0]);
        assert_true(used < BUDGET_BYTES);
    }
}

static void reports_why_to_clients(void **state) {
    (void)state;
    spl_problem problem;
    json_t *value = NULL;
    SPL_CLEANUP(spl_free_p) char *deepest = nest(SPL_CLIENT_JSON_DEPTH_MAX, "[", "]");
    assert_int_equal(spl_client_json_parse(deepest, strlen(deepest), NULL, &value, &problem), 0);
    json_decref(value);
    SPL_CLEANUP(spl_free_p) char *deeper = nest(SPL_CLIENT_JSON_DEPTH_MAX + 1, "[", "]");
    assert_true(spl_client_json_parse(deeper, strlen(deeper), "metadata", &value, &problem) < 0);
    assert_int_equal(problem.code, SPL_PROBLEM_INVALID);
    assert_string_equal(problem.field, "metadata");
    assert_string_equal(problem.detail,
                        "The field is JSON that is nested more than 32 levels deep");
    char many[2 * SPL_CLIENT_JSON_VALUES_MAX + 2] = "[";
    for (size_t i = 0; i < SPL_CLIENT_JSON_VALUES_MAX; i++)
        memcpy(many + 1 + 2 * i, i > 0 ? ",1" : " 1", 2);
    many[sizeof(many) - 1] = ']';
    assert_true(spl_client_json_parse(many, sizeof(many), NULL, &value, &problem) < 0);
    assert_int_equal(problem.code, SPL_PROBLEM_INVALID);
    assert_string_equal(problem.detail, "The body is JSON of more than 10000 values");
    many[1 + 2 * SPL_CLIENT_JSON_VALUES_MAX - 2] = ']';
    assert_int_equal(spl_client_json_parse(many, sizeof(many) - 2, NULL, &value, &problem), 0);
    json_decref(value);
    assert_true(spl_client_json_parse("{", 1, NULL, &value, &problem) < 0);
    assert_int_equal(problem.code, SPL_PROBLEM_BAD_REQUEST);
}

/* The messages do not quote the text, which may be a client's. */
static void errors_have_their_own_texts(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"{\"a\": secret}", "is not valid JSON: line 1, column 12: syntax error"},
        {"[1,\n 2", "is not valid JSON: line 2, column 2: the text ends too early"},
        {"[1] secret", "is not valid JSON: line 1, column 10: something follows the value"},
        {"[\"\xff\"]", "is not valid JSON: line 1, column 2: a string is not UTF-8"},
        {"{\"secret\":1,\"secret\":2}", ": a name appears twice in an object"},
        {"[1e999]", ": a number is too large"},
        {"[\"\\u0000\"]", ": a string contains NUL"},
    };
    for (size_t i = 0; i < SPL_ARRAY_SIZE(cases); i++) {
        json_t *value;
        spl_error error;
        assert_int_equal(spl_json_load(cases[i][0], strlen(cases[i][0]), 0, &value, &error),
                         SPL_E_FORMAT);
        if (!strstr(error.message, cases[i][1]) || strstr(error.message, "secret"))
            fail_msg("%s: %s", cases[i][0], error.message);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(depth_is_counted_outside_strings),
        cmocka_unit_test(values_are_counted_outside_strings),
        cmocka_unit_test(text_that_is_too_deep_is_refused),
        cmocka_unit_test(malformed_text_is_refused),
        cmocka_unit_test(the_deepest_fits_on_a_connections_stack),
        cmocka_unit_test(reports_why_to_clients),
        cmocka_unit_test(errors_have_their_own_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

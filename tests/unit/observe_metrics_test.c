/* SPDX-License-Identifier: MIT
 *
 * Metrics: counts are correct, also from many threads, and the number of series is bounded. With an
 * argument, prints the metrics for promtool (tests/deploy).
 */
#include "service/observe/metrics.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char *written(void) {
    char *text;
    size_t size;
    spl_error error;
    assert_int_equal(spl_metrics_write(&text, &size, &error), 0);
    assert_int_equal(strlen(text), size);
    return text;
}

/* Returns the value of `series`. Fails if the series does not exist. */
static double value_of(const char *series) {
    SPL_CLEANUP(spl_free_p) char *text = written();
    for (char *line = text; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        const size_t length = strlen(series);
        if (strncmp(line, series, length) == 0 && line[length] == ' ')
            return strtod(line + length, NULL);
    }
    fail_msg("%s is not there", series);
    return 0;
}

static void request(const char *method, const char *route, unsigned status, double seconds,
                    const char *problem) {
    const spl_request_metrics metrics = {.method = method,
                                         .route = route,
                                         .status = status,
                                         .seconds = seconds,
                                         .received_bytes = 10,
                                         .sent_bytes = 20};
    spl_metrics_request(&metrics, problem);
}

static void requests_are_counted(void **state) {
    (void)state;
    request("GET", "/v1/jobs/{id}", 200, 0.003, NULL);
    request("GET", "/v1/jobs/{id}", 200, 0.03, NULL);
    request("GET", "/v1/jobs/{id}", 404, 1000, "not-found");
    assert_true(
        value_of(
            "spleeter_requests_total{method=\"GET\",route=\"/v1/jobs/{id}\",status=\"200\"}") == 2);
    assert_true(value_of("spleeter_errors_total{code=\"not-found\"}") == 1);
    assert_true(value_of("spleeter_errors_total{code=\"internal\"}") == 0);
#define LATENCY(part, bound)                                                                       \
    value_of("spleeter_request_latency_seconds" part "{route=\"/v1/jobs/{id}\"" bound "}")
    assert_true(LATENCY("_bucket", ",le=\"0.005\"") == 1);
    assert_true(LATENCY("_bucket", ",le=\"0.05\"") == 2);
    assert_true(LATENCY("_bucket", ",le=\"300\"") == 2);
    assert_true(LATENCY("_bucket", ",le=\"+Inf\"") == 3);
    assert_true(LATENCY("_count", "") == 3);
    assert_true(LATENCY("_sum", "") == 1000.033);
    assert_true(value_of("spleeter_received_bytes_total") == 30);
    assert_true(value_of("spleeter_sent_bytes_total") == 60);
}

static void jobs_are_counted(void **state) {
    (void)state;
    spl_metrics_job(SPL_OUTCOME_SUCCEEDED, 200, 2);
    spl_metrics_job(SPL_OUTCOME_FAILED, 100, 1);
    spl_metrics_phase(SPL_PHASE_SEPARATE, 2);
    assert_true(value_of("spleeter_files_processed_total{outcome=\"succeeded\"}") == 1);
    assert_true(value_of("spleeter_files_processed_total{outcome=\"failed\"}") == 1);
    assert_true(value_of("spleeter_files_processed_total{outcome=\"reused\"}") == 0);
    assert_true(value_of("spleeter_audio_seconds_total") == 200);
    assert_true(value_of("spleeter_real_time_factor_bucket{le=\"75\"}") == 0);
    assert_true(value_of("spleeter_real_time_factor_bucket{le=\"100\"}") == 1);
    assert_true(value_of("spleeter_phase_seconds_bucket{phase=\"separate\",le=\"2.5\"}") == 1);
    assert_true(value_of("spleeter_phase_seconds_count{phase=\"scan\"}") == 0);
}

static void counters_and_gauges_change(void **state) {
    (void)state;
    spl_metrics_count(SPL_COUNTER_WEBHOOKS_DEAD, 3);
    spl_metrics_set(SPL_GAUGE_QUEUE_DEPTH, 7);
    spl_metrics_add(SPL_GAUGE_CURRENT_JOBS, 2);
    spl_metrics_add(SPL_GAUGE_CURRENT_JOBS, -1);
    assert_true(value_of("spleeter_webhooks_total{outcome=\"dead\"}") == 3);
    assert_true(value_of("spleeter_queue_depth") == 7);
    assert_true(value_of("spleeter_current_jobs") == 1);
}

static void the_process_is_described(void **state) {
    (void)state;
    assert_true(value_of("process_resident_memory_bytes") > 1e6);
    assert_true(value_of("process_virtual_memory_bytes") >=
                value_of("process_resident_memory_bytes"));
    assert_true(value_of("process_start_time_seconds") > 1.7e9);
    assert_true(value_of("process_start_time_seconds") == value_of("process_start_time_seconds"));
    assert_true(value_of("process_open_fds") >= 3);
    assert_true(value_of("process_threads") >= 1);
    const double files = value_of("process_open_fds");
    FILE *one_more = fopen("/dev/null", "r");
    assert_true(value_of("process_open_fds") == files + 1);
    fclose(one_more);
}

enum { THREADS = 8, COUNTS = 2000 };

static void *count_many(void *unused) {
    for (size_t i = 0; i < COUNTS; i++) {
        spl_metrics_count(SPL_COUNTER_CACHE_HITS, 1);
        spl_metrics_add(SPL_GAUGE_CONNECTIONS, i % 2 == 0 ? 1 : -1);
        request("POST", "/v1/jobs", 202, 0.1, NULL);
    }
    return unused;
}

static void threads_lose_no_count(void **state) {
    (void)state;
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_many, NULL), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_true(value_of("spleeter_cache_hits_total") == THREADS * COUNTS);
    assert_true(value_of("spleeter_connections") == 0);
    assert_true(
        value_of("spleeter_requests_total{method=\"POST\",route=\"/v1/jobs\",status=\"202\"}") ==
        THREADS * COUNTS);
}

static size_t count_lines(void) {
    SPL_CLEANUP(spl_free_p) char *text = written();
    size_t lines = 0;
    for (const char *c = text; *c; c++)
        lines += *c == '\n';
    return lines;
}

static void series_are_bounded(void **state) {
    (void)state;
    static char routes[3000][16];
    size_t most = 0;
    for (size_t i = 0; i < SPL_ARRAY_SIZE(routes); i++) {
        snprintf(routes[i], sizeof(routes[i]), "/made/up/%zu", i);
        request("GET", routes[i], 200, 1, NULL);
        if (i == 1000)
            most = count_lines();
    }
    assert_int_equal(count_lines(), most);
    assert_true(value_of("spleeter_requests_total{method=\"other\",route=\"other\",status=\"0\"}") >
                2000);
}

int main(int argc, char **argv) {
    (void)argv;
    if (argc > 1) {
        request("GET", "/v1/jobs/{id}", 200, 0.003, NULL);
        SPL_CLEANUP(spl_free_p) char *text = written();
        return fputs(text, stdout) < 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_counted),       cmocka_unit_test(jobs_are_counted),
        cmocka_unit_test(counters_and_gauges_change), cmocka_unit_test(the_process_is_described),
        cmocka_unit_test(threads_lose_no_count),      cmocka_unit_test(series_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

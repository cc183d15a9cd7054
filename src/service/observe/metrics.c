/* SPDX-License-Identifier: MIT
 *
 * All metrics are in one static struct under one mutex. A request updates them only a few times, so
 * contention is negligible.
 *
 * Series whose labels are known in advance exist from the start, at zero, so that rates include
 * their first event. Series of requests are added as routes and statuses occur, in a table of fixed
 * size; what does not fit is counted under method "other".
 */
#include "service/observe/metrics.h"

#include "base/clock.h"
#include "base/descriptors.h"
#include "service/core/problem.h"

#include <spleeter/spleeter.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define BUCKETS_MAX  16
#define ROUTES_MAX   48
#define REQUESTS_MAX 512

/* ---- Names ---- */

static const char *const phase_names[SPL_PHASE_COUNT] = {
    [SPL_PHASE_UPLOAD] = "upload", [SPL_PHASE_SCAN] = "scan",         [SPL_PHASE_PROBE] = "probe",
    [SPL_PHASE_DECODE] = "decode", [SPL_PHASE_SEPARATE] = "separate", [SPL_PHASE_ENCODE] = "encode",
};

static const char *const outcome_names[SPL_OUTCOME_COUNT] = {
    [SPL_OUTCOME_SUCCEEDED] = "succeeded", [SPL_OUTCOME_FAILED] = "failed",
    [SPL_OUTCOME_CANCELED] = "canceled",   [SPL_OUTCOME_RETRIED] = "retried",
    [SPL_OUTCOME_REUSED] = "reused",
};

typedef struct metric {
    const char *name;
    const char *label; /* NAME="VALUE" in braces, or NULL. Rows of one name are adjacent. */
    const char *help;
} metric;

static const metric counters[SPL_COUNTER_COUNT] = {
    [SPL_COUNTER_CACHE_HITS] = {"spleeter_cache_hits_total", NULL,
                                "Jobs that reused an earlier result."},
    [SPL_COUNTER_CACHE_MISSES] = {"spleeter_cache_misses_total", NULL,
                                  "Jobs without an earlier result to reuse."},
    [SPL_COUNTER_WEBHOOKS_DELIVERED] = {"spleeter_webhooks_total", "{outcome=\"delivered\"}",
                                        "Attempts to deliver webhooks, by outcome."},
    [SPL_COUNTER_WEBHOOKS_RETRIED] = {"spleeter_webhooks_total", "{outcome=\"retried\"}", NULL},
    [SPL_COUNTER_WEBHOOKS_DEAD] = {"spleeter_webhooks_total", "{outcome=\"dead\"}", NULL},
    [SPL_COUNTER_UPLOADS_INFECTED] = {"spleeter_uploads_infected_total", NULL,
                                      "Uploads in which the virus scanner found a signature."},
    [SPL_COUNTER_SCAN_FAILURES] = {"spleeter_scan_failures_total", NULL,
                                   "Scans without a usable answer; their uploads were refused."},
    [SPL_COUNTER_AUTH_FAILURES] = {"spleeter_auth_failures_total", NULL,
                                   "Requests with missing or wrong credentials."},
    [SPL_COUNTER_LEASES_LOST] = {"spleeter_leases_lost_total", NULL,
                                 "Jobs whose lease a worker lost."},
    [SPL_COUNTER_DEAD_LETTERS] = {"spleeter_dead_letters_total", NULL,
                                  "Jobs that failed after all their attempts."},
    [SPL_COUNTER_JWKS_FETCHES] = {"spleeter_jwks_fetches_total", NULL,
                                  "Fetches of the issuer's keys."},
    [SPL_COUNTER_CONNECTIONS_CUT] = {"spleeter_connections_cut_total", NULL,
                                     "Connections closed because they were too slow or too many."},
    [SPL_COUNTER_LOG_LINES_LOST] = {"spleeter_log_lines_lost_total", NULL,
                                    "Log lines that could not be written."},
    [SPL_COUNTER_AUDIT_EVENTS_MISSED] = {"spleeter_audit_events_missed_total", NULL,
                                         "Events that the audit log could not store."},
};

static const metric gauges[SPL_GAUGE_COUNT] = {
    [SPL_GAUGE_CURRENT_JOBS] = {"spleeter_current_jobs", NULL, "Running jobs."},
    [SPL_GAUGE_QUEUE_DEPTH] = {"spleeter_queue_depth", NULL, "Queued jobs."},
    [SPL_GAUGE_QUEUE_OLDEST_SECONDS] = {"spleeter_queue_oldest_seconds", NULL,
                                        "Age of the oldest queued job in seconds."},
    [SPL_GAUGE_CONNECTIONS] = {"spleeter_connections", NULL, "Open client connections."},
    [SPL_GAUGE_DISK_FREE_BYTES] = {"spleeter_disk_free_bytes", NULL,
                                   "Free bytes of the disk with the data folder."},
    [SPL_GAUGE_STORED_BYTES] =
        {"spleeter_stored_bytes", NULL,
         "Bytes of stored inputs and stems, and of stems that jobs are expected to write."},
    [SPL_GAUGE_READY] = {"spleeter_ready", NULL, "1 if jobs can be accepted, else 0."},
};

/* ---- State ---- */

typedef struct histogram {
    uint64_t counts[BUCKETS_MAX + 1]; /* not cumulative; the last one is above all bounds */
    double sum;
} histogram;

/* Upper bounds, ascending, terminated by 0. */
static const double latency_bounds[BUCKETS_MAX + 1] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
                                                       1,     2.5,  5,     10,   30,  60,   300};
static const double phase_bounds[BUCKETS_MAX + 1] = {0.01, 0.05, 0.1, 0.5, 1,   2.5, 5,
                                                     10,   30,   60,  120, 300, 900, 1800};
static const double factor_bounds[BUCKETS_MAX + 1] = {0.5, 1, 2, 5, 10, 20, 50, 75, 100, 200, 500};

typedef struct request_series {
    const char *method, *route;
    unsigned status;
    uint64_t count;
} request_series;

typedef struct route_series {
    const char *route;
    histogram latency;
} route_series;

static struct {
    pthread_mutex_t mutex;
    request_series requests[REQUESTS_MAX];
    size_t request_count;
    route_series routes[ROUTES_MAX];
    size_t route_count;
    uint64_t received_bytes, sent_bytes;
    uint64_t errors[SPL_PROBLEM_COUNT];
    histogram phases[SPL_PHASE_COUNT];
    uint64_t outcomes[SPL_OUTCOME_COUNT];
    double audio_s;
    histogram real_time_factor;
    uint64_t counters[SPL_COUNTER_COUNT];
    double gauges[SPL_GAUGE_COUNT];
} state = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void observe(histogram *h, const double bounds[], double value) {
    size_t i = 0;
    while (bounds[i] > 0 && value > bounds[i])
        i++;
    h->counts[i]++;
    h->sum += value;
}

/* ---- Changes ---- */

static request_series *find_request(const char *method, const char *route, unsigned status) {
    for (size_t i = 0; i < state.request_count; i++) {
        request_series *series = &state.requests[i];
        if (series->status == status && strcmp(series->route, route) == 0 &&
            strcmp(series->method, method) == 0)
            return series;
    }
    if (state.request_count >= REQUESTS_MAX - 1 && strcmp(method, "other") != 0)
        return find_request("other", "other", 0);
    request_series *series = &state.requests[state.request_count++];
    *series = (request_series){.method = method, .route = route, .status = status};
    return series;
}

static route_series *find_route(const char *route) {
    for (size_t i = 0; i < state.route_count; i++) {
        if (strcmp(state.routes[i].route, route) == 0)
            return &state.routes[i];
    }
    if (state.route_count >= ROUTES_MAX - 1 && strcmp(route, "other") != 0)
        return find_route("other");
    route_series *series = &state.routes[state.route_count++];
    series->route = route;
    return series;
}

void spl_metrics_request(const spl_request_metrics *request, const char *problem_code) {
    pthread_mutex_lock(&state.mutex);
    find_request(request->method, request->route, request->status)->count++;
    observe(&find_route(request->route)->latency, latency_bounds, request->seconds);
    state.received_bytes += request->received_bytes;
    state.sent_bytes += request->sent_bytes;
    for (size_t i = 0; problem_code && i < SPL_PROBLEM_COUNT; i++)
        state.errors[i] += strcmp(problem_code, spl_problem_code_text((spl_problem_code)i)) == 0;
    pthread_mutex_unlock(&state.mutex);
}

void spl_metrics_phase(spl_phase phase, double seconds) {
    pthread_mutex_lock(&state.mutex);
    observe(&state.phases[phase], phase_bounds, seconds);
    pthread_mutex_unlock(&state.mutex);
}

void spl_metrics_job(spl_job_outcome outcome, double audio_s, double seconds) {
    pthread_mutex_lock(&state.mutex);
    state.outcomes[outcome]++;
    if (outcome == SPL_OUTCOME_SUCCEEDED) {
        state.audio_s += audio_s;
        if (seconds > 0)
            observe(&state.real_time_factor, factor_bounds, audio_s / seconds);
    }
    pthread_mutex_unlock(&state.mutex);
}

void spl_metrics_count(spl_counter counter, uint64_t more) {
    pthread_mutex_lock(&state.mutex);
    state.counters[counter] += more;
    pthread_mutex_unlock(&state.mutex);
}

void spl_metrics_set(spl_gauge gauge, double value) {
    pthread_mutex_lock(&state.mutex);
    state.gauges[gauge] = value;
    pthread_mutex_unlock(&state.mutex);
}

void spl_metrics_add(spl_gauge gauge, double more) {
    pthread_mutex_lock(&state.mutex);
    state.gauges[gauge] += more;
    pthread_mutex_unlock(&state.mutex);
}

/* ---- Text format 0.0.4 ---- */

static void write_head(FILE *out, const char *name, const char *type, const char *help) {
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void write_value(FILE *out, const char *name, const char *type, const char *help,
                        double value) {
    write_head(out, name, type, help);
    fprintf(out, "%s %.15g\n", name, value);
}

/* `label`: NAME="VALUE" or "". */
static void write_histogram(FILE *out, const char *name, const char *label, const histogram *h,
                            const double bounds[]) {
    const char *comma = *label ? "," : "";
    uint64_t count = 0;
    size_t i = 0;
    for (; bounds[i] > 0; i++) {
        count += h->counts[i];
        fprintf(out, "%s_bucket{%s%sle=\"%g\"} %" PRIu64 "\n", name, label, comma, bounds[i],
                count);
    }
    count += h->counts[i];
    const char *open = *label ? "{" : "", *close = *label ? "}" : "";
    fprintf(out, "%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", name, label, comma, count);
    fprintf(out, "%s_sum%s%s%s %.15g\n", name, open, label, close, h->sum);
    fprintf(out, "%s_count%s%s%s %" PRIu64 "\n", name, open, label, close, count);
}

static void write_requests(FILE *out) {
    char label[128];
    if (state.request_count > 0)
        write_head(out, "spleeter_requests_total", "counter",
                   "Requests by method, route and status.");
    for (size_t i = 0; i < state.request_count; i++) {
        const request_series *series = &state.requests[i];
        fprintf(out,
                "spleeter_requests_total{method=\"%s\",route=\"%s\",status=\"%u\"} %" PRIu64 "\n",
                series->method, series->route, series->status, series->count);
    }
    if (state.route_count > 0)
        write_head(out, "spleeter_request_latency_seconds", "histogram",
                   "Time from a request's first byte to its answer's last, by route.");
    for (size_t i = 0; i < state.route_count; i++) {
        snprintf(label, sizeof(label), "route=\"%s\"", state.routes[i].route);
        write_histogram(out, "spleeter_request_latency_seconds", label, &state.routes[i].latency,
                        latency_bounds);
    }
    write_head(
        out, "spleeter_errors_total", "counter",
        "Refused and failed requests by code, without those for what a job does not have yet.");
    for (size_t i = 0; i < SPL_PROBLEM_COUNT; i++)
        fprintf(out, "spleeter_errors_total{code=\"%s\"} %" PRIu64 "\n",
                spl_problem_code_text((spl_problem_code)i), state.errors[i]);
    write_value(out, "spleeter_received_bytes_total", "counter", "Bytes of requests' bodies.",
                (double)state.received_bytes);
    write_value(out, "spleeter_sent_bytes_total", "counter", "Bytes of answers' bodies.",
                (double)state.sent_bytes);
}

static void write_jobs(FILE *out) {
    char label[64];
    write_head(out, "spleeter_phase_seconds", "histogram", "Time by phase of the work on a file.");
    for (size_t i = 0; i < SPL_PHASE_COUNT; i++) {
        snprintf(label, sizeof(label), "phase=\"%s\"", phase_names[i]);
        write_histogram(out, "spleeter_phase_seconds", label, &state.phases[i], phase_bounds);
    }
    write_head(out, "spleeter_files_processed_total", "counter", "Jobs by how they ended.");
    for (size_t i = 0; i < SPL_OUTCOME_COUNT; i++)
        fprintf(out, "spleeter_files_processed_total{outcome=\"%s\"} %" PRIu64 "\n",
                outcome_names[i], state.outcomes[i]);
    write_value(out, "spleeter_audio_seconds_total", "counter", "Seconds of audio separated.",
                state.audio_s);
    write_head(out, "spleeter_real_time_factor", "histogram",
               "Seconds of audio separated in a second, by job.");
    write_histogram(out, "spleeter_real_time_factor", "", &state.real_time_factor, factor_bounds);
}

static void write_table(FILE *out, const metric *metrics, size_t count, const char *type,
                        double (*value)(size_t i)) {
    for (size_t i = 0; i < count; i++) {
        if (metrics[i].help)
            write_head(out, metrics[i].name, type, metrics[i].help);
        fprintf(out, "%s%s %.15g\n", metrics[i].name, metrics[i].label ? metrics[i].label : "",
                value(i));
    }
}

static double counter_value(size_t i) {
    return (double)state.counters[i];
}

static double gauge_value(size_t i) {
    return state.gauges[i];
}

/* Field `number` (from 1) of /proc/self/stat; it must come after the command's name. */
static double read_stat_field(const char *stat, int number) {
    const char *at = strrchr(stat, ')');
    for (int i = 2; at && i < number; i++)
        at = strchr(at + 1, ' ');
    return at ? strtod(at + 1, NULL) : 0;
}

/* Unix time of the process start, the same at each call. `ticks`: from boot to the start. */
static double start_time_s(double ticks) {
    static double start_s;
    if (start_s == 0) {
        struct timespec wall, since_boot;
        clock_gettime(CLOCK_REALTIME, &wall);
        clock_gettime(CLOCK_BOOTTIME, &since_boot);
        start_s = (double)(wall.tv_sec - since_boot.tv_sec) + ticks / (double)sysconf(_SC_CLK_TCK);
    }
    return start_s;
}

/* The process metrics of the official Prometheus clients. */
static void write_process(FILE *out) {
    char stat[1024] = "";
    FILE *file = fopen("/proc/self/stat", "re");
    if (file) {
        stat[fread(stat, 1, sizeof(stat) - 1, file)] = '\0';
        fclose(file);
    }
    const double ticks = (double)sysconf(_SC_CLK_TCK), page = (double)sysconf(_SC_PAGESIZE);
    struct rlimit files = {0};
    getrlimit(RLIMIT_NOFILE, &files);
    write_value(out, "process_cpu_seconds_total", "counter", "CPU time, user and system.",
                (read_stat_field(stat, 14) + read_stat_field(stat, 15)) / ticks);
    write_value(out, "process_start_time_seconds", "gauge", "When the process began, Unix time.",
                start_time_s(read_stat_field(stat, 22)));
    write_value(out, "process_virtual_memory_bytes", "gauge", "Virtual memory.",
                read_stat_field(stat, 23));
    write_value(out, "process_resident_memory_bytes", "gauge", "Resident memory.",
                read_stat_field(stat, 24) * page);
    write_value(out, "process_threads", "gauge", "Threads.", read_stat_field(stat, 20));
    write_value(out, "process_open_fds", "gauge", "Open file descriptors.",
                (double)files.rlim_cur - (double)spl_descriptors_left());
    write_value(out, "process_max_fds", "gauge", "Limit of open file descriptors.",
                (double)files.rlim_cur);
}

int spl_metrics_write(char **ret_text, size_t *ret_size, spl_error *ret_error) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return spl_fail_memory(ret_error);
    pthread_mutex_lock(&state.mutex);
    write_requests(out);
    write_jobs(out);
    write_table(out, counters, SPL_COUNTER_COUNT, "counter", counter_value);
    write_table(out, gauges, SPL_GAUGE_COUNT, "gauge", gauge_value);
    write_process(out);
    pthread_mutex_unlock(&state.mutex);
    write_head(out, "spleeter_build_info", "gauge", "Version, and instruction set of the kernels.");
    fprintf(out, "spleeter_build_info{version=\"%s\",isa=\"%s\"} 1\n", spl_version(),
            spl_cpu_isa());
    if (fclose(out) != 0) {
        free(text);
        return spl_fail_memory(ret_error);
    }
    *ret_text = text;
    *ret_size = size;
    return 0;
}

/* SPDX-License-Identifier: MIT
 *
 * Prometheus metrics, in one static table (metrics.c). Label values come from small fixed sets,
 * which bounds the number of series. Thread-safe; updates do not allocate.
 */
#ifndef SPL_SERVICE_OBSERVE_METRICS_H
#define SPL_SERVICE_OBSERVE_METRICS_H

#include "base/error.h"

/* Routes are templates ("/v1/jobs/{id}"), so that ids never become labels. */
typedef struct spl_request_metrics {
    const char *method, *route; /* from constant sets; the pointers are kept */
    unsigned status;
    double seconds;
    uint64_t received_bytes, sent_bytes;
} spl_request_metrics;

/* Updates spleeter_requests_total{method,route,status} and spleeter_request_latency_seconds{route},
 * and for 4xx and 5xx spleeter_errors_total{code}. `problem_code` may be NULL. */
void spl_metrics_request(const spl_request_metrics *request, const char *problem_code);

/* spleeter_phase_seconds{phase}: the duration of each phase. */
typedef enum spl_phase {
    SPL_PHASE_UPLOAD,
    SPL_PHASE_SCAN,
    SPL_PHASE_PROBE,
    SPL_PHASE_DECODE,
    SPL_PHASE_SEPARATE,
    SPL_PHASE_ENCODE,
    SPL_PHASE_COUNT
} spl_phase;
void spl_metrics_phase(spl_phase phase, double seconds);

/* spleeter_files_processed_total{outcome}, spleeter_audio_seconds_total, spleeter_real_time_factor
 * (histogram). */
typedef enum spl_job_outcome {
    SPL_OUTCOME_SUCCEEDED,
    SPL_OUTCOME_FAILED,
    SPL_OUTCOME_CANCELED,
    SPL_OUTCOME_RETRIED,
    SPL_OUTCOME_REUSED,
    SPL_OUTCOME_COUNT
} spl_job_outcome;
void spl_metrics_job(spl_job_outcome outcome, double audio_s, double seconds);

/* Counters without labels, or with one label from a constant set. */
typedef enum spl_counter {
    SPL_COUNTER_CACHE_HITS,
    SPL_COUNTER_CACHE_MISSES,
    SPL_COUNTER_WEBHOOKS_DELIVERED,
    SPL_COUNTER_WEBHOOKS_RETRIED,
    SPL_COUNTER_WEBHOOKS_DEAD,
    SPL_COUNTER_UPLOADS_INFECTED,
    SPL_COUNTER_SCAN_FAILURES,
    SPL_COUNTER_AUTH_FAILURES,
    SPL_COUNTER_LEASES_LOST,
    SPL_COUNTER_DEAD_LETTERS,
    SPL_COUNTER_JWKS_FETCHES,
    SPL_COUNTER_CONNECTIONS_CUT,
    SPL_COUNTER_LOG_LINES_LOST,
    SPL_COUNTER_AUDIT_EVENTS_MISSED,
    SPL_COUNTER_COUNT,
} spl_counter;
void spl_metrics_count(spl_counter counter, uint64_t more);

/* Gauges: spleeter_current_jobs, spleeter_queue_depth, spleeter_queue_oldest_seconds,
 * spleeter_connections, spleeter_disk_free_bytes, ... */
typedef enum spl_gauge {
    SPL_GAUGE_CURRENT_JOBS,
    SPL_GAUGE_QUEUE_DEPTH,
    SPL_GAUGE_QUEUE_OLDEST_SECONDS,
    SPL_GAUGE_CONNECTIONS,
    SPL_GAUGE_DISK_FREE_BYTES,
    SPL_GAUGE_STORED_BYTES,
    SPL_GAUGE_READY,
    SPL_GAUGE_COUNT,
} spl_gauge;
void spl_metrics_set(spl_gauge gauge, double value);
void spl_metrics_add(spl_gauge gauge, double more);

/* Returns all metrics in the text format 0.0.4, with spleeter_build_info and the usual process_*
 * metrics. The caller frees *ret_text. Errors: MEMORY. */
SPL_WARN_UNUSED int spl_metrics_write(char **ret_text, size_t *ret_size, spl_error *ret_error);

#endif

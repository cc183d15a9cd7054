/* SPDX-License-Identifier: MIT
 *
 * JSON logs, one line per event: {"time": "...Z", "level": "info", "event": "job.finished",
 * "request_id": ..., "trace_id": ..., "key": ..., "job": ..., and the event's own fields}. Any
 * thread may log; lines never interleave. Never log secrets.
 */
#ifndef SPL_SERVICE_OBSERVE_LOG_H
#define SPL_SERVICE_OBSERVE_LOG_H

#include "base/error.h"

typedef enum spl_log_level {
    SPL_LOG_DEBUG,
    SPL_LOG_INFO,
    SPL_LOG_WARNING,
    SPL_LOG_ERROR
} spl_log_level;

typedef struct spl_log_field {
    const char *name; /* NULL ends a list */
    enum { SPL_LOG_TEXT, SPL_LOG_INTEGER, SPL_LOG_NUMBER, SPL_LOG_BOOL } kind;
    union {
        const char *text; /* NULL gives null; invalid UTF-8 is replaced; cut at 1,024 bytes */
        int64_t integer;
        double number;
        bool truth;
    };
} spl_log_field;

#define SPL_TEXT(n, v) ((spl_log_field){.name = (n), .kind = SPL_LOG_TEXT, .text = (v)})
#define SPL_INTEGER(n, v)                                                                          \
    ((spl_log_field){.name = (n), .kind = SPL_LOG_INTEGER, .integer = (int64_t)(v)})
#define SPL_NUMBER(n, v) ((spl_log_field){.name = (n), .kind = SPL_LOG_NUMBER, .number = (v)})
#define SPL_BOOL(n, v)   ((spl_log_field){.name = (n), .kind = SPL_LOG_BOOL, .truth = (v)})

/* spl_log(SPL_LOG_INFO, "job.finished", SPL_INTEGER("samples", n), SPL_NUMBER("seconds", s)); */
#define spl_log(level, event, ...)                                                                 \
    spl_log_write((level), (event),                                                                \
                  (const spl_log_field[]){__VA_ARGS__ __VA_OPT__(, ){.name = NULL}})

/* Starts logging to `path`; "" or NULL is standard error, which its reader rotates. A file that
 * reaches `max_bytes` (0: no limit) becomes PATH.1, so that both together have about twice that
 * size at most. Not thread-safe: call it once, before the other functions. Errors: IO, PERMISSION,
 * NOT_FOUND, MEMORY. */
SPL_WARN_UNUSED int spl_log_open(const char *path, uint64_t max_bytes, spl_log_level level,
                                 spl_error *ret_error);
/* Checks that the file can be written, without creating it. Errors: as spl_log_open; NOT_FOUND if
 * there is no such file yet. */
SPL_WARN_UNUSED int spl_log_check(const char *path, spl_error *ret_error);
/* Reopens the file, for log rotation (SIGHUP). */
SPL_WARN_UNUSED int spl_log_reopen(spl_error *ret_error);
void spl_log_write(spl_log_level level, const char *event, const spl_log_field *fields);

/* The current work of a thread, added to each of its lines. */
typedef struct spl_log_context {
    char request_id[64];
    char trace_id[33]; /* of W3C traceparent; "" when none */
    char key[64];      /* the principal's id */
    char job[37];
} spl_log_context;

/* Returns the calling thread's context, at first all "". Set the fields when a piece of work starts
 * and clear them when it ends. */
spl_log_context *spl_log_context_get(void);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Each line is built in memory and written with one write to a file opened for appending. A line
 * that cannot be written is lost and counted (spleeter_log_lines_lost_total).
 */
#include "service/observe/log.h"

#include "base/clock.h"
#include "base/file.h"
#include "service/observe/json.h"
#include "service/observe/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char *const level_texts[] = {"debug", "info", "warning", "error"};

static struct {
    pthread_mutex_t mutex; /* protects fd */
    int fd;
    char *path;         /* NULL: standard error */
    uint64_t max_bytes; /* of the file; 0: no limit */
    spl_log_level level;
} sink = {.mutex = PTHREAD_MUTEX_INITIALIZER, .fd = STDERR_FILENO, .level = SPL_LOG_INFO};

static int open_file(const char *path, int make, int *ret_fd, spl_error *ret_error) {
    /* A FIFO without a reader is an error, instead of a wait for one. */
    SPL_CLEANUP(spl_close_p)
    int fd = open(path, O_WRONLY | make | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
    if (fd < 0 || fcntl(fd, F_SETFL, O_APPEND) < 0)
        return spl_fail_errno(ret_error, errno, "cannot write the log %s", path);
    *ret_fd = spl_steal_fd(&fd);
    return 0;
}

int spl_log_open(const char *path, uint64_t max_bytes, spl_log_level level, spl_error *ret_error) {
    if (path && *path) {
        SPL_CLEANUP(spl_free_p) char *copy = strdup(path);
        if (!copy)
            return spl_fail_memory(ret_error);
        const int status = open_file(path, O_CREAT, &sink.fd, ret_error);
        if (status < 0)
            return status;
        sink.path = SPL_STEAL(copy);
        sink.max_bytes = max_bytes;
    }
    sink.level = level;
    return 0;
}

int spl_log_check(const char *path, spl_error *ret_error) {
    SPL_CLEANUP(spl_close_p) int fd = -1;
    return open_file(path, 0, &fd, ret_error);
}

int spl_log_reopen(spl_error *ret_error) {
    if (!sink.path)
        return 0;
    int fd = -1;
    const int status = open_file(sink.path, O_CREAT, &fd, ret_error);
    if (status < 0)
        return status;
    pthread_mutex_lock(&sink.mutex);
    const int old = sink.fd;
    sink.fd = fd;
    pthread_mutex_unlock(&sink.mutex);
    close(old);
    return 0;
}

spl_log_context *spl_log_context_get(void) {
    static _Thread_local spl_log_context context;
    return &context;
}

static void add_text(json_t *line, const char *name, const char *text) {
    if (*text)
        json_object_set_new(line, name, spl_json_text(text));
}

static json_t *field_value(const spl_log_field *field) {
    switch (field->kind) {
    case SPL_LOG_TEXT:
        return spl_json_text(field->text);
    case SPL_LOG_INTEGER:
        return json_integer(field->integer);
    case SPL_LOG_NUMBER: {
        json_t *number = json_real(field->number);
        return number ? number : json_null(); /* JSON has no infinity */
    }
    default:
        return json_boolean(field->truth);
    }
}

/* "...}\n", owned by the caller; NULL when memory runs out. */
static char *make_line(spl_log_level level, const char *event, const spl_log_field *fields) {
    json_t *line = json_object();
    char time[25];
    spl_time_text(spl_wall_ms(), time);
    add_text(line, "time", time);
    add_text(line, "level", level_texts[level]);
    add_text(line, "event", event);
    const spl_log_context *context = spl_log_context_get();
    add_text(line, "request_id", context->request_id);
    add_text(line, "trace_id", context->trace_id);
    add_text(line, "key", context->key);
    add_text(line, "job", context->job);
    for (; fields->name; fields++)
        json_object_set_new(line, fields->name, field_value(fields));
    SPL_CLEANUP(spl_free_p) char *text = spl_json_line(line);
    json_decref(line);
    char *whole;
    return text && asprintf(&whole, "%s\n", text) >= 0 ? whole : NULL;
}

/* Call with the mutex held. Renames a file that has reached its size to PATH.1, replacing an older
 * one. When that fails, logging continues in the open file. */
static void rotate(void) {
    struct stat status;
    if (!sink.path || sink.max_bytes == 0 || fstat(sink.fd, &status) < 0 ||
        (uint64_t)status.st_size < sink.max_bytes || !S_ISREG(status.st_mode))
        return;
    char older[PATH_MAX];
    int fd = -1;
    snprintf(older, sizeof(older), "%s.1", sink.path);
    /* The path is missing when an earlier rotation could not open the new file. */
    if ((rename(sink.path, older) < 0 && errno != ENOENT) ||
        open_file(sink.path, O_CREAT, &fd, NULL) < 0)
        return;
    close(sink.fd);
    sink.fd = fd;
}

void spl_log_write(spl_log_level level, const char *event, const spl_log_field *fields) {
    if (level < sink.level)
        return;
    const int kept_errno = errno;
    SPL_CLEANUP(spl_free_p) char *line = make_line(level, event, fields);
    pthread_mutex_lock(&sink.mutex);
    const int status = line ? spl_write_all(sink.fd, line, strlen(line), "the log", NULL) : -1;
    rotate();
    pthread_mutex_unlock(&sink.mutex);
    if (status < 0)
        spl_metrics_count(SPL_COUNTER_LOG_LINES_LOST, 1);
    errno = kept_errno;
}

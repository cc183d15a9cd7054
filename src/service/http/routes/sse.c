/* SPDX-License-Identifier: MIT
 *
 * Server-sent events of a job (https://html.spec.whatwg.org/multipage/server-sent-events.html).
 * Each event is the whole job. The first is sent at once and the last when the job has ended; then
 * the stream closes. Periodic comments keep proxies from closing it.
 */
#include "base/clock.h"
#include "service/http/connection/access.h"
#include "service/http/connection/answer.h"
#include "service/http/routes/routes.h"

#include <inttypes.h>
#include <string.h>

#define WAIT_MS       1000
#define HEARTBEAT_S   15
#define RETRY_AFTER_S 5
#define BUFFER_BYTES  ((size_t)16 << 10)

typedef struct event_stream {
    spl_request *request; /* used by the reader only */
    int64_t version;      /* sent last; -1: none */
    double sent_s;
    bool ended;
    char *text; /* the text being sent */
    size_t size, given;
} event_stream;

static bool is_final(const json_t *job) {
    const char *status = json_string_value(json_object_get(job, "status"));
    return status && strcmp(status, "queued") != 0 && strcmp(status, "running") != 0;
}

/* Takes ownership of `text`. */
static bool set_text(event_stream *stream, char *text) {
    free(stream->text);
    stream->text = text;
    stream->size = text ? strlen(text) : 0;
    stream->given = 0;
    stream->sent_s = spl_now_s();
    return text != NULL;
}

static bool set_event(event_stream *stream, const json_t *job, int64_t version) {
    SPL_CLEANUP(spl_free_p) char *data = json_dumps(job, JSON_COMPACT);
    char *text;
    if (!data || asprintf(&text, "%sid: %" PRId64 "\nevent: job\ndata: %s\n\n",
                          stream->version < 0 ? "retry: 2000\n" : "", version, data) < 0)
        return false;
    stream->version = version;
    stream->ended = is_final(job);
    return set_text(stream, text);
}

/* Whether the token or session has expired. A stream could last much longer, and its client can
 * reconnect with a new one. */
static bool has_expired(const spl_request *request) {
    const int64_t expires_s = request->principal.expires_s;
    return expires_s > 0 &&
           spl_wall_ms() / 1000 > expires_s + (int64_t)request->parts->settings->jwt_leeway_s;
}

/* Waits for the next event or comment. False: the stream ends, and the client must reconnect. */
static bool wait_for_text(event_stream *stream) {
    spl_request *request = stream->request;
    for (;;) {
        json_auto_t *job = NULL;
        int64_t version;
        spl_problem problem;
        if (spl_request_revoked(request) || has_expired(request))
            return false;
        if (spl_jobs_get(request->parts->jobs, request->principal.owner, request->path_id, &job,
                         &version, &problem) < 0)
            return false; /* deleted */
        if (version != stream->version)
            return set_event(stream, job, version);
        if (spl_now_s() - stream->sent_s >= HEARTBEAT_S)
            return set_text(stream, strdup(": still here\n\n"));
        if (spl_request_gone(request))
            return false;
        spl_jobs_wait(request->parts->jobs, request->path_id, version, WAIT_MS);
    }
}

static ssize_t read_events(void *user, uint64_t position, char *buffer, size_t capacity) {
    (void)position;
    event_stream *stream = user;
    if (stream->given == stream->size && (stream->ended || !wait_for_text(stream)))
        return MHD_CONTENT_READER_END_OF_STREAM;
    const size_t size = SPL_MIN(capacity, stream->size - stream->given);
    memcpy(buffer, stream->text + stream->given, size);
    stream->given += size;
    stream->request->sent_bytes += size;
    return (ssize_t)size;
}

static void free_stream(void *user) {
    event_stream *stream = user;
    free(stream->text);
    free(stream);
}

int spl_events_answer(spl_request *request, spl_problem *ret_problem) {
    json_auto_t *job = NULL;
    int status = spl_jobs_get(request->parts->jobs, request->principal.owner, request->path_id,
                              &job, NULL, ret_problem);
    if (status < 0)
        return spl_refuse_job(status, ret_problem);
    if (!spl_guard_stream(request->guarded)) {
        status = spl_refuse_about(
            ret_problem, SPL_PROBLEM_QUOTA, NULL, "SPLEETER_CONNECTIONS_PER_KEY",
            "This key has reached its limit of event streams; poll the job instead");
        ret_problem->retry_after_s = RETRY_AFTER_S;
        return status;
    }
    event_stream *stream = calloc(1, sizeof(*stream));
    struct MHD_Response *response = NULL;
    if (stream) {
        *stream = (event_stream){.request = request, .version = -1};
        response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BUFFER_BYTES, read_events,
                                                     stream, free_stream);
    }
    if (!response)
        free(stream);
    request->must_close = true;
    const spl_answer_header headers[] = {{"X-Accel-Buffering", "no"}, {NULL, NULL}};
    return spl_answer_response(request, MHD_HTTP_OK, "text/event-stream", response, headers,
                               ret_problem);
}

/* SPDX-License-Identifier: MIT
 *
 * The life cycle of a request.
 */
#include "service/http/connection/callbacks.h"

#include "base/clock.h"
#include "service/http/connection/access.h"
#include "service/http/connection/answer.h"
#include "service/http/connection/client.h"
#include "service/http/connection/route.h"
#include "service/observe/log.h"
#include "service/observe/metrics.h"

#include <string.h>

/* As much of a refused body is read and discarded, besides the largest file, so that an answer with
 * the reason can be sent. */
#define DISCARD_MORE_BYTES ((uint64_t)64 << 20)

/* The request whose headers this thread is reading. */
static _Thread_local spl_request *incoming;

/* ---- Headers ---- */

typedef struct header_list {
    spl_header headers[SPL_HEADERS_MAX];
    size_t count;
    bool too_many;
} header_list;

static enum MHD_Result add_header(void *user, enum MHD_ValueKind kind, const char *name,
                                  size_t name_size, const char *value, size_t value_size) {
    (void)kind;
    header_list *list = user;
    if (list->count == SPL_ARRAY_SIZE(list->headers)) {
        list->too_many = true;
        return MHD_NO;
    }
    list->headers[list->count++] = (spl_header){name, value, name_size, value_size};
    return MHD_YES;
}

bool spl_library_can_be_strict(void) {
    return strverscmp(MHD_get_version(), "1.0.0") >= 0;
}

static int check_framing(spl_request *request, const char *version, const header_list *list) {
    if (list->too_many)
        return spl_refuse(&request->problem, SPL_PROBLEM_HEADERS_TOO_LARGE,
                          "There may be %d headers at most", SPL_HEADERS_MAX);
    if (!spl_library_can_be_strict() &&
        (version != request->raw_place + strlen(request->raw_target) + 1 ||
         !spl_framing_contiguous(version, list->headers, list->count)))
        return spl_refuse(&request->problem, SPL_PROBLEM_BAD_REQUEST,
                          "Lines must end in CRLF, and may be neither folded nor hold NUL");
    return spl_framing_check(version, list->headers, list->count, &request->framing,
                             &request->problem);
}

/* White space behind a value is not part of it (RFC 9110, section 5.5). libmicrohttpd before 1.0.0
 * removes only what precedes it. The values lie in the request's memory. Headers that delimit the
 * request have been checked before, and may have none. */
static void trim_values(const header_list *list) {
    for (size_t i = 0; i < list->count; i++) {
        char *value = (char *)(uintptr_t)list->headers[i].value;
        for (size_t size = list->headers[i].value_size;
             size > 0 && (value[size - 1] == ' ' || value[size - 1] == '\t'); size--)
            value[size - 1] = '\0';
    }
}

/* ---- Start ---- */

void *spl_request_begin(void *user, const char *target, struct MHD_Connection *connection) {
    spl_request *request = calloc(1, sizeof(*request));
    char *copy = strdup(target ? target : "");
    if (!request || !copy) {
        free(request);
        free(copy);
        return NULL;
    }
    request->http = user;
    request->parts = &request->http->parts;
    request->connection = connection;
    request->raw_target = copy;
    request->raw_place = target;
    request->started_s = spl_now_s();
    incoming = request;
    return request;
}

/* Detects the messages of libmicrohttpd 0.9.75 that precede a second answer: for a malformed
 * Content-Length, and if memory runs out for cookies. It logs the same text for other headers, but
 * has read no cookie by then and answers once. */
static bool announces_two_answers(struct MHD_Connection *connection, const char *text) {
    return strstr(text, "Content-Length") || strstr(text, "parse cookies") ||
           (strstr(text, "header record") &&
            MHD_get_connection_values(connection, MHD_COOKIE_KIND, NULL, NULL) > 0);
}

/* libmicrohttpd refuses some requests before any callback receives the headers. Nothing has been
 * sent yet, so the connection can be closed before there are two answers. */
void spl_request_library_log(void *user, const char *format, va_list arguments) {
    (void)user;
    char text[512];
    vsnprintf(text, sizeof(text), format, arguments);
    spl_log(SPL_LOG_DEBUG, "http.library", SPL_TEXT("text", text));
    if (!incoming || !announces_two_answers(incoming->connection, text))
        return;
    const union MHD_ConnectionInfo *socket =
        MHD_get_connection_info(incoming->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    shutdown(socket->connect_fd, SHUT_RDWR);
}

static bool is_secure(const spl_request *request, const struct sockaddr *peer,
                      const header_list *list) {
    const spl_settings *settings = request->parts->settings;
    return request->http->certificate || strncmp(settings->public_url, "https://", 8) == 0 ||
           spl_client_uses_tls(peer, list->headers, list->count, settings->trusted_proxies);
}

/* Identifies the client and the request. Problem: BAD_REQUEST. */
static int identify(spl_request *request, const header_list *list) {
    /* libmicrohttpd 1.0 returns all connection information in one slot per connection, so each
     * result is used before the next call. */
    request->guarded =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
            ->socket_context;
    const struct sockaddr *peer =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)
            ->client_addr;
    const int status = spl_client_address(peer, list->headers, list->count,
                                          request->parts->settings->trusted_proxies,
                                          request->address, &request->problem);
    request->secure = is_secure(request, peer, list);
    spl_request_id_choose(spl_request_header(request, "X-Request-Id"), request->id);
    spl_trace_start(spl_request_header(request, "traceparent"), &request->trace);
    spl_log_context *context = spl_log_context_get();
    *context = (spl_log_context){0};
    snprintf(context->request_id, sizeof(context->request_id), "%s", request->id);
    snprintf(context->trace_id, sizeof(context->trace_id), "%s", request->trace.trace_id);
    return status;
}

static int refuse_body(spl_problem *ret_problem) {
    return spl_refuse(ret_problem, SPL_PROBLEM_BAD_REQUEST, "This request must have no body");
}

static int start_route(spl_request *request) {
    spl_problem *problem = &request->problem;
    int status = spl_target_parse(request->raw_target, &request->target, problem);
    if (status == 0)
        status = spl_route_find(request, problem);
    if (status < 0)
        return status;
    if (!request->route)
        return request->framing.has_body ? refuse_body(problem) : 0;
    if (request->path_id)
        snprintf(spl_log_context_get()->job, sizeof(spl_log_context_get()->job), "%s",
                 request->path_id);
    status = spl_access_check(request, problem);
    if (status < 0)
        return status;
    if (request->framing.has_body && !request->route->body)
        return refuse_body(problem);
    return request->route->start ? request->route->start(request, problem) : 0;
}

/* Handles the complete headers. An answer queued here makes libmicrohttpd stop reading and close
 * the connection. */
static enum MHD_Result open_request(spl_request *request, const char *method, const char *version) {
    request->opened = true;
    incoming = NULL;
    request->method = spl_method_name(method);
    header_list list = {.count = 0};
    MHD_get_connection_values_n(request->connection, MHD_HEADER_KIND, add_header, &list);
    const bool framed =
        identify(request, &list) == 0 && check_framing(request, version, &list) == 0;
    if (framed)
        trim_values(&list);
    spl_guard_request(request->guarded);
    request->refused = !framed || start_route(request) < 0;
    request->must_close = !framed || request->framing.has_body ||
                          spl_guard_reserved(request->guarded) ||
                          spl_guard_surplus(request->guarded) ||
                          (request->refused && request->problem.code == SPL_PROBLEM_BAD_REQUEST);
    if (framed && !request->framing.has_body)
        return MHD_YES;
    if (!request->refused) {
        spl_guard_body(request->guarded);
        return MHD_YES;
    }
    spl_guard_answer(request->guarded, true);
    return spl_answer_problem(request, &request->problem) ? MHD_YES : MHD_NO;
}

/* ---- Body, answer, end ---- */

static void free_route_state(spl_request *request) {
    if (request->free_state)
        request->free_state(request->state);
    request->free_state = NULL;
    request->state = NULL;
}

static enum MHD_Result take_body(spl_request *request, const char *data, size_t size) {
    request->received_bytes += size;
    if (request->refused) {
        request->discarded_bytes += size;
    } else if (request->route->body(request, data, size, &request->problem) < 0) {
        request->refused = true;
        free_route_state(request); /* what was received must not stay while the rest arrives */
    }
    /* libmicrohttpd does not allow an answer in the middle of a body. */
    const uint64_t most = request->parts->settings->max_file_size_bytes + DISCARD_MORE_BYTES;
    return request->discarded_bytes > most ? MHD_NO : MHD_YES;
}

static bool answer(spl_request *request) {
    spl_problem *problem = &request->problem;
    if (!request->refused && !request->route)
        return spl_answer_empty(request, MHD_HTTP_NO_CONTENT, NULL, problem) == 0;
    /* A body can take long enough for its client's key to be revoked in the meantime. */
    if (!request->refused && request->framing.has_body && spl_request_revoked(request))
        request->refused = spl_refuse_revoked(problem) < 0;
    if (!request->refused && request->route->answer(request, problem) == 0)
        return true;
    request->refused = true;
    return spl_answer_problem(request, problem);
}

enum MHD_Result spl_request_handle(void *user, struct MHD_Connection *connection, const char *url,
                                   const char *method, const char *version, const char *data,
                                   size_t *size, void **state) {
    (void)user;
    (void)connection;
    (void)url;
    spl_request *request = *state;
    if (!request)
        return MHD_NO; /* memory ran out at the request line */
    if (!request->opened)
        return open_request(request, method, version);
    if (*size > 0) {
        const size_t taken = *size;
        *size = 0;
        return take_body(request, data, taken);
    }
    spl_guard_answer(request->guarded, false);
    return answer(request) ? MHD_YES : MHD_NO;
}

/* Clients that poll a job may request what it does not have yet, which is not a fault. */
static bool is_fault(const spl_problem *problem) {
    return problem->code != SPL_PROBLEM_CONFLICT || problem->retry_after_s == 0;
}

static void record(const spl_request *request, bool complete) {
    const double seconds = spl_now_s() - request->started_s;
    const char *code = request->refused ? spl_problem_code_text(request->problem.code) : NULL;
    const char *route = request->route ? request->route->path : "none";
    const spl_request_metrics metrics = {
        .method = request->method,
        .route = route,
        .status = request->status,
        .seconds = seconds,
        .received_bytes = request->received_bytes,
        .sent_bytes = request->sent_bytes,
    };
    spl_metrics_request(&metrics, is_fault(&request->problem) ? code : NULL);
    const bool limited = request->refused && request->problem.code == SPL_PROBLEM_RATE_LIMITED;
    if ((!request->authenticated || limited) &&
        !spl_request_may_write(request, SPL_ANONYMOUS_REQUEST))
        return;
    spl_log(SPL_LOG_INFO, "http.request", SPL_TEXT("method", request->method),
            SPL_TEXT("route", route), SPL_INTEGER("status", request->status),
            SPL_TEXT("code", code), SPL_TEXT("detail", code ? request->problem.detail : NULL),
            SPL_TEXT("address", request->address), SPL_NUMBER("seconds", seconds),
            SPL_INTEGER("received_bytes", request->received_bytes),
            SPL_INTEGER("sent_bytes", request->sent_bytes), SPL_BOOL("complete", complete));
}

void spl_request_end(void *user, struct MHD_Connection *connection, void **state,
                     enum MHD_RequestTerminationCode why) {
    (void)user;
    (void)connection;
    spl_request *request = *state;
    if (!request)
        return;
    *state = NULL;
    incoming = NULL;
    free_route_state(request);
    if (request->opened) {
        record(request, why == MHD_REQUEST_TERMINATED_COMPLETED_OK);
        spl_guard_idle(request->guarded);
    }
    *spl_log_context_get() = (spl_log_context){0};
    spl_target_free(&request->target);
    free(request->raw_target);
    free(request);
}

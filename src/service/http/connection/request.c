/* SPDX-License-Identifier: MIT
 *
 * The life cycle of a request.
 */
#include "service/http/connection/request.h"

#include "base/clock.h"
#include "service/http/connection/answer.h"
#include "service/http/connection/client.h"
#include "service/http/connection/route.h"
#include "service/observe/log.h"
#include "service/observe/metrics.h"

#include <poll.h>
#include <string.h>

/* The amount of a refused body that is read and discarded, so that an answer with the reason can be
 * sent. */
#define DISCARD_MAX_BYTES ((uint64_t)64 << 20)

#define BUSY_RETRY_AFTER_S 5

/* The request whose headers this thread is reading. */
static _Thread_local spl_request *incoming;

/* ---- Headers ---- */

const char *spl_request_header(const spl_request *request, const char *name) {
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

const char *spl_request_cookie(const spl_request *request, const char *name) {
    char whole[64];
    snprintf(whole, sizeof(whole), "%s%s", request->secure ? SPL_SECURE_PREFIX : "", name);
    return MHD_lookup_connection_value(request->connection, MHD_COOKIE_KIND, whole);
}

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

/* ---- Identity ---- */

/* Sets *ret_valid if a signed link authorizes the request; ret_owner is then the owner of its job.
 * A link is void once the key that made it can no longer read the job. */
static int check_link(spl_request *request, bool *ret_valid, char ret_owner[64],
                      spl_problem *ret_problem) {
    const spl_link link = {.expires = spl_target_parameter(&request->target, "expires"),
                           .by = spl_target_parameter(&request->target, "by"),
                           .signature = spl_target_parameter(&request->target, "signature")};
    *ret_valid = request->route->links && spl_link_valid(request->parts->auth, request->target.path,
                                                         &link, spl_wall_ms() / 1000);
    if (!*ret_valid)
        return 0;
    const int status =
        spl_jobs_owner(request->parts->jobs, request->path_id, ret_owner, ret_problem);
    if (status < 0)
        return status;
    *ret_valid = spl_link_has_maker(request->parts->auth, &link, ret_owner);
    return 0;
}

static int write_audit(const spl_request *request, const char *action, const char *id,
                       const char *outcome, const char *detail, spl_error *ret_error) {
    const spl_audit_event event = {
        .actor = request->by_link         ? "link"
                 : request->authenticated ? request->principal.id
                                          : "anonymous",
        .action = action,
        .object = id,
        .address = request->address,
        .outcome = outcome,
        .detail = detail,
    };
    return spl_audit_write(request->parts->audit, &event, ret_error);
}

static bool may_write(const spl_request *request, spl_anonymous_line line) {
    return spl_anonymous_may_write(request->http->anonymous, line, request->address, spl_now_s());
}

int spl_request_audit(const spl_request *request, const char *action, const char *id,
                      const char *detail, spl_problem *ret_problem) {
    spl_error error;
    return write_audit(request, action, id, "ok", detail, &error) < 0
               ? spl_refuse_error(ret_problem, &error)
               : 0;
}

void spl_request_note_read(const spl_request *request, const char *id, const char *file) {
    if (!request->by_link || may_write(request, SPL_ANONYMOUS_READ))
        (void)!write_audit(request, "file.read", id, "ok", file, NULL);
}

void spl_request_log_failure(const spl_request *request, const char *event,
                             const spl_problem *problem) {
    if (may_write(request, SPL_ANONYMOUS_REQUEST))
        spl_log(SPL_LOG_WARNING, event, SPL_TEXT("error", problem->detail),
                SPL_TEXT("address", request->address));
}

/* The request stays refused even if the audit log can't be written. */
static int audit_refusal(const spl_request *request, const spl_problem *problem) {
    if (may_write(request, SPL_ANONYMOUS_REFUSAL))
        (void)!write_audit(request, "auth.refused", request->path_id,
                           spl_problem_code_text(problem->code), request->route->path, NULL);
    return SPL_E_PERMISSION;
}

/* Identifies the client by key or token, or else by the session of a browser. */
static int identify_client(spl_request *request, spl_problem *ret_problem) {
    const char *key = spl_request_header(request, "X-API-KEY");
    const char *authorization = spl_request_header(request, "Authorization");
    const char *cookie = spl_request_cookie(request, SPL_SESSION_COOKIE);
    if (key || authorization || !cookie)
        return spl_auth_check(request->parts->auth, key, authorization, request->address,
                              &request->principal, ret_problem);
    const bool harmless =
        strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0;
    if (!harmless && !spl_request_header(request, SPL_PAGE_HEADER))
        return spl_refuse(ret_problem, SPL_PROBLEM_UNAUTHORIZED,
                          "With a session, send the header " SPL_PAGE_HEADER " too");
    return spl_session_check(request->parts->auth, cookie, request->address, spl_wall_ms() / 1000,
                             &request->principal, ret_problem);
}

static int refuse_for_now(spl_problem *ret_problem, spl_problem_code code, const char *setting,
                          const char *detail) {
    const int status = spl_refuse_about(ret_problem, code, NULL, setting, "%s", detail);
    ret_problem->retry_after_s = BUSY_RETRY_AFTER_S;
    return status;
}

/* Refuses a request that exceeds the limits of connections. */
static int check_place(const spl_request *request, spl_problem *ret_problem) {
    if (spl_route_is_system(request->route))
        return 0;
    if (spl_guard_reserved(request->guarded))
        return refuse_for_now(ret_problem, SPL_PROBLEM_UNAVAILABLE, "SPLEETER_CONNECTIONS",
                              "The service has as many connections as it may; try again later");
    if (!spl_guard_client(request->guarded, request->address))
        return refuse_for_now(ret_problem, SPL_PROBLEM_RATE_LIMITED,
                              "SPLEETER_CONNECTIONS_PER_ADDRESS",
                              "Your address has as many requests in progress as it may; wait for "
                              "one to end");
    return 0;
}

static int check_key_place(const spl_request *request, spl_problem *ret_problem) {
    if (spl_route_is_system(request->route) ||
        spl_guard_key(request->guarded, request->principal.id))
        return 0;
    return refuse_for_now(ret_problem, SPL_PROBLEM_QUOTA, "SPLEETER_CONNECTIONS_PER_KEY",
                          "This key has as many requests in progress as it may; wait for one to "
                          "end");
}

/* Applies the limits that all links to the jobs of `owner` share. They have their own, so that a
 * widely known link does not lock out the owner. */
static int admit_link(const spl_request *request, const char *owner, spl_problem *ret_problem) {
    const int status = spl_auth_take_link(request->parts->auth, owner, ret_problem);
    if (status < 0 || spl_guard_link(request->guarded, owner))
        return status;
    return refuse_for_now(ret_problem, SPL_PROBLEM_QUOTA, "SPLEETER_CONNECTIONS_PER_KEY",
                          "Links to this client's jobs have as many requests in progress as they "
                          "may; wait for one to end");
}

static int authorize(spl_request *request, spl_problem *ret_problem) {
    char owner[64];
    if (request->route->scopes == 0)
        return 0;
    int status = check_link(request, &request->by_link, owner, ret_problem);
    if (status < 0)
        return spl_refuse_job(status, ret_problem);
    if (request->by_link)
        return admit_link(request, owner, ret_problem);
    status = identify_client(request, ret_problem);
    if (status < 0)
        return ret_problem->code == SPL_PROBLEM_UNAUTHORIZED ||
                       ret_problem->code == SPL_PROBLEM_RATE_LIMITED
                   ? audit_refusal(request, ret_problem)
                   : status;
    request->authenticated = true;
    snprintf(spl_log_context_get()->key, sizeof(spl_log_context_get()->key), "%s",
             request->principal.id);
    request->has_rate = true;
    status = spl_auth_take(request->parts->auth, &request->principal, &request->rate, ret_problem);
    if (status == 0)
        status = check_key_place(request, ret_problem);
    if (status < 0)
        return status;
    if ((request->principal.scopes & request->route->scopes) != request->route->scopes) {
        spl_refuse(ret_problem, SPL_PROBLEM_FORBIDDEN, "This needs the scope %s",
                   request->route->scopes == SPL_SCOPE_METRICS ? "metrics:read"
                   : request->route->scopes == SPL_SCOPE_WRITE ? "jobs:write"
                                                               : "jobs:read");
        return audit_refusal(request, ret_problem);
    }
    return 0;
}

bool spl_request_revoked(spl_request *request) {
    spl_problem problem = {0};
    bool valid = false;
    char owner[64];
    if (request->by_link)
        return check_link(request, &valid, owner, &problem) == 0 && !valid;
    return identify_client(request, &problem) < 0 &&
           (problem.code == SPL_PROBLEM_UNAUTHORIZED || problem.code == SPL_PROBLEM_RATE_LIMITED);
}

const char *spl_request_owner(const spl_request *request) {
    return request->by_link ? NULL : request->principal.owner;
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
    return spl_refuse(ret_problem, SPL_PROBLEM_BAD_REQUEST, "This request takes no body");
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
    status = check_place(request, problem);
    if (status == 0)
        status = authorize(request, problem);
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

static enum MHD_Result take_body(spl_request *request, const char *data, size_t size) {
    request->received_bytes += size;
    if (!request->refused && request->route->body(request, data, size, &request->problem) < 0)
        request->refused = true;
    /* libmicrohttpd does not allow an answer in the middle of a body. */
    return request->refused && request->received_bytes > DISCARD_MAX_BYTES ? MHD_NO : MHD_YES;
}

static bool answer(spl_request *request) {
    spl_problem *problem = &request->problem;
    if (!request->refused && !request->route)
        return spl_answer_empty(request, MHD_HTTP_NO_CONTENT, problem) == 0;
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
    if ((!request->authenticated || limited) && !may_write(request, SPL_ANONYMOUS_REQUEST))
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
    if (request->free_state)
        request->free_state(request->state);
    if (request->opened) {
        record(request, why == MHD_REQUEST_TERMINATED_COMPLETED_OK);
        spl_guard_idle(request->guarded);
    }
    *spl_log_context_get() = (spl_log_context){0};
    spl_target_free(&request->target);
    free(request->raw_target);
    free(request);
}

bool spl_request_gone(const spl_request *request) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct pollfd socket = {.fd = info->connect_fd, .events = POLLRDHUP};
    return atomic_load(&request->http->stopping) || poll(&socket, 1, 0) != 0;
}

int spl_request_is_gone(void *user) {
    return spl_request_gone(user);
}

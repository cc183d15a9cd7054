/* SPDX-License-Identifier: MIT
 *
 * What all steps of a request use: its headers, its client, its lines in the logs.
 */
#include "service/http/connection/request.h"

#include "base/clock.h"
#include "service/observe/log.h"

#include <poll.h>
#include <stdio.h>

const char *spl_request_header(const spl_request *request, const char *name) {
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

const char *spl_request_cookie(const spl_request *request, const char *name) {
    char whole[64];
    snprintf(whole, sizeof(whole), "%s%s", request->secure ? SPL_SECURE_PREFIX : "", name);
    return MHD_lookup_connection_value(request->connection, MHD_COOKIE_KIND, whole);
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

const char *spl_request_owner(const spl_request *request) {
    return request->by_link ? NULL : request->principal.owner;
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

bool spl_request_may_write(const spl_request *request, spl_anonymous_line line) {
    return spl_anonymous_may_write(request->http->anonymous, line, request->address, spl_now_s());
}

int spl_request_audit(const spl_request *request, const char *action, const char *id,
                      const char *detail, spl_problem *ret_problem) {
    spl_error error;
    return write_audit(request, action, id, "ok", detail, &error) < 0
               ? spl_refuse_error(ret_problem, &error)
               : 0;
}

/* Players read a file by many ranges: the audit log has one line a minute for them. */
static bool is_new_read(const spl_request *request, const char *id, const char *file) {
    char name[256];
    spl_rate rate;
    unsigned wait_s;
    snprintf(name, sizeof(name), "%s %s %s %s", request->principal.id, request->address, id, file);
    return spl_rate_take(request->http->reads, name, 1, spl_now_s(), &rate, &wait_s);
}

void spl_request_note_read(const spl_request *request, const char *id, const char *file) {
    if (request->by_link ? spl_request_may_write(request, SPL_ANONYMOUS_READ)
                         : is_new_read(request, id, file))
        (void)!write_audit(request, "file.read", id, "ok", file, NULL);
}

void spl_request_log_failure(const spl_request *request, const char *event,
                             const spl_problem *problem) {
    if (spl_request_may_write(request, SPL_ANONYMOUS_REQUEST))
        spl_log(SPL_LOG_WARNING, event, SPL_TEXT("error", problem->detail),
                SPL_TEXT("address", request->address));
}

void spl_request_note_refusal(const spl_request *request, const char *route,
                              const spl_problem *problem) {
    if (spl_request_may_write(request, SPL_ANONYMOUS_REFUSAL))
        (void)!write_audit(request, "auth.refused", request->path_id,
                           spl_problem_code_text(problem->code), route, NULL);
}

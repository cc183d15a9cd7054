/* SPDX-License-Identifier: MIT
 *
 * First the limits of connections, which need no credential. Then a signed link, or else a key, a
 * token or a session.
 */
#include "service/http/connection/access.h"

#include "base/clock.h"
#include "service/http/connection/route.h"
#include "service/observe/log.h"

#include <stdio.h>
#include <string.h>

#define BUSY_RETRY_AFTER_S 5

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

/* The request stays refused even if the audit log can't be written. */
static int audit_refusal(const spl_request *request, const spl_problem *problem) {
    spl_request_note_refusal(request, request->route->path, problem);
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
                              "The service has reached its limit of connections; try again later");
    if (!spl_guard_client(request->guarded, request->address))
        return refuse_for_now(
            ret_problem, SPL_PROBLEM_RATE_LIMITED, "SPLEETER_CONNECTIONS_PER_ADDRESS",
            "Your address has reached its limit of requests in progress; wait for one to end");
    return 0;
}

static int check_key_place(const spl_request *request, spl_problem *ret_problem) {
    if (spl_route_is_system(request->route) ||
        spl_guard_key(request->guarded, request->principal.id))
        return 0;
    return refuse_for_now(
        ret_problem, SPL_PROBLEM_QUOTA, "SPLEETER_CONNECTIONS_PER_KEY",
        "This key has reached its limit of requests in progress; wait for one to end");
}

/* Applies the limits that all links to the jobs of `owner` share. They have their own, so that a
 * widely known link does not lock out the owner. */
static int admit_link(const spl_request *request, const char *owner, spl_problem *ret_problem) {
    const int status = spl_auth_take_link(request->parts->auth, owner, ret_problem);
    if (status < 0 || spl_guard_link(request->guarded, owner))
        return status;
    return refuse_for_now(ret_problem, SPL_PROBLEM_QUOTA, "SPLEETER_CONNECTIONS_PER_KEY",
                          "Links to this client's jobs have reached their limit of requests in "
                          "progress; wait for one to end");
}

static int authorize(spl_request *request, spl_problem *ret_problem) {
    if (request->route->scopes == 0)
        return 0;
    int status = check_link(request, &request->by_link, request->link_owner, ret_problem);
    if (status < 0)
        return spl_refuse_job(status, ret_problem);
    if (request->by_link)
        return admit_link(request, request->link_owner, ret_problem);
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

int spl_access_check(spl_request *request, spl_problem *ret_problem) {
    const int status = check_place(request, ret_problem);
    return status < 0 ? status : authorize(request, ret_problem);
}

spl_credential spl_request_credential(const spl_request *request) {
    spl_credential credential = {.by_link = request->by_link, .principal = request->principal};
    const char *by = spl_target_parameter(&request->target, "by");
    if (request->by_link) {
        snprintf(credential.link_by, sizeof(credential.link_by), "%s", by);
        memcpy(credential.link_owner, request->link_owner, sizeof(credential.link_owner));
    }
    return credential;
}

int spl_credential_revoked(spl_auth *auth, const spl_credential *credential, bool *ret_revoked) {
    if (!credential->by_link)
        return spl_auth_revoked(auth, &credential->principal, ret_revoked);
    const spl_link link = {.by = credential->link_by};
    *ret_revoked = !spl_link_has_maker(auth, &link, credential->link_owner);
    return 0;
}

bool spl_request_revoked(const spl_request *request) {
    if (!request->authenticated && !request->by_link)
        return false;
    const spl_credential credential = spl_request_credential(request);
    bool revoked = false;
    return spl_credential_revoked(request->parts->auth, &credential, &revoked) == 0 && revoked;
}

int spl_refuse_revoked(spl_problem *ret_problem) {
    return spl_refuse(ret_problem, SPL_PROBLEM_UNAUTHORIZED,
                      "The credential was revoked during the request");
}

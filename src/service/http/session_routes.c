/* SPDX-License-Identifier: MIT
 *
 * Signing in for browsers. A session is a cookie that scripts can't read and other sites can't use: HttpOnly, SameSite=Strict, and what
 * changes something also needs a header that no other site can send (request.c).
 */
#include "base/clock.h"
#include "service/auth/oauth.h"
#include "service/http/answer.h"
#include "service/http/routes.h"
#include "service/observe/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Browsers send a Secure cookie over TLS alone. */
static const char *secure(const spl_request *request) {
    const bool tls = request->http->certificate ||
                     strncmp(request->parts->settings->public_url, "https://", 8) == 0;
    return tls ? "; Secure" : "";
}

static json_t *describe(const spl_principal *principal, int64_t expires_s) {
    char expires[25];
    spl_time_text(expires_s * 1000, expires);
    json_t *scopes = json_array();
    if (principal->scopes & SPL_SCOPE_READ)
        json_array_append_new(scopes, json_string("jobs:read"));
    if (principal->scopes & SPL_SCOPE_WRITE)
        json_array_append_new(scopes, json_string("jobs:write"));
    if (principal->scopes & SPL_SCOPE_METRICS)
        json_array_append_new(scopes, json_string("metrics:read"));
    return json_pack("{s:s, s:o, s:o}", "name", principal->name, "scopes", scopes, "expires",
                     expires_s > 0 ? json_string(expires) : json_null());
}

/* Lets the browser of `principal` in: writes the cookie's header. */
static int open_session(spl_request *request, const spl_principal *principal, char ret_cookie[512],
                        int64_t *ret_expires_s, spl_problem *ret_problem) {
    char text[256];
    spl_error error;
    const int64_t now_s = spl_wall_ms() / 1000;
    if (spl_session_open(request->parts->auth, principal, now_s, text, ret_expires_s, &error) < 0) {
        spl_log(SPL_LOG_ERROR, "session.failed", SPL_TEXT("error", error.message));
        return spl_refuse_error(ret_problem, &error);
    }
    snprintf(ret_cookie, 512,
             SPL_SESSION_COOKIE "=%s; Path=/; Max-Age=%" PRId64 "; HttpOnly; SameSite=Strict%s",
             text, *ret_expires_s - now_s, secure(request));
    return 0;
}

int spl_session_create_answer(spl_request *request, spl_problem *ret_problem) {
    char cookie[512];
    int64_t expires_s;
    int status = spl_request_audit(request, "session.create", NULL, NULL, ret_problem);
    if (status == 0)
        status = open_session(request, &request->principal, cookie, &expires_s, ret_problem);
    if (status < 0)
        return status;
    const spl_answer_header headers[] = {{"Set-Cookie", cookie}, {NULL, NULL}};
    return spl_answer_json(request, MHD_HTTP_CREATED, describe(&request->principal, expires_s),
                           headers, ret_problem);
}

int spl_session_get_answer(spl_request *request, spl_problem *ret_problem) {
    return spl_answer_json(request, MHD_HTTP_OK,
                           describe(&request->principal, request->principal.expires_s), NULL,
                           ret_problem);
}

int spl_session_delete_answer(spl_request *request, spl_problem *ret_problem) {
    char cookie[128];
    snprintf(cookie, sizeof(cookie),
             SPL_SESSION_COOKIE "=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict%s",
             secure(request));
    const spl_answer_header headers[] = {{"Set-Cookie", cookie}, {NULL, NULL}};
    static char nothing[] = "";
    return spl_answer_response(request, MHD_HTTP_NO_CONTENT, NULL,
                               MHD_create_response_from_buffer(0, nothing, MHD_RESPMEM_PERSISTENT),
                               headers, ret_problem);
}

/* ---- At an OAuth 2.0 server ---- */

#define OAUTH_COOKIE "spleeterd_oauth"
#define OAUTH_S      600 /* for signing in there */

static int redirect(spl_request *request, unsigned status, const char *url, const char *cookie,
                    const char *other_cookie, spl_problem *ret_problem) {
    const spl_answer_header headers[] = {{"Location", url},
                                         {"Set-Cookie", cookie},
                                         {other_cookie ? "Set-Cookie" : NULL, other_cookie},
                                         {NULL, NULL}};
    static char nothing[] = "";
    return spl_answer_response(request, status, NULL,
                               MHD_create_response_from_buffer(0, nothing, MHD_RESPMEM_PERSISTENT),
                               headers, ret_problem);
}

int spl_oauth_begin_answer(spl_request *request, spl_problem *ret_problem) {
    SPL_CLEANUP(spl_free_p) char *url = NULL;
    char secret[SPL_OAUTH_SECRET_SIZE], cookie[256];
    spl_error error;
    if (!spl_oauth_configured(request->parts->settings))
        return spl_refuse_not_found(ret_problem);
    if (spl_oauth_begin(request->parts->settings, &url, secret, &error) < 0)
        return spl_refuse_error(ret_problem, &error);
    /* Lax, because the way back starts at the other server. */
    snprintf(cookie, sizeof(cookie),
             OAUTH_COOKIE "=%s; Path=" SPL_OAUTH_CALLBACK "; Max-Age=%d; HttpOnly; SameSite=Lax%s",
             secret, OAUTH_S, secure(request));
    return redirect(request, MHD_HTTP_FOUND, url, cookie, NULL, ret_problem);
}

/* The token's owner, let in as with any request. */
static int finish_sign_in(spl_request *request, const char *code, spl_principal *ret_principal,
                          spl_problem *ret_problem) {
    const char *secret =
        MHD_lookup_connection_value(request->connection, MHD_COOKIE_KIND, OAUTH_COOKIE);
    const char *state = spl_target_parameter(&request->target, "state");
    SPL_CLEANUP(spl_free_p) char *token = NULL, *bearer = NULL;
    spl_error error;
    if (spl_oauth_finish(request->parts->settings, secret ? secret : "", state ? state : "",
                         code ? code : "", &token, &error) < 0) {
        spl_log(SPL_LOG_WARNING, "oauth.refused", SPL_TEXT("error", error.message));
        return spl_refuse(ret_problem,
                          error.status == SPL_E_PERMISSION ? SPL_PROBLEM_UNAUTHORIZED
                                                           : SPL_PROBLEM_UNAVAILABLE,
                          "Signing in has failed; the service's log says why");
    }
    if (asprintf(&bearer, "Bearer %s", token) < 0)
        return spl_refuse(ret_problem, SPL_PROBLEM_UNAVAILABLE, "The service is out of memory");
    int status = spl_auth_check(request->parts->auth, NULL, bearer, request->address, ret_principal,
                                ret_problem);
    if (status == 0 && !(ret_principal->scopes & SPL_SCOPE_READ))
        status = spl_refuse(ret_problem, SPL_PROBLEM_FORBIDDEN, "This needs the scope jobs:read");
    return status;
}

/* A person stands before the answer, so that all ways lead to the page; it tells what has failed. */
int spl_oauth_callback_answer(spl_request *request, spl_problem *ret_problem) {
    char gone[128], cookie[512], url[64] = "/";
    int64_t expires_s;
    if (!spl_oauth_configured(request->parts->settings))
        return spl_refuse_not_found(ret_problem);
    snprintf(gone, sizeof(gone),
             OAUTH_COOKIE "=; Path=" SPL_OAUTH_CALLBACK "; Max-Age=0; HttpOnly; SameSite=Lax%s",
             secure(request));
    const char *code = spl_target_parameter(&request->target, "code");
    int status = finish_sign_in(request, code, &request->principal, ret_problem);
    if (status == 0) {
        request->authenticated = true;
        status = spl_request_audit(request, "session.create", NULL, NULL, ret_problem);
    }
    if (status == 0)
        status = open_session(request, &request->principal, cookie, &expires_s, ret_problem);
    if (status < 0)
        snprintf(url, sizeof(url), "/#/sign-in/%s", spl_problem_code_text(ret_problem->code));
    return redirect(request, MHD_HTTP_SEE_OTHER, url, gone, status == 0 ? cookie : NULL,
                    ret_problem);
}

/* "mp3,wav" as an array. */
static json_t *split(const char *list) {
    json_t *array = json_array();
    for (size_t length; *list; list += length + (list[length] == ',')) {
        length = strcspn(list, ",");
        json_array_append_new(array, json_stringn(list, length));
    }
    return array;
}

int spl_config_answer(spl_request *request, spl_problem *ret_problem) {
    const spl_settings *settings = request->parts->settings;
    return spl_answer_json(
        request, MHD_HTTP_OK,
        json_pack("{s:s, s:o, s:I, s:f, s:s, s:I, s:I, s:b}", "version", spl_version(), "formats",
                  split(settings->formats), "max_file_size_bytes",
                  (json_int_t)settings->max_file_size_bytes, "max_duration_s",
                  settings->max_duration_s, "default_model", settings->default_model, "link_max_s",
                  (json_int_t)settings->link_max_s, "retention_s",
                  (json_int_t)settings->retention_s, "oauth", spl_oauth_configured(settings)),
        NULL, ret_problem);
}

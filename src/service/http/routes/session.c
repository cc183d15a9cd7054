/* SPDX-License-Identifier: MIT
 *
 * Sign-in for browsers. A session is a cookie that scripts can't read and other sites can't use: it
 * is HttpOnly and SameSite=Strict, and requests that change anything also need a header that no
 * other site can send (access.c).
 */
#include "base/clock.h"
#include "service/auth/oauth.h"
#include "service/http/connection/answer.h"
#include "service/http/routes/routes.h"
#include "service/observe/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define COOKIE_SIZE 512

/* Writes the value of Set-Cookie for a cookie that lasts `life_s`; 0 deletes the cookie. */
static void make_cookie(const spl_request *request, const char *name, const char *value,
                        int64_t life_s, const char *same_site, char ret_cookie[COOKIE_SIZE]) {
    snprintf(ret_cookie, COOKIE_SIZE,
             "%s%s=%s; Path=/; Max-Age=%" PRId64 "; HttpOnly; SameSite=%s%s",
             request->secure ? SPL_SECURE_PREFIX : "", name, value, life_s, same_site,
             request->secure ? "; Secure" : "");
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

/* Opens a session for `principal` and writes the value of its Set-Cookie header. */
static int open_session(spl_request *request, const spl_principal *principal,
                        char ret_cookie[COOKIE_SIZE], int64_t *ret_expires_s,
                        spl_problem *ret_problem) {
    char text[256];
    const int64_t now_s = spl_wall_ms() / 1000;
    const int status = spl_session_open(request->parts->auth, principal, request->address, now_s,
                                        text, ret_expires_s, ret_problem);
    if (status < 0)
        return status;
    make_cookie(request, SPL_SESSION_COOKIE, text, *ret_expires_s - now_s, "Strict", ret_cookie);
    explicit_bzero(text, sizeof(text));
    return 0;
}

int spl_session_create_answer(spl_request *request, spl_problem *ret_problem) {
    char cookie[COOKIE_SIZE];
    int64_t expires_s;
    /* Otherwise a copied cookie could outlive its session. */
    if (request->principal.session[0])
        return spl_refuse(ret_problem, SPL_PROBLEM_FORBIDDEN,
                          "A session cannot open another one; send an API key or a token");
    int status = open_session(request, &request->principal, cookie, &expires_s, ret_problem);
    if (status == 0)
        status = spl_request_audit(request, "session.create", NULL, NULL, ret_problem);
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
    char cookie[COOKIE_SIZE];
    const char *session = spl_request_cookie(request, SPL_SESSION_COOKIE);
    if (session) {
        const int status = spl_session_end(request->parts->auth, session, request->address,
                                           spl_wall_ms() / 1000, ret_problem);
        if (status < 0)
            return status;
    }
    make_cookie(request, SPL_SESSION_COOKIE, "", 0, "Strict", cookie);
    const spl_answer_header headers[] = {{"Set-Cookie", cookie}, {NULL, NULL}};
    return spl_answer_empty(request, MHD_HTTP_NO_CONTENT, headers, ret_problem);
}

/* ---- Sign-in at an OAuth 2.0 server ---- */

/* Derives the key that seals the browser's cookie during the sign-in. */
static int derive_key(const spl_request *request, uint8_t ret_key[32], spl_error *ret_error) {
    return spl_secret_derive(request->parts->secret, "oauth", ret_key, ret_error);
}

static int redirect(spl_request *request, unsigned status, const char *url, const char *cookie,
                    const char *other_cookie, spl_problem *ret_problem) {
    const spl_answer_header headers[] = {{"Location", url},
                                         {"Set-Cookie", cookie},
                                         {other_cookie ? "Set-Cookie" : NULL, other_cookie},
                                         {NULL, NULL}};
    return spl_answer_empty(request, status, headers, ret_problem);
}

int spl_oauth_begin_answer(spl_request *request, spl_problem *ret_problem) {
    SPL_CLEANUP(spl_free_p) char *url = NULL;
    char secret[SPL_OAUTH_SECRET_SIZE], cookie[COOKIE_SIZE];
    uint8_t key[32];
    spl_error error;
    if (!spl_oauth_configured(request->parts->settings))
        return spl_refuse_not_found(ret_problem);
    int status = derive_key(request, key, &error);
    if (status == 0)
        status = spl_oauth_begin(request->parts->settings, key, spl_wall_ms() / 1000, &url, secret,
                                 &error);
    explicit_bzero(key, sizeof(key));
    if (status < 0)
        return spl_refuse_error(ret_problem, &error);
    /* Lax, because the redirect back comes from the other server. */
    make_cookie(request, SPL_OAUTH_COOKIE, secret, SPL_OAUTH_S, "Lax", cookie);
    explicit_bzero(secret, sizeof(secret));
    return redirect(request, MHD_HTTP_FOUND, url, cookie, NULL, ret_problem);
}

/* Fetches the token for `code` from the OAuth server. *ret_token is the caller's and must be
 * wiped. */
static int fetch_token(spl_request *request, const char *code, char **ret_token,
                       spl_problem *ret_problem) {
    const char *secret = spl_request_cookie(request, SPL_OAUTH_COOKIE);
    const char *state = spl_target_parameter(&request->target, "state");
    const spl_oauth_return back = {.secret = secret ? secret : "",
                                   .state = state ? state : "",
                                   .code = code ? code : "",
                                   .canceled = spl_request_is_gone,
                                   .user = request};
    uint8_t key[32];
    spl_error error;
    int status = spl_sign_in_take(request->parts->auth, request->address, ret_problem);
    if (status < 0)
        return status;
    status = derive_key(request, key, &error);
    if (status == 0)
        status = spl_oauth_finish(request->parts->settings, key, spl_wall_ms() / 1000, &back,
                                  ret_token, &error);
    explicit_bzero(key, sizeof(key));
    if (status == 0)
        return 0;
    spl_refuse(ret_problem,
               status == SPL_E_PERMISSION ? SPL_PROBLEM_UNAUTHORIZED : SPL_PROBLEM_UNAVAILABLE,
               "Signing in has failed: %.300s", error.message);
    if (status == SPL_E_PERMISSION)
        spl_auth_fail(request->parts->auth, request->address, ret_problem);
    return status;
}

/* Exchanges `code` for a token and authenticates its owner as for any request. */
static int finish_sign_in(spl_request *request, const char *code, spl_principal *ret_principal,
                          spl_problem *ret_problem) {
    SPL_CLEANUP(spl_wipe_p) char *token = NULL;
    SPL_CLEANUP(spl_wipe_p) char *bearer = NULL;
    int status = fetch_token(request, code, &token, ret_problem);
    if (status < 0)
        return status;
    if (asprintf(&bearer, "Bearer %s", token) < 0) {
        bearer = NULL;
        return spl_refuse_memory(ret_problem);
    }
    status = spl_auth_check(request->parts->auth, NULL, bearer, request->address, ret_principal,
                            ret_problem);
    if (status == 0 && !(ret_principal->scopes & SPL_SCOPE_READ))
        status = spl_refuse(ret_problem, SPL_PROBLEM_FORBIDDEN, "This needs the scope jobs:read");
    return status;
}

/* The answer is shown to a person, so every outcome redirects to the page, which shows the
 * error. */
int spl_oauth_callback_answer(spl_request *request, spl_problem *ret_problem) {
    char gone[COOKIE_SIZE], cookie[COOKIE_SIZE], url[64] = "/";
    int64_t expires_s;
    if (!spl_oauth_configured(request->parts->settings))
        return spl_refuse_not_found(ret_problem);
    make_cookie(request, SPL_OAUTH_COOKIE, "", 0, "Lax", gone);
    const char *code = spl_target_parameter(&request->target, "code");
    int status = finish_sign_in(request, code, &request->principal, ret_problem);
    request->authenticated = status == 0;
    if (status == 0)
        status = open_session(request, &request->principal, cookie, &expires_s, ret_problem);
    if (status == 0)
        status = spl_request_audit(request, "session.create", NULL, NULL, ret_problem);
    if (status < 0) {
        spl_request_log_failure(request, "oauth.refused", ret_problem);
        snprintf(url, sizeof(url), "/#/sign-in/%s", spl_problem_code_text(ret_problem->code));
    }
    return redirect(request, MHD_HTTP_SEE_OTHER, url, gone, status == 0 ? cookie : NULL,
                    ret_problem);
}

/* Converts "mp3,wav" to an array. */
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

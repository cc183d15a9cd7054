/* SPDX-License-Identifier: MIT
 *
 * Signing in for browsers. A session is a cookie that scripts can't read and other sites can't use: HttpOnly, SameSite=Strict, and what
 * changes something also needs a header that no other site can send (request.c).
 */
#include "base/clock.h"
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

int spl_session_create_answer(spl_request *request, spl_problem *ret_problem) {
    char text[256], cookie[512];
    int64_t expires_s;
    spl_error error;
    const int64_t now_s = spl_wall_ms() / 1000;
    int status = spl_request_audit(request, "session.create", NULL, NULL, ret_problem);
    if (status < 0)
        return status;
    if (spl_session_open(request->parts->auth, &request->principal, now_s, text, &expires_s,
                         &error) < 0) {
        spl_log(SPL_LOG_ERROR, "session.failed", SPL_TEXT("error", error.message));
        return spl_refuse_error(ret_problem, &error);
    }
    snprintf(cookie, sizeof(cookie),
             SPL_SESSION_COOKIE "=%s; Path=/; Max-Age=%" PRId64 "; HttpOnly; SameSite=Strict%s",
             text, expires_s - now_s, secure(request));
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
                  (json_int_t)settings->retention_s, "oauth", false),
        NULL, ret_problem);
}

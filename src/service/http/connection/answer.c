/* SPDX-License-Identifier: MIT
 *
 * Headers and bodies of answers.
 */
#include "service/http/connection/answer.h"

#include "service/http/connection/route.h"
#include "service/observe/json.h"

#include <stdio.h>
#include <string.h>

#define RATE_WINDOW_S 60 /* quotas are requests per minute */

static bool add(struct MHD_Response *response, const char *name, const char *value) {
    return MHD_add_response_header(response, name, value) == MHD_YES;
}

static bool add_common(const spl_request *request, struct MHD_Response *response) {
    bool good = add(response, "X-Request-Id", request->id) &&
                add(response, "traceparent", request->trace.parent) &&
                add(response, "X-Content-Type-Options", "nosniff") &&
                add(response, "Referrer-Policy", "no-referrer");
    if (good && !MHD_get_response_header(response, "Cache-Control"))
        good = add(response, "Cache-Control", "no-store");
    if (good && !MHD_get_response_header(response, "Content-Security-Policy"))
        good =
            add(response, "Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
    if (good && request->secure)
        good = add(response, "Strict-Transport-Security", "max-age=31536000");
    if (good && request->has_rate) {
        char text[96];
        snprintf(text, sizeof(text), "\"key\";q=%u;w=%d", request->rate.limit, RATE_WINDOW_S);
        good = add(response, "RateLimit-Policy", text);
        snprintf(text, sizeof(text), "\"key\";r=%u;t=%u", request->rate.remaining,
                 request->rate.reset_s);
        good = good && add(response, "RateLimit", text);
    }
    if (good && request->allow)
        good = add(response, "Allow", request->allow);
    if (good && request->must_close)
        good = add(response, "Connection", "close");
    return good;
}

int spl_answer_response(spl_request *request, unsigned status, const char *type,
                        struct MHD_Response *response, const spl_answer_header *headers,
                        spl_problem *ret_problem) {
    bool good = response && (!type || add(response, "Content-Type", type));
    for (; good && headers && headers->name; headers++)
        good = add(response, headers->name, headers->value);
    good = good && add_common(request, response) &&
           MHD_queue_response(request->connection, status, response) == MHD_YES;
    if (response)
        MHD_destroy_response(response);
    if (!good)
        return spl_refuse_memory(ret_problem);
    request->status = status;
    return 0;
}

/* Takes ownership of `text`, also on failure. */
static int answer_text(spl_request *request, unsigned status, const char *type, char *text,
                       size_t size, const spl_answer_header *headers, spl_problem *ret_problem) {
    struct MHD_Response *response =
        text ? MHD_create_response_from_buffer(size, text, MHD_RESPMEM_MUST_FREE) : NULL;
    if (!response)
        free(text);
    else if (strcmp(request->method, "HEAD") != 0)
        request->sent_bytes = size;
    return spl_answer_response(request, status, type, response, headers, ret_problem);
}

int spl_answer_json(spl_request *request, unsigned status, json_t *json,
                    const spl_answer_header *headers, spl_problem *ret_problem) {
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    return answer_text(request, status, "application/json", text, text ? strlen(text) : 0, headers,
                       ret_problem);
}

int spl_answer_constant(spl_request *request, const char *type, const char *text, size_t size,
                        spl_problem *ret_problem) {
    struct MHD_Response *response =
        MHD_create_response_from_buffer(size, (void *)(uintptr_t)text, MHD_RESPMEM_PERSISTENT);
    request->sent_bytes = strcmp(request->method, "HEAD") == 0 ? 0 : size;
    return spl_answer_response(request, MHD_HTTP_OK, type, response, NULL, ret_problem);
}

int spl_answer_empty(spl_request *request, unsigned status, const spl_answer_header *headers,
                     spl_problem *ret_problem) {
    static char nothing[] = "";
    struct MHD_Response *response =
        MHD_create_response_from_buffer(0, nothing, MHD_RESPMEM_PERSISTENT);
    return spl_answer_response(request, status, NULL, response, headers, ret_problem);
}

/* Text that a problem quotes from the request may be cut in the middle of a character, hence
 * spl_json_text. */
static json_t *problem_document(const spl_request *request, const spl_problem *problem) {
    const char *code = spl_problem_code_text(problem->code);
    json_t *document = json_pack(
        "{s:s+, s:s, s:i, s:s, s:o, s:s}", "type", SPL_PROBLEM_TYPE_PREFIX, code, "title",
        spl_problem_title(problem->code), "status", (int)spl_problem_http_status(problem->code),
        "code", code, "detail", spl_json_text(problem->detail), "request_id", request->id);
    if (!document)
        return NULL;
    bool good = true;
    if (problem->field[0])
        good = json_object_set_new(document, "field", spl_json_text(problem->field)) == 0;
    if (good && problem->setting[0])
        good = json_object_set_new(document, "setting", json_string(problem->setting)) == 0;
    if (good && problem->retry_after_s)
        good = json_object_set_new(document, "retry_after_s",
                                   json_integer(problem->retry_after_s)) == 0;
    if (!good) {
        json_decref(document);
        return NULL;
    }
    return document;
}

bool spl_answer_problem(spl_request *request, const spl_problem *problem) {
    char retry_after[16];
    snprintf(retry_after, sizeof(retry_after), "%u", problem->retry_after_s);
    spl_answer_header headers[4] = {{NULL, NULL}};
    size_t count = 0;
    if (problem->retry_after_s)
        headers[count++] = (spl_answer_header){"Retry-After", retry_after};
    if (problem->code == SPL_PROBLEM_UNAUTHORIZED)
        headers[count++] = (spl_answer_header){"WWW-Authenticate", "Bearer realm=\"spleeterd\""};
    if (request->content_range[0])
        headers[count++] = (spl_answer_header){"Content-Range", request->content_range};
    json_t *document = problem_document(request, problem);
    char *text = document ? json_dumps(document, JSON_COMPACT) : NULL;
    json_decref(document);
    spl_problem failure;
    return answer_text(request, spl_problem_http_status(problem->code), "application/problem+json",
                       text, text ? strlen(text) : 0, headers, &failure) == 0;
}

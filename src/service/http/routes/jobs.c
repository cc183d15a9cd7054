/* SPDX-License-Identifier: MIT
 *
 * Jobs: create, list, get, cancel, delete, link.
 */
#include "base/clock.h"
#include "base/json.h"
#include "service/http/connection/answer.h"
#include "service/http/connection/client_json.h"
#include "service/http/routes/intake.h"
#include "service/http/routes/routes.h"
#include "service/observe/log.h"

#include <string.h>
#include <time.h>

#define LIST_DEFAULT     50
#define LIST_MAX         200
#define LINK_DEFAULT_S   3600
#define SMALL_BODY_BYTES 4096

/* ---- Create ---- */

int spl_jobs_create_start(spl_request *request, spl_problem *ret_problem) {
    return spl_intake_start(request, false, ret_problem);
}

int spl_jobs_create_body(spl_request *request, const char *data, size_t size,
                         spl_problem *ret_problem) {
    return spl_intake_take(request, data, size, ret_problem);
}

/* Moves the JSON field `name` out of `fields`. With `texts` its value is JSON in a text, as in a
 * form. *ret_value is the caller's; NULL: absent. */
static int take_json_field(json_t *fields, const char *name, bool texts, json_t **ret_value,
                           spl_problem *ret_problem) {
    json_t *value = json_incref(json_object_get(fields, name));
    json_object_del(fields, name);
    if (texts && value) {
        json_t *parsed;
        int status = spl_client_json_parse(json_string_value(value), json_string_length(value),
                                           name, &parsed, ret_problem);
        json_decref(value);
        if (status < 0)
            return status;
        value = parsed;
    }
    *ret_value = value;
    return 0;
}

static int take_text_field(json_t *fields, const char *name, json_t **ret_text,
                           spl_problem *ret_problem) {
    json_t *value = json_incref(json_object_get(fields, name));
    json_object_del(fields, name);
    if (json_is_null(value) || (json_is_string(value) && json_string_length(value) == 0)) {
        json_decref(value);
        value = NULL;
    }
    if (value && !json_is_string(value)) {
        json_decref(value);
        return spl_refuse_about(ret_problem, SPL_PROBLEM_INVALID, name, NULL,
                                "The field must be a text");
    }
    *ret_text = value;
    return 0;
}

/* Single fields and the members of `options` form one set, in which a duplicate is an error. Empty
 * fields count as absent. */
static int merge_options(json_t *fields, json_t *options, spl_problem *ret_problem) {
    if (!json_is_object(options))
        return spl_refuse_about(ret_problem, SPL_PROBLEM_INVALID, "options", NULL,
                                "The options must be a JSON object");
    const char *name;
    json_t *value;
    json_object_foreach(fields, name, value) {
        if (json_is_string(value) && json_string_length(value) == 0)
            continue;
        const char *option = strcmp(name, "mix") == 0 ? "mixes" : name;
        if (json_object_get(options, option))
            return spl_refuse_about(ret_problem, SPL_PROBLEM_INVALID, name, NULL,
                                    "The option is there twice");
        if (json_object_set(options, option, value) < 0)
            return spl_refuse_memory(ret_problem);
    }
    return 0;
}

typedef struct job_creation {
    json_t *options, *webhook_url, *source_url;
    char *metadata;
} job_creation;

static void free_creation(job_creation *creation) {
    json_decref(creation->options);
    json_decref(creation->webhook_url);
    json_decref(creation->source_url);
    free(creation->metadata);
}

/* Keeps the metadata as text: parsed, it would use many times the memory for as long as the request
 * waits for its turn. */
static int take_metadata(json_t *fields, bool texts, char **ret_text, spl_problem *ret_problem) {
    SPL_CLEANUP(spl_json_free_p) json_t *value = NULL;
    const int status = take_json_field(fields, "metadata", texts, &value, ret_problem);
    if (status < 0 || !value || json_is_null(value))
        return status;
    *ret_text = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    return *ret_text ? 0 : spl_refuse_memory(ret_problem);
}

static int read_creation(json_t *fields, bool texts, job_creation *creation,
                         spl_problem *ret_problem) {
    int status = take_json_field(fields, "options", texts, &creation->options, ret_problem);
    if (status == 0)
        status = take_metadata(fields, texts, &creation->metadata, ret_problem);
    if (status == 0)
        status = take_text_field(fields, "webhook_url", &creation->webhook_url, ret_problem);
    if (status == 0)
        status = take_text_field(fields, "source_url", &creation->source_url, ret_problem);
    if (status < 0)
        return status;
    if (!creation->options && !(creation->options = json_object()))
        return spl_refuse_memory(ret_problem);
    return merge_options(fields, creation->options, ret_problem);
}

static int answer_created(spl_request *request, json_t *job, bool replayed,
                          spl_problem *ret_problem) {
    char location[64];
    snprintf(location, sizeof(location), "/v1/jobs/%s",
             json_string_value(json_object_get(job, "id")));
    const spl_answer_header headers[] = {
        {"Location", location}, {replayed ? "Idempotency-Replayed" : NULL, "true"}, {NULL, NULL}};
    return spl_answer_json(request, MHD_HTTP_ACCEPTED, job, headers, ret_problem);
}

int spl_jobs_create_answer(spl_request *request, spl_problem *ret_problem) {
    json_t *fields, *job;
    bool texts;
    int status = spl_intake_finish(request, &fields, &texts, ret_problem);
    if (status < 0)
        return status;
    SPL_CLEANUP(free_creation) job_creation creation = {NULL};
    status = read_creation(fields, texts, &creation, ret_problem);
    if (status < 0)
        return status;
    const spl_intake_job wanted = {
        .options = creation.options,
        .metadata = creation.metadata,
        .webhook_url = json_string_value(creation.webhook_url),
        .source_url = json_string_value(creation.source_url),
    };
    bool replayed;
    status = spl_intake_submit(request, &wanted, &job, &replayed, ret_problem);
    if (status < 0)
        return status;
    return answer_created(request, job, replayed, ret_problem);
}

/* ---- List ---- */

static int refuse_parameter(spl_problem *ret_problem, const char *name, const char *what) {
    return spl_refuse_about(ret_problem, SPL_PROBLEM_INVALID, name, NULL, "Give %s", what);
}

static int parse_states(const char *text, int *ret_states, spl_problem *ret_problem) {
    while (*text) {
        const size_t length = strcspn(text, ",");
        char name[16];
        spl_job_state state;
        snprintf(name, sizeof(name), "%.*s", (int)SPL_MIN(length, sizeof(name)), text);
        if (!spl_job_state_from_text(name, &state))
            return refuse_parameter(ret_problem, "status",
                                    "some of queued, running, succeeded, failed, canceled, "
                                    "expired, separated by commas");
        *ret_states |= 1 << state;
        text += length + (text[length] == ',');
    }
    return 0;
}

static int parse_time(const spl_target *target, const char *name, int64_t *ret_ms,
                      spl_problem *ret_problem) {
    const char *text = spl_target_parameter(target, name);
    struct tm time = {0};
    const char *end = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &time) : "Z";
    char digits[4] = "000";
    if (end && *end == '.') {
        const size_t count = strspn(++end, "0123456789");
        memcpy(digits, end, SPL_MIN(count, 3));
        end += count;
    }
    if (!end || strcmp(end, "Z") != 0)
        return refuse_parameter(ret_problem, name, "a time in UTC such as 2026-01-31T12:00:00Z");
    if (text)
        *ret_ms = (int64_t)timegm(&time) * 1000 + strtol(digits, NULL, 10);
    return 0;
}

int spl_jobs_list_answer(spl_request *request, spl_problem *ret_problem) {
    const spl_target *target = &request->target;
    spl_store_filter filter = {
        .owner = request->principal.owner,
        .model = spl_target_parameter(target, "model"),
        .before_id = spl_target_parameter(target, "cursor"),
        .limit = LIST_DEFAULT,
    };
    if (filter.before_id && !spl_uuid_valid(filter.before_id))
        return refuse_parameter(ret_problem, "cursor", "the next_cursor of an earlier answer");
    const char *limit = spl_target_parameter(target, "limit");
    if (limit) {
        char *end;
        filter.limit = strspn(limit, "0123456789") ? strtoul(limit, &end, 10) : 0;
        if (filter.limit < 1 || filter.limit > LIST_MAX || *end)
            return refuse_parameter(ret_problem, "limit", "a number from 1 to 200");
    }
    const char *states = spl_target_parameter(target, "status");
    int status = states ? parse_states(states, &filter.states, ret_problem) : 0;
    if (status == 0)
        status = parse_time(target, "created_after", &filter.created_after_ms, ret_problem);
    if (status == 0)
        status = parse_time(target, "created_before", &filter.created_before_ms, ret_problem);
    const spl_jobs_client client = {request->principal.id, spl_request_is_gone, request};
    json_t *list;
    if (status == 0)
        status = spl_jobs_list(request->parts->jobs, &client, &filter, &list, ret_problem);
    if (status < 0)
        return status;
    return spl_answer_json(request, MHD_HTTP_OK, list, NULL, ret_problem);
}

/* ---- One job ---- */

static int answer_job(spl_request *request, unsigned http_status, spl_problem *ret_problem) {
    json_t *job;
    int status = spl_jobs_get(request->parts->jobs, spl_request_owner(request), request->path_id,
                              &job, NULL, ret_problem);
    if (status < 0)
        return spl_refuse_job(status, ret_problem);
    return spl_answer_json(request, http_status, job, NULL, ret_problem);
}

int spl_jobs_get_answer(spl_request *request, spl_problem *ret_problem) {
    return answer_job(request, MHD_HTTP_OK, ret_problem);
}

int spl_jobs_delete_answer(spl_request *request, spl_problem *ret_problem) {
    int status = spl_jobs_delete(request->parts->jobs, &request->principal, request->address,
                                 request->path_id, ret_problem);
    if (status < 0)
        return spl_refuse_job(status, ret_problem);
    return spl_answer_empty(request, MHD_HTTP_NO_CONTENT, NULL, ret_problem);
}

int spl_jobs_cancel_answer(spl_request *request, spl_problem *ret_problem) {
    int status = spl_jobs_cancel(request->parts->jobs, &request->principal, request->address,
                                 request->path_id, ret_problem);
    if (status < 0)
        return spl_refuse_job(status, ret_problem);
    return answer_job(request, MHD_HTTP_ACCEPTED, ret_problem);
}

/* ---- Links ---- */

typedef struct small_body {
    char text[SMALL_BODY_BYTES];
    size_t size;
} small_body;

int spl_jobs_link_start(spl_request *request, spl_problem *ret_problem) {
    request->state = calloc(1, sizeof(small_body));
    request->free_state = free;
    return request->state ? 0 : spl_refuse_memory(ret_problem);
}

int spl_jobs_link_body(spl_request *request, const char *data, size_t size,
                       spl_problem *ret_problem) {
    small_body *body = request->state;
    if (size > sizeof(body->text) - body->size)
        return spl_refuse(ret_problem, SPL_PROBLEM_TOO_LARGE, "The body may have %d bytes at most",
                          SMALL_BODY_BYTES);
    memcpy(body->text + body->size, data, size);
    body->size += size;
    return 0;
}

static int read_link_request(const small_body *body, const spl_settings *settings,
                             char ret_file[96], int64_t *ret_life_s, spl_problem *ret_problem) {
    json_t *root;
    int status = spl_client_json_parse(body->text, body->size, NULL, &root, ret_problem);
    if (status < 0)
        return status;
    const json_t *life = json_object_get(root, "expires_in_s");
    const char *file = json_string_value(json_object_get(root, "file"));
    const int64_t life_s =
        life ? json_integer_value(life) : SPL_MIN(LINK_DEFAULT_S, settings->link_max_s);
    if (!json_is_object(root))
        status = spl_refuse(ret_problem, SPL_PROBLEM_BAD_REQUEST,
                            "The body must be a JSON object such as {\"file\": \"vocals.wav\"}");
    else if (!file || !*file || strlen(file) >= 96 || strchr(file, '/'))
        status = spl_refuse_about(ret_problem, SPL_PROBLEM_INVALID, "file", NULL,
                                  "Name an output's file, stems.zip or manifest.json");
    else if ((life && !json_is_integer(life)) || life_s < 1 || life_s > settings->link_max_s)
        status =
            spl_refuse_about(ret_problem, SPL_PROBLEM_INVALID, "expires_in_s",
                             "SPLEETER_LINK_MAX_S", "Give 1 to %u seconds", settings->link_max_s);
    if (status == 0) {
        snprintf(ret_file, 96, "%s", file);
        *ret_life_s = life_s;
    }
    json_decref(root);
    return status;
}

/* Returns whether the job has such a file, or will have it at its end. */
static bool has_file(const json_t *job, const char *file) {
    if (strcmp(file, "stems.zip") == 0 || strcmp(file, "manifest.json") == 0)
        return true;
    size_t i;
    json_t *output;
    json_array_foreach(json_object_get(job, "outputs"), i, output) {
        const char *name = json_string_value(json_object_get(output, "file"));
        if (name && strcmp(name, file) == 0)
            return true;
    }
    return false;
}

int spl_jobs_link_answer(spl_request *request, spl_problem *ret_problem) {
    const spl_settings *settings = request->parts->settings;
    char file[96];
    int64_t life_s = 0;
    int status = read_link_request(request->state, settings, file, &life_s, ret_problem);
    json_t *job;
    if (status == 0)
        status = spl_refuse_job(spl_jobs_get(request->parts->jobs, request->principal.owner,
                                             request->path_id, &job, NULL, ret_problem),
                                ret_problem);
    if (status < 0)
        return status;
    const bool found = has_file(job, file);
    json_decref(job);
    if (!found)
        return spl_refuse_about(ret_problem, SPL_PROBLEM_INVALID, "file", NULL,
                                "The job has no such file");
    status = spl_request_audit(request, "link.create", request->path_id, file, ret_problem);
    if (status < 0)
        return status;
    char path[192], query[SPL_LINK_SIZE];
    const bool single = strcmp(file, "stems.zip") != 0 && strcmp(file, "manifest.json") != 0;
    snprintf(path, sizeof(path), "/v1/jobs/%s/%s%s", request->path_id, single ? "stems/" : "",
             file);
    const int64_t expires_s = spl_wall_ms() / 1000 + life_s;
    spl_error error;
    if (spl_link_sign(request->parts->auth, path, &request->principal, expires_s, query, &error) <
        0) {
        spl_log(SPL_LOG_ERROR, "link.failed", SPL_TEXT("error", error.message));
        return spl_refuse_error(ret_problem, &error);
    }
    char expires[25];
    spl_time_text(expires_s * 1000, expires);
    return spl_answer_json(request, MHD_HTTP_CREATED,
                           json_pack("{s:s+++, s:s}", "url", settings->public_url, path, "?", query,
                                     "expires", expires),
                           NULL, ret_problem);
}

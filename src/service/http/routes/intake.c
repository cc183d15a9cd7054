/* SPDX-License-Identifier: MIT
 *
 * Turns the body of a request into a submission.
 */
#include "service/http/routes/intake.h"

#include "base/clock.h"
#include "service/http/connection/access.h"
#include "service/http/connection/client_json.h"
#include "service/http/connection/multipart.h"

#include <string.h>
#include <strings.h>

#define JSON_MAX_BYTES ((size_t)256 << 10)

/* How often a submission that waits asks whether the client's credential was revoked. */
#define REVOKED_PERIOD_S 1

typedef enum intake_kind { INTAKE_FORM, INTAKE_AUDIO, INTAKE_JSON } intake_kind;

struct spl_intake {
    spl_request *request;
    intake_kind kind;
    spl_multipart *form;
    spl_upload *upload;
    char *json; /* the body received so far */
    size_t json_size;
    json_t *fields;
    const char *idempotency_key;
    bool reserved; /* the key is held for this request */
    bool revoked;  /* the credential was, at `asked_s` */
    double asked_s;
};

static void free_intake(void *state) {
    spl_intake *intake = state;
    if (intake->reserved)
        spl_jobs_idempotency_release(intake->request->parts->jobs, &intake->request->principal,
                                     intake->idempotency_key);
    spl_multipart_free(intake->form);
    spl_upload_free(intake->upload);
    free(intake->json);
    json_decref(intake->fields);
    free(intake);
}

static int open_upload(void *user, const char *name, const char *type, spl_problem *ret_problem) {
    spl_intake *intake = user;
    const spl_request *request = intake->request;
    int64_t length_bytes = request->framing.length_bytes;
    if (intake->kind == INTAKE_FORM) /* what the file has at least */
        length_bytes = SPL_MAX(length_bytes - (int64_t)SPL_FORM_MAX_BYTES, -1);
    return spl_upload_open(request->parts->jobs, &request->principal, name, type, length_bytes,
                           &intake->upload, ret_problem);
}

static int write_upload(void *user, const void *data, size_t size, spl_problem *ret_problem) {
    spl_intake *intake = user;
    return spl_upload_write(intake->upload, data, size, ret_problem);
}

/* ---- Start ---- */

static bool is_type(const char *header, const char *type) {
    const size_t length = strlen(type);
    return strncasecmp(header, type, length) == 0 &&
           (type[length - 1] == '/' || strchr("; \t", header[length]));
}

static int choose_kind(const spl_request *request, bool forms_only, intake_kind *ret_kind,
                       spl_problem *ret_problem) {
    const char *type = spl_request_header(request, "Content-Type");
    if (type && is_type(type, "multipart/form-data"))
        *ret_kind = INTAKE_FORM;
    else if (forms_only || !type)
        return spl_refuse(ret_problem, SPL_PROBLEM_MEDIA_TYPE,
                          "Send a form (multipart/form-data) with the audio as its part \"file\"");
    else if (is_type(type, "application/json"))
        *ret_kind = INTAKE_JSON;
    else if (is_type(type, "audio/") || is_type(type, "video/") ||
             is_type(type, "application/octet-stream") || is_type(type, "application/ogg"))
        *ret_kind = INTAKE_AUDIO;
    else
        return spl_refuse(ret_problem, SPL_PROBLEM_MEDIA_TYPE,
                          "Send a form (multipart/form-data), audio (such as audio/mpeg), or "
                          "application/json with a source_url");
    return 0;
}

static int check_length(const spl_request *request, intake_kind kind, spl_problem *ret_problem) {
    const uint64_t file_max = request->parts->settings->max_file_size_bytes;
    const uint64_t most = kind == INTAKE_JSON
                              ? JSON_MAX_BYTES
                              : file_max + (kind == INTAKE_FORM ? SPL_FORM_MAX_BYTES : 0);
    if (!request->framing.has_body)
        return spl_refuse(ret_problem, SPL_PROBLEM_BAD_REQUEST, "The request has no body");
    if (request->framing.length_bytes < 0 || (uint64_t)request->framing.length_bytes <= most)
        return 0;
    if (kind == INTAKE_JSON)
        return spl_refuse(ret_problem, SPL_PROBLEM_TOO_LARGE,
                          "A JSON body may have %zu bytes at most", JSON_MAX_BYTES);
    return spl_refuse_about(ret_problem, SPL_PROBLEM_TOO_LARGE, "file", "SPLEETER_MAX_FILE_SIZE_MB",
                            "The file may have %llu MiB at most",
                            (unsigned long long)(file_max >> 20));
}

static bool is_idempotency_key(const char *key) {
    size_t length = strlen(key);
    for (size_t i = 0; i < length; i++) {
        if (key[i] <= 0x20 || key[i] >= 0x7f)
            return false;
    }
    return length >= 1 && length <= 255;
}

static int reserve(spl_intake *intake, spl_problem *ret_problem) {
    const spl_request *request = intake->request;
    const char *key = spl_request_header(request, "Idempotency-Key");
    if (!key)
        return 0;
    if (!is_idempotency_key(key))
        return spl_refuse(ret_problem, SPL_PROBLEM_BAD_REQUEST,
                          "Idempotency-Key must be 1 to 255 printable ASCII characters");
    spl_idempotency state;
    int status = spl_jobs_idempotency_reserve(request->parts->jobs, &request->principal, key,
                                              &state, ret_problem);
    if (status < 0)
        return status;
    if (state == SPL_IDEMPOTENCY_BUSY) {
        status = spl_refuse(ret_problem, SPL_PROBLEM_IDEMPOTENCY_BUSY,
                            "Another request with this Idempotency-Key is in flight");
        ret_problem->retry_after_s = 1;
        return status;
    }
    intake->idempotency_key = key;
    intake->reserved = state == SPL_IDEMPOTENCY_NEW;
    return 0;
}

int spl_intake_start(spl_request *request, bool forms_only, spl_problem *ret_problem) {
    intake_kind kind = INTAKE_FORM;
    int status = choose_kind(request, forms_only, &kind, ret_problem);
    if (status == 0)
        status = check_length(request, kind, ret_problem);
    if (status < 0)
        return status;
    if (atomic_load(&request->http->draining))
        return spl_refuse_draining(ret_problem);
    spl_intake *intake = calloc(1, sizeof(*intake));
    if (!intake)
        return spl_refuse_memory(ret_problem);
    *intake = (spl_intake){.request = request, .kind = kind};
    request->state = intake;
    request->free_state = free_intake;
    status = reserve(intake, ret_problem);
    if (status < 0 || kind == INTAKE_JSON)
        return status;
    if (kind == INTAKE_FORM) {
        const spl_multipart_sink sink = {open_upload, write_upload, intake};
        return spl_multipart_open(spl_request_header(request, "Content-Type"), &sink, &intake->form,
                                  ret_problem);
    }
    return open_upload(intake, spl_target_parameter(&request->target, "filename"),
                       spl_request_header(request, "Content-Type"), ret_problem);
}

/* ---- Body ---- */

static int take_json(spl_intake *intake, const char *data, size_t size, spl_problem *ret_problem) {
    if (size > JSON_MAX_BYTES - intake->json_size)
        return spl_refuse(ret_problem, SPL_PROBLEM_TOO_LARGE,
                          "A JSON body may have %zu bytes at most", JSON_MAX_BYTES);
    char *longer = realloc(intake->json, intake->json_size + size);
    if (!longer)
        return spl_refuse_memory(ret_problem);
    memcpy(longer + intake->json_size, data, size);
    intake->json = longer;
    intake->json_size += size;
    return 0;
}

int spl_intake_take(spl_request *request, const char *data, size_t size, spl_problem *ret_problem) {
    spl_intake *intake = request->state;
    switch (intake->kind) {
    case INTAKE_FORM:
        return spl_multipart_take(intake->form, data, size, ret_problem);
    case INTAKE_AUDIO:
        return spl_upload_write(intake->upload, data, size, ret_problem);
    default:
        return take_json(intake, data, size, ret_problem);
    }
}

static int parse_json(spl_intake *intake, spl_problem *ret_problem) {
    int status =
        spl_client_json_parse(intake->json, intake->json_size, NULL, &intake->fields, ret_problem);
    free(SPL_STEAL(intake->json));
    if (status < 0)
        return status;
    if (!json_is_object(intake->fields))
        return spl_refuse(ret_problem, SPL_PROBLEM_BAD_REQUEST, "The body must be a JSON object");
    return 0;
}

static int take_query(spl_intake *intake, spl_problem *ret_problem) {
    const spl_target *target = &intake->request->target;
    intake->fields = json_object();
    int failed = intake->fields ? 0 : -1;
    for (size_t i = 0; i < target->parameter_count && failed == 0; i++) {
        const spl_parameter *parameter = &target->parameters[i];
        if (strcmp(parameter->name, "filename") != 0)
            failed =
                json_object_set_new(intake->fields, parameter->name, json_string(parameter->value));
    }
    if (failed)
        return spl_refuse_memory(ret_problem);
    return 0;
}

int spl_intake_finish(spl_request *request, json_t **ret_fields, bool *ret_texts,
                      spl_problem *ret_problem) {
    spl_intake *intake = request->state;
    int status = intake->kind == INTAKE_FORM
                     ? spl_multipart_finish(intake->form, &intake->fields, ret_problem)
                 : intake->kind == INTAKE_JSON ? parse_json(intake, ret_problem)
                                               : take_query(intake, ret_problem);
    if (status < 0)
        return status;
    if (intake->kind == INTAKE_FORM && !intake->upload)
        return spl_refuse_about(ret_problem, SPL_PROBLEM_INVALID, "file", NULL,
                                "The form has no part \"file\"");
    if (intake->kind == INTAKE_JSON &&
        !json_is_string(json_object_get(intake->fields, "source_url")))
        return spl_refuse_about(ret_problem, SPL_PROBLEM_INVALID, "source_url", NULL,
                                "The JSON must name a source_url; send files as forms or bodies");
    *ret_fields = intake->fields;
    *ret_texts = intake->kind != INTAKE_JSON;
    return 0;
}

/* spl_submission.canceled: nobody waits for the job, or its client may not create it any more. */
static int is_over(void *user) {
    spl_intake *intake = user;
    if (spl_request_gone(intake->request))
        return 1;
    if (!intake->revoked && spl_now_s() - intake->asked_s >= REVOKED_PERIOD_S) {
        intake->asked_s = spl_now_s();
        intake->revoked = spl_request_revoked(intake->request);
    }
    return intake->revoked;
}

int spl_intake_submit(spl_request *request, const spl_intake_job *job, json_t **ret_job,
                      bool *ret_replayed, spl_problem *ret_problem) {
    spl_intake *intake = request->state;
    const spl_submission submission = {
        .principal = &request->principal,
        .address = request->address,
        .options = job->options,
        .metadata = job->metadata,
        .webhook_url = job->webhook_url,
        .idempotency_key = intake->idempotency_key,
        .request_id = request->id,
        .traceparent = request->trace.parent,
        .upload = intake->upload,
        .source_url = intake->upload ? NULL : job->source_url,
        .canceled = is_over,
        .canceled_user = intake,
    };
    int status =
        spl_jobs_submit(request->parts->jobs, &submission, ret_job, ret_replayed, ret_problem);
    intake->reserved = false; /* spl_jobs_submit has used or released it */
    if (status < 0)
        return spl_request_revoked(request) ? spl_refuse_revoked(ret_problem) : status;
    intake->upload = NULL;
    return 0;
}

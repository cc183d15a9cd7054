/* SPDX-License-Identifier: MIT
 *
 * POST /separate, the API from before there were jobs: a form with `file`, `stems` (2, 4 or 5),
 * `stem` and `format`. The answer is a zip of all stems, or the audio of `stem`. The request
 * creates an ordinary job and waits for it. If that takes too long, the answer is the address of
 * the job; if the client disconnects or its key is revoked, the job is canceled.
 */
#include "base/clock.h"
#include "service/http/connection/access.h"
#include "service/http/connection/answer.h"
#include "service/http/routes/files.h"
#include "service/http/routes/intake.h"
#include "service/http/routes/routes.h"

#include <string.h>

#define WAIT_MS 500

int spl_legacy_start(spl_request *request, spl_problem *ret_problem) {
    return spl_intake_start(request, true, ret_problem);
}

int spl_legacy_body(spl_request *request, const char *data, size_t size, spl_problem *ret_problem) {
    return spl_intake_take(request, data, size, ret_problem);
}

/* "" if absent. */
static const char *field(const json_t *fields, const char *name) {
    const char *text = json_string_value(json_object_get(fields, name));
    return text ? text : "";
}

static int read_options(const json_t *fields, json_t **ret_options, spl_problem *ret_problem) {
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)fields, name, value) {
        if (strcmp(name, "stems") != 0 && strcmp(name, "stem") != 0 && strcmp(name, "format") != 0)
            return spl_refuse_about(ret_problem, SPL_PROBLEM_INVALID, name, NULL,
                                    "There are the fields file, stems, stem and format");
    }
    const char *stems = field(fields, "stems"), *stem = field(fields, "stem");
    const char *format = field(fields, "format");
    if (*stems && strcmp(stems, "2") != 0 && strcmp(stems, "4") != 0 && strcmp(stems, "5") != 0)
        return spl_refuse_about(ret_problem, SPL_PROBLEM_INVALID, "stems", NULL, "Give 2, 4 or 5");
    json_t *options = json_pack("{s:s+, s:s}", "model", *stems ? stems : "2", "stems", "codec",
                                *format ? format : "wav");
    if (options && *stem && json_object_set_new(options, "stems", json_pack("[s]", stem)) < 0) {
        json_decref(options);
        options = NULL;
    }
    if (!options)
        return spl_refuse_memory(ret_problem);
    *ret_options = options;
    return 0;
}

static const char *text_of(const json_t *object, const char *name) {
    return json_string_value(json_object_get(object, name));
}

/* Waits for the end of the job. *ret_job is its state then, or at the time-out. */
static int wait_for_end(spl_request *request, const char *id, json_t **ret_job,
                        spl_problem *ret_problem) {
    spl_jobs *jobs = request->parts->jobs;
    const double deadline_s = spl_now_s() + request->parts->settings->sync_timeout_s;
    for (;;) {
        json_t *job;
        int64_t version;
        if (spl_request_revoked(request)) {
            (void)!spl_jobs_cancel(jobs, &request->principal, request->address, id, ret_problem);
            return spl_refuse_revoked(ret_problem);
        }
        int status = spl_jobs_get(jobs, request->principal.id, id, &job, &version, ret_problem);
        if (status < 0)
            return spl_refuse_job(status, ret_problem);
        const char *state = text_of(job, "status");
        const bool waits = strcmp(state, "queued") == 0 || strcmp(state, "running") == 0;
        if (!waits || spl_now_s() >= deadline_s || atomic_load(&request->http->stopping)) {
            *ret_job = job;
            return 0;
        }
        json_decref(job);
        if (spl_request_gone(request)) {
            status = spl_jobs_cancel(jobs, &request->principal, request->address, id, ret_problem);
            return status < 0 ? status
                              : spl_refuse(ret_problem, SPL_PROBLEM_CONFLICT,
                                           "The client has left, so the job is canceled");
        }
        spl_jobs_wait(jobs, id, version, WAIT_MS);
    }
}

static int answer_later(spl_request *request, json_t *job, const char *id,
                        spl_problem *ret_problem) {
    char location[64];
    snprintf(location, sizeof(location), "/v1/jobs/%s", id);
    const spl_answer_header headers[] = {{"Location", location}, {NULL, NULL}};
    return spl_answer_json(request, MHD_HTTP_ACCEPTED, json_incref(job), headers, ret_problem);
}

static int refuse_failed(const json_t *job, spl_problem *ret_problem) {
    const json_t *error = json_object_get(job, "error");
    const char *code = text_of(error, "code"), *detail = text_of(error, "detail");
    for (spl_problem_code i = 0; code && i < SPL_PROBLEM_COUNT; i++) {
        if (strcmp(code, spl_problem_code_text(i)) == 0)
            return spl_refuse(ret_problem, i, "%s", detail ? detail : spl_problem_title(i));
    }
    return spl_refuse(ret_problem, SPL_PROBLEM_INTERNAL, "The separation failed: %s",
                      detail ? detail : "no reason is known");
}

static int answer_end(spl_request *request, json_t *job, bool one_stem, spl_problem *ret_problem) {
    const char *id = text_of(job, "id"), *state = text_of(job, "status");
    if (strcmp(state, "failed") == 0)
        return refuse_failed(job, ret_problem);
    if (strcmp(state, "queued") == 0 || strcmp(state, "running") == 0)
        return answer_later(request, job, id, ret_problem);
    if (strcmp(state, "succeeded") != 0)
        return spl_refuse(ret_problem, SPL_PROBLEM_CONFLICT, "The job was %s", state);
    if (!one_stem)
        return spl_zip_send(request, request->principal.id, id, ret_problem);
    const json_t *output = json_array_get(json_object_get(job, "outputs"), 0);
    return spl_file_send(request, request->principal.id, id, text_of(output, "file"), ret_problem);
}

int spl_legacy_answer(spl_request *request, spl_problem *ret_problem) {
    json_t *fields;
    json_auto_t *options = NULL, *created = NULL, *job = NULL;
    bool texts, replayed;
    int status = spl_intake_finish(request, &fields, &texts, ret_problem);
    if (status == 0)
        status = read_options(fields, &options, ret_problem);
    if (status == 0)
        status = spl_intake_submit(request, &(spl_intake_job){.options = options}, &created,
                                   &replayed, ret_problem);
    if (status == 0)
        status = wait_for_end(request, text_of(created, "id"), &job, ret_problem);
    return status < 0 ? status
                      : answer_end(request, job, *field(fields, "stem") != '\0', ret_problem);
}

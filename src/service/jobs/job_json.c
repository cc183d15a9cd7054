/* SPDX-License-Identifier: MIT
 *
 * The public JSON of jobs.
 */
#include "service/jobs/job_json.h"
#include "base/clock.h"
#include "service/jobs/state.h"
#include "service/observe/json.h"

#include <math.h>

/* Below this progress, the elapsed time does not predict the remaining time. */
#define PROGRESS_MIN 0.02

json_t *spl_json_number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *time_or_null(int64_t wall_ms) {
    char text[25];
    if (wall_ms == 0)
        return json_null();
    spl_time_text(wall_ms, text);
    return json_string(text);
}

static json_t *parsed_or_null(const char *text) {
    json_t *value = spl_json_load_own(text);
    return value ? value : json_null();
}

/* "https://host/v1/jobs/ID/stems/vocals.wav"; `tail` follows the id. */
static json_t *url(const spl_jobs *jobs, const spl_job *job, const char *tail) {
    return json_sprintf("%s/v1/jobs/%s%s", jobs->settings->public_url, job->id, tail);
}

static double worker_speed(spl_jobs *jobs) {
    pthread_mutex_lock(&jobs->lock);
    double speed = jobs->speed;
    pthread_mutex_unlock(&jobs->lock);
    return speed;
}

/* Estimated seconds until a running job ends; NAN if unknown. */
static double seconds_left(spl_jobs *jobs, const spl_job *job) {
    const double elapsed_s = 1e-3 * (double)(spl_jobs_now_ms(jobs) - job->started_ms);
    if (job->progress >= PROGRESS_MIN)
        return elapsed_s * (1 - job->progress) / job->progress;
    const double speed = worker_speed(jobs);
    if (speed == 0 || job->input_s == 0)
        return (double)NAN;
    return fmax(job->input_s / speed - elapsed_s, 0);
}

/* The job's position in the queue (1: next) and the seconds until it ends, or null. */
static json_t *queue_place(spl_jobs *jobs, const spl_job *job, double *ret_eta_s) {
    uint64_t before;
    double audio_s;
    if (SPL_STORE(jobs, queue_position, job->id, &before, &audio_s, NULL) < 0)
        return json_null();
    const double speed = worker_speed(jobs);
    if (speed > 0 && job->input_s > 0)
        *ret_eta_s =
            audio_s / (speed * SPL_MAX(jobs->settings->workers, 1u)) + job->input_s / speed;
    return json_pack("{s:I, s:o}", "position", (json_int_t)before + 1, "eta_s",
                     spl_json_number(*ret_eta_s));
}

static json_t *describe_output(const spl_jobs *jobs, const spl_job *job,
                               const spl_job_output *output) {
    json_auto_t *folder = url(jobs, job, "/stems/");
    json_t *object = json_pack("{s:s, s:s, s:b, s:o}", "name", output->name, "file", output->file,
                               "complete", output->complete, "url",
                               json_sprintf("%s%s", json_string_value(folder), output->file));
    if (object && output->complete)
        json_object_update_new(
            object,
            json_pack("{s:I, s:I, s:I, s:o, s:s}", "bytes", (json_int_t)output->bytes, "samples",
                      (json_int_t)output->samples, "clipped", (json_int_t)output->clipped,
                      "peak_dbfs", spl_json_number(output->peak_dbfs), "sha256", output->sha256));
    return object;
}

static json_t *describe_outputs(const spl_jobs *jobs, const spl_job *job) {
    json_t *outputs = json_array();
    for (size_t i = 0; i < job->output_count; i++)
        json_array_append_new(outputs, describe_output(jobs, job, &job->outputs[i]));
    return outputs;
}

static json_t *describe_error(const spl_job *job) {
    if (!job->error_code)
        return json_null();
    return json_pack("{s:o, s:s, s:o}", "type",
                     json_sprintf(SPL_PROBLEM_TYPE_PREFIX "%s", job->error_code), "code",
                     job->error_code, "detail", spl_json_text(job->error_detail));
}

static json_t *describe_model(const spl_job *job) {
    return json_pack("{s:s, s:s}", "name", job->model, "sha256", job->model_sha256);
}

static json_t *describe_input(const spl_job *job) {
    return json_pack("{s:s?, s:I, s:s, s:o}", "name", job->input_name, "bytes",
                     (json_int_t)job->input_bytes, "sha256", job->input_sha256, "duration_s",
                     job->input_s > 0 ? json_real(job->input_s) : json_null());
}

static json_t *describe_times(const spl_job *job) {
    return json_pack("{s:o, s:o, s:o, s:o}", "created", time_or_null(job->created_ms), "started",
                     time_or_null(job->started_ms), "finished", time_or_null(job->finished_ms),
                     "expires", time_or_null(job->expires_ms));
}

static json_t *describe_urls(const spl_jobs *jobs, const spl_job *job) {
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "self", url(jobs, job, ""), "events",
                     url(jobs, job, "/events"), "cancel", url(jobs, job, "/cancel"), "zip",
                     url(jobs, job, "/stems.zip"), "manifest", url(jobs, job, "/manifest.json"));
}

json_t *spl_job_json(spl_jobs *jobs, const spl_job *job, bool with_queue) {
    double eta_s = (double)NAN;
    json_t *queue = NULL;
    if (job->state == SPL_JOB_RUNNING)
        eta_s = seconds_left(jobs, job);
    else if (job->state == SPL_JOB_QUEUED && with_queue)
        queue = queue_place(jobs, job, &eta_s);
    json_auto_t *times = describe_times(job);
    json_t *object =
        json_pack("{s:s, s:s, s:f, s:i, s:b, s:b, s:s?}", "id", job->id, "status",
                  spl_job_state_text(job->state), "progress", job->progress, "attempts",
                  (int)job->attempts, "reused", job->reused, "cancel_requested",
                  job->cancel_requested, "request_id", job->request_id);
    const struct {
        const char *key;
        json_t *value;
    } members[] = {
        {"model", describe_model(job)},
        {"options", parsed_or_null(job->options)},
        {"input", describe_input(job)},
        {"queue", queue ? queue : json_null()},
        {"eta_s", spl_json_number(eta_s)},
        {"outputs", describe_outputs(jobs, job)},
        {"error", describe_error(job)},
        {"warning", spl_json_text(job->warning)},
        {"metadata", parsed_or_null(job->metadata)},
        {"urls", describe_urls(jobs, job)},
    };
    int failed = json_object_update(object, times);
    for (size_t i = 0; i < SPL_ARRAY_SIZE(members); i++)
        failed |= json_object_set_new(object, members[i].key, members[i].value);
    if (failed) {
        json_decref(object);
        return NULL;
    }
    return object;
}

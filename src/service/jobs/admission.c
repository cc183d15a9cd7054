/* SPDX-License-Identifier: MIT
 *
 * From an upload to a durable job.
 *
 *     read      options, metadata, webhook; the file is not examined yet
 *     replay    the stored response for an idempotency key, if there is one
 *     source    fetch the file, if a source URL was given
 *     examine   scan for viruses, decode a second in the sandbox
 *     reuse     a finished job of the same owner with the same cache key
 *     create    commit the file, then store the job
 *
 * Headers can be wrong. The length is checked here only to refuse most songs that are too long at
 * once; the worker counts samples.
 */
#include "app/pipeline/budget.h"
#include "base/clock.h"
#include "base/digest.h"
#include "service/core/ids.h"
#include "service/jobs/job_json.h"
#include "service/jobs/media.h"
#include "service/jobs/source.h"
#include "service/jobs/state.h"
#include "service/jobs/upload.h"
#include "service/jobs/webhooks.h"
#include "service/observe/metrics.h"
#include "service/outbound/outbound.h"
#include "service/scan/clamd.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define METADATA_MAX_BYTES  ((size_t)16 << 10)
#define TURN_WAIT_MS        60000
#define PROBE_S             1.0
#define PROBE_TIME_MAX_S    20
#define PROBE_RETRY_AFTER_S 10
#define MODEL_RETRY_AFTER_S 60

/* A file that is too costly exhausts its CPU time first and is refused for good. One that reaches
 * the time limit met a busy machine and may be sent again. */
static_assert(4 * SPL_PROBE_CPU_S < PROBE_TIME_MAX_S, "CPU time is to end first");

#define UNKNOWN_BYTES_S 8000.0 /* of an input of unknown length */

typedef struct job_admission {
    spl_jobs *jobs;
    const spl_submission *submission;
    spl_problem *problem;
    spl_upload *upload;  /* the submission's, or `fetched` */
    spl_upload *fetched; /* from the source URL */
    spl_separation separation;
    spl_models_entry model;
    spl_parts parts;
    uint64_t output_bytes; /* expected */
    char fingerprint[65];
    char *answer; /* the job's JSON, stored for the idempotency key */
    spl_job job;
} job_admission;

static int refuse_memory(const job_admission *admission) {
    return spl_refuse_memory(admission->problem);
}

static int fail(const job_admission *admission, const spl_error *error) {
    if (error->status == SPL_E_CANCELED)
        return spl_refuse_disconnected(admission->problem);
    return spl_jobs_refuse_failure(admission->problem, "job.refused", error);
}

/* Copies `text`, which may be NULL, to *ret_copy. */
static bool copy_text(const char *text, char **ret_copy) {
    *ret_copy = text ? strdup(text) : NULL;
    return !text || *ret_copy;
}

/* ------------------------------------------------------------------------ read ---- */

static int read_metadata(job_admission *admission) {
    const char *metadata = admission->submission->metadata;
    if (metadata && strlen(metadata) > METADATA_MAX_BYTES)
        return spl_refuse_about(admission->problem, SPL_PROBLEM_INVALID, "metadata", NULL,
                                "the metadata has more than 16 KiB");
    return copy_text(metadata, &admission->job.metadata) ? 0 : refuse_memory(admission);
}

static int read_webhook(const job_admission *admission) {
    const char *url = admission->submission->webhook_url;
    spl_error error;
    if (!url || spl_outbound_check_url(url, admission->jobs->settings->webhook_allow, &error) == 0)
        return 0;
    if (error.status == SPL_E_MEMORY)
        return refuse_memory(admission);
    return spl_refuse_about(admission->problem, SPL_PROBLEM_INVALID, "webhook_url", NULL, "%s",
                            error.message);
}

static int read_request(job_admission *admission) {
    const spl_submission *submission = admission->submission;
    if (!submission->upload == !submission->source_url)
        return spl_refuse_about(admission->problem, SPL_PROBLEM_INVALID, "file", NULL,
                                "give a file or a source_url, and not both");
    int status =
        spl_job_options_parse(submission->options, admission->jobs->settings->default_model,
                              &admission->separation, admission->problem);
    if (status == 0)
        status = read_metadata(admission);
    if (status == 0)
        status = read_webhook(admission);
    if (status < 0)
        return status;
    spl_error error;
    if (spl_separation_text(&admission->separation, &admission->job.options, &error) < 0)
        return fail(admission, &error);
    return submission->upload ? spl_upload_finish(submission->upload, admission->problem) : 0;
}

static int find_model(job_admission *admission) {
    const char *name = admission->separation.model;
    spl_error error;
    spl_models_entry *model = &admission->model;
    int status = spl_models_find(admission->jobs->models, name, model, &error);
    if (status == SPL_E_NOT_FOUND || status == SPL_E_ARGUMENT)
        return spl_refuse_about(admission->problem, SPL_PROBLEM_INVALID, "model", NULL,
                                "there is no model %.100s; GET /v1/models lists the models", name);
    if (status < 0)
        return fail(admission, &error);
    spl_model_info info;
    spl_models_entry_info(model, &info);
    status = spl_job_options_select(&admission->separation, &info, &admission->parts, &error);
    if (status == SPL_E_ARGUMENT)
        return spl_refuse_about(admission->problem, SPL_PROBLEM_INVALID,
                                admission->separation.mix_count > 0 ? "mixes" : "stems", NULL, "%s",
                                error.message);
    if (status < 0)
        return fail(admission, &error);
    return 0;
}

/* Refuses a model whose files were damaged since the service started. */
static int check_model(const job_admission *admission) {
    spl_error error;
    int status = spl_models_check(admission->jobs->models, &admission->model, &error);
    if (spl_status_is_transient(status))
        return fail(admission, &error);
    if (status == 0)
        return 0;
    spl_jobs_log_failure(SPL_LOG_ERROR, "job.model_refused", &error);
    status = spl_refuse_about(admission->problem, SPL_PROBLEM_UNAVAILABLE, "model", NULL,
                              "the files of the model %.100s are damaged; ask the operator of the "
                              "service to install it again",
                              admission->separation.model);
    admission->problem->retry_after_s = MODEL_RETRY_AFTER_S;
    return status;
}

/* ---------------------------------------------------------------------- replay ---- */

/* Identifies equal requests: hashes the file's content or source and all options. */
static int make_fingerprint(job_admission *admission, spl_error *ret_error) {
    const spl_submission *submission = admission->submission;
    const char *texts[] = {submission->upload ? submission->upload->sha256 : submission->source_url,
                           admission->job.options, admission->job.metadata,
                           submission->webhook_url};
    SPL_CLEANUP(spl_digest_free_p) spl_digest *digest = NULL;
    int status = spl_digest_new(&digest, ret_error);
    for (size_t i = 0; status == 0 && i < SPL_ARRAY_SIZE(texts); i++)
        status = spl_digest_add_text(digest, texts[i], ret_error);
    return status < 0 ? status : spl_digest_finish(digest, admission->fingerprint, ret_error);
}

/* Adds the outputs of a job that took over an earlier result, unless that was deleted. */
static void add_outputs(const job_admission *admission, json_t *job) {
    const char *owner = admission->submission->principal->id;
    const char *id = json_string_value(json_object_get(job, "id"));
    json_t *now;
    spl_problem gone;
    if (!json_is_true(json_object_get(job, "reused")) ||
        spl_jobs_get(admission->jobs, owner, id, &now, NULL, &gone) < 0)
        return;
    json_object_set(job, "outputs", json_object_get(now, "outputs"));
    json_decref(now);
}

/* Parses the job of a stored response. It is stored without the parts of any size: options and
 * metadata are added from this request, because equal requests have equal ones. NULL: out of
 * memory. */
static json_t *read_answer(const job_admission *admission, const char *answer) {
    json_t *job = spl_json_load_own(answer);
    const spl_job *request = &admission->job;
    if (job)
        json_object_set_new(job, "options", spl_json_load_own(request->options));
    if (job && request->metadata)
        json_object_set_new(job, "metadata", spl_json_load_own(request->metadata));
    if (job)
        add_outputs(admission, job);
    return job;
}

/* *ret_job is the stored response, or NULL if this is the first request. */
static int replay(job_admission *admission, json_t **ret_job) {
    const spl_submission *submission = admission->submission;
    *ret_job = NULL;
    if (!submission->idempotency_key)
        return 0;
    spl_error error;
    spl_idempotency state;
    SPL_CLEANUP(spl_free_p) char *fingerprint = NULL;
    SPL_CLEANUP(spl_free_p) char *answer = NULL;
    int status = make_fingerprint(admission, &error);
    if (status == 0)
        status = SPL_STORE(admission->jobs, idempotency_reserve, submission->principal->id,
                           submission->idempotency_key, spl_jobs_now_ms(admission->jobs), &state,
                           &fingerprint, &answer, &error);
    if (status < 0)
        return fail(admission, &error);
    if (state != SPL_IDEMPOTENCY_DONE) /* BUSY: reserved for this request */
        return 0;
    if (strcmp(fingerprint, admission->fingerprint) != 0)
        return spl_refuse(admission->problem, SPL_PROBLEM_IDEMPOTENCY_REUSED,
                          "this Idempotency-Key was used for another file or other options; use a "
                          "new one");
    *ret_job = read_answer(admission, answer);
    return *ret_job ? 0 : refuse_memory(admission);
}

/* --------------------------------------------------------------------- examine ---- */

static int take_turn(const job_admission *admission, spl_turn_kind kind, unsigned wait_ms,
                     unsigned *ret_slot) {
    const spl_submission *submission = admission->submission;
    const spl_turn_wait wait = {submission->principal->id, wait_ms, submission->canceled,
                                submission->canceled_user};
    return spl_jobs_take_turn(admission->jobs, kind, &wait, ret_slot, admission->problem);
}

static int scan(const job_admission *admission) {
    const spl_settings *settings = admission->jobs->settings;
    if (!*settings->clamd)
        return 0;
    spl_scan_verdict verdict;
    char signature[128];
    spl_error error;
    unsigned slot;
    int status = take_turn(admission, SPL_TURN_SCAN, 1000 * settings->scan_timeout_s, &slot);
    if (status < 0)
        return status;
    const double started_s = spl_now_s();
    const spl_submission *submission = admission->submission;
    const spl_scan_wait wait = {settings->scan_timeout_s, submission->canceled,
                                submission->canceled_user};
    status = spl_clamd_scan(settings->clamd, admission->upload->writer.fd, &wait, &verdict,
                            signature, &error);
    spl_metrics_phase(SPL_PHASE_SCAN, spl_now_s() - started_s);
    spl_jobs_end_turn(admission->jobs, SPL_TURN_SCAN, slot);
    if (status == SPL_E_CANCELED)
        return spl_refuse_disconnected(admission->problem);
    if (status < 0) {
        spl_metrics_count(SPL_COUNTER_SCAN_FAILURES, 1);
        spl_jobs_log_failure(SPL_LOG_ERROR, "upload.not_scanned", &error);
        if (status == SPL_E_LIMIT)
            return spl_refuse_about(admission->problem, SPL_PROBLEM_TOO_LARGE, "file", NULL,
                                    "the file is larger than the virus scanner accepts");
        return spl_refuse(
            admission->problem, SPL_PROBLEM_SCAN_UNAVAILABLE,
            "the virus scanner does not answer, so no file is accepted; try again later");
    }
    if (verdict == SPL_SCAN_CLEAN)
        return 0;
    spl_metrics_count(SPL_COUNTER_UPLOADS_INFECTED, 1);
    spl_log(SPL_LOG_WARNING, "upload.infected", SPL_TEXT("signature", signature),
            SPL_TEXT("sha256", admission->upload->sha256));
    const spl_audit_event event = {.actor = admission->submission->principal->id,
                                   .action = "upload.infected",
                                   .object = admission->upload->sha256,
                                   .address = admission->submission->address,
                                   .outcome = spl_problem_code_text(SPL_PROBLEM_INFECTED),
                                   .detail = signature};
    if (spl_audit_write(admission->jobs->audit, &event, &error) < 0)
        return fail(admission, &error);
    return spl_refuse_about(admission->problem, SPL_PROBLEM_INFECTED, "file", NULL,
                            "the virus scanner refused the file; nothing of it was kept");
}

/* The stop conditions of a probe. */
typedef struct probe_watch {
    const spl_submission *submission;
    double deadline_s;
} probe_watch;

/* spl_stop.requested */
static bool stop_requested(void *user) {
    const probe_watch *watch = user;
    const spl_submission *submission = watch->submission;
    return spl_now_s() > watch->deadline_s ||
           (submission->canceled && submission->canceled(submission->canceled_user));
}

/* Decodes the beginning of the file. */
static int decode_beginning(const job_admission *admission, probe_watch *watch,
                            spl_audio_info *ret_info, spl_error *ret_error) {
    spl_decode_options options = {
        .channels = SPL_CHANNELS_FIRST_TWO,
        .duration_s = PROBE_S,
        .probe = true,
        .stop = {stop_requested, watch},
    };
    spl_media_containers(admission->jobs->settings->formats, admission->upload->name,
                         admission->upload->type, options.containers, sizeof(options.containers));
    spl_decoder *decoder;
    const char *name = admission->upload->name ? admission->upload->name : "the file";
    int status =
        spl_decoder_open(admission->upload->writer.fd, name, &options, &decoder, ret_error);
    if (status < 0)
        return status;
    float samples[2 * 1024];
    size_t count = 0;
    status = spl_decoder_read(decoder, samples, SPL_ARRAY_SIZE(samples) / 2, &count, ret_error);
    if (status == 0 && count == 0)
        status = spl_fail(ret_error, SPL_E_FORMAT, "%s: there are no audio samples in it", name);
    if (status == 0)
        *ret_info = *spl_decoder_info(decoder);
    spl_decoder_free(decoder);
    return status;
}

static int check_length(job_admission *admission, const spl_audio_info *audio) {
    const spl_separation *options = &admission->separation;
    const double length_s = 1e-6 * (double)audio->duration_us;
    if (length_s == 0) /* unknown until it is decoded */
        return 0;
    if (options->offset_s >= length_s)
        return spl_refuse_about(admission->problem, SPL_PROBLEM_INVALID, "offset", NULL,
                                "the song ends after %.3f seconds, before the offset", length_s);
    double decoded_s = length_s;
    if (options->duration_s > 0 && options->offset_s + options->duration_s < length_s)
        decoded_s = options->offset_s + options->duration_s;
    if (decoded_s > admission->jobs->settings->max_duration_s)
        return spl_refuse_about(
            admission->problem, SPL_PROBLEM_TOO_LONG, "file", "SPLEETER_MAX_DURATION_S",
            "the song has %.0f seconds, more than the %g that are accepted; cut it, or "
            "request a part of it by offset and duration",
            length_s, admission->jobs->settings->max_duration_s);
    admission->job.input_s = decoded_s - options->offset_s;
    return 0;
}

/* Estimates what the job will write. The store counts it against the owner's quota until the job
 * ends, so that queued jobs can't exceed the quota together. The worker counts what is written. */
static void expect_outputs(job_admission *admission, const spl_audio_info *audio) {
    const spl_settings *settings = admission->jobs->settings;
    const spl_separation *separation = &admission->separation;
    double seconds = admission->job.input_s;
    if (seconds == 0)
        seconds =
            fmin((double)admission->upload->bytes / UNKNOWN_BYTES_S, settings->max_duration_s);
    if (seconds > separation->duration_s && separation->duration_s > 0)
        seconds = separation->duration_s;
    const spl_pipeline_options pipeline = spl_separation_pipeline(separation, SPL_BANDWIDTH_MODEL);
    admission->output_bytes = spl_pipeline_expect(&pipeline, audio, admission->parts.outputs,
                                                  admission->parts.count, seconds);
}

static int probe(job_admission *admission) {
    spl_audio_info audio = {0};
    spl_error error;
    unsigned slot;
    int status = take_turn(admission, SPL_TURN_PROBE, TURN_WAIT_MS, &slot);
    if (status < 0)
        return status;
    const double started_s = spl_now_s();
    probe_watch watch = {admission->submission, started_s + PROBE_TIME_MAX_S};
    status = decode_beginning(admission, &watch, &audio, &error);
    spl_metrics_phase(SPL_PHASE_PROBE, spl_now_s() - started_s);
    spl_jobs_end_turn(admission->jobs, SPL_TURN_PROBE, slot);
    if (status == 0) {
        status = check_length(admission, &audio);
        expect_outputs(admission, &audio);
        return status;
    }
    spl_jobs_log_failure(SPL_LOG_INFO, "upload.unreadable", &error);
    if (status == SPL_E_CANCELED) {
        status = spl_refuse(admission->problem, SPL_PROBLEM_UNAVAILABLE,
                            "the file could not be examined in %d seconds; try again later, or "
                            "convert it to FLAC, WAV or MP3 first",
                            PROBE_TIME_MAX_S);
        admission->problem->retry_after_s = PROBE_RETRY_AFTER_S;
        return status;
    }
    if (status == SPL_E_ARGUMENT)
        return spl_media_refuse_content(admission->jobs->settings->formats, admission->upload->name,
                                        error.message, admission->problem);
    if (status == SPL_E_FORMAT || status == SPL_E_UNSUPPORTED || status == SPL_E_LIMIT ||
        status == SPL_E_BUDGET || status == SPL_E_SAMPLE)
        return spl_refuse_about(admission->problem, SPL_PROBLEM_UNREADABLE_AUDIO, "file", NULL,
                                "%s", error.message);
    if (status == SPL_E_HELPER)
        return spl_refuse_about(admission->problem, SPL_PROBLEM_UNREADABLE_AUDIO, "file", NULL,
                                "the file could not be decoded; convert it to FLAC, WAV or MP3 "
                                "first");
    return spl_refuse_error(admission->problem, &error);
}

static int examine(job_admission *admission) {
    const spl_upload *upload = admission->upload;
    if (upload->bytes == 0)
        return spl_refuse_about(admission->problem, SPL_PROBLEM_INVALID, "file", NULL,
                                "the file is empty");
    int status = scan(admission);
    return status < 0 ? status : probe(admission);
}

/* -------------------------------------------------------------- reuse or create ---- */

static int make_cache_key(job_admission *admission, spl_error *ret_error) {
    const char *texts[] = {admission->upload->sha256, admission->model.sha256,
                           admission->job.options, spl_version(), spl_cpu_isa()};
    SPL_CLEANUP(spl_digest_free_p) spl_digest *digest = NULL;
    char key[65];
    int status = spl_digest_new(&digest, ret_error);
    for (size_t i = 0; status == 0 && i < SPL_ARRAY_SIZE(texts); i++)
        status = spl_digest_add_text(digest, texts[i], ret_error);
    if (status == 0)
        status = spl_digest_finish(digest, key, ret_error);
    if (status == 0 && !copy_text(key, &admission->job.cache_key))
        status = spl_fail_memory(ret_error);
    return status;
}

static int fill_job(job_admission *admission) {
    const spl_submission *submission = admission->submission;
    spl_job *job = &admission->job;
    spl_uuid_make(job->id);
    job->priority = submission->principal->quota.priority;
    job->created_ms = job->available_ms = spl_jobs_now_ms(admission->jobs);
    job->input_bytes = admission->upload->bytes;
    spl_error error;
    if (!copy_text(submission->principal->id, &job->owner) ||
        !copy_text(admission->separation.model, &job->model) ||
        !copy_text(admission->model.sha256, &job->model_sha256) ||
        !copy_text(admission->upload->name, &job->input_name) ||
        !copy_text(admission->upload->sha256, &job->input_sha256) ||
        !copy_text(submission->webhook_url, &job->webhook_url) ||
        !copy_text(submission->request_id, &job->request_id) ||
        !copy_text(submission->traceparent, &job->traceparent))
        return refuse_memory(admission);
    return make_cache_key(admission, &error) < 0 ? fail(admission, &error) : 0;
}

/* Takes over the result and files of the finished job `from`. On failure no copied files remain. */
static int take_over(job_admission *admission, spl_job *from, spl_error *ret_error) {
    spl_job *job = &admission->job;
    const spl_submission *submission = admission->submission;
    const spl_blob_wait wait = {submission->canceled, submission->canceled_user};
    spl_space_grant grant = {.space = admission->jobs->space, .use = SPL_SPACE_ACCEPT};
    int status = 0;
    for (size_t i = 0; status == 0 && i < from->output_count; i++) {
        char blob[SPL_BLOB_NAME_MAX + 1];
        spl_jobs_blob_name(admission->jobs, from->fence, from->outputs[i].file, blob);
        status = SPL_BLOBS(admission->jobs, copy, from->id, job->id, blob, &grant,
                           submission->canceled ? &wait : NULL, ret_error);
    }
    spl_space_release(&grant);
    if (status < 0) {
        SPL_BLOBS(admission->jobs, remove_job, job->id, &admission->jobs->stop, NULL);
        return status;
    }
    job->state = SPL_JOB_SUCCEEDED;
    job->reused = true;
    job->fence = from->fence;
    job->progress = 1;
    job->started_ms = job->finished_ms = job->created_ms;
    job->expires_ms = job->finished_ms + INT64_C(1000) * admission->jobs->settings->retention_s;
    job->input_s = from->input_s;
    job->stored_bytes = from->stored_bytes;
    job->warning = SPL_STEAL(from->warning);
    job->result = SPL_STEAL(from->result);
    job->outputs = SPL_STEAL(from->outputs);
    job->output_count = from->output_count;
    from->output_count = 0;
    return 0;
}

static void reuse(job_admission *admission) {
    spl_job from = {0};
    spl_error error;
    int status = SPL_STORE(admission->jobs, find_result, admission->job.owner,
                           admission->job.cache_key, admission->job.created_ms, &from, &error);
    if (status == 0)
        status = take_over(admission, &from, &error);
    if (status < 0 && status != SPL_E_NOT_FOUND)
        spl_jobs_log_failure(SPL_LOG_ERROR, "job.not_reused", &error);
    spl_metrics_count(status == 0 ? SPL_COUNTER_CACHE_HITS : SPL_COUNTER_CACHE_MISSES, 1);
    spl_job_free(&from);
}

static int write_audit(const job_admission *admission, const char *outcome, spl_error *ret_error) {
    const spl_audit_event event = {.actor = admission->job.owner,
                                   .action = "job.create",
                                   .object = admission->job.id,
                                   .address = admission->submission->address,
                                   .outcome = outcome};
    return spl_audit_write(admission->jobs->audit, &event, ret_error);
}

/* *ret_unsure: the call failed, but the job may still appear in the store. */
static int store_job(job_admission *admission, bool *ret_unsure) {
    const spl_submission *submission = admission->submission;
    const spl_quota *quota = &submission->principal->quota;
    json_auto_t *answer = spl_job_json(admission->jobs, &admission->job, false);
    json_object_set_new(answer, "options", json_null());
    json_object_set_new(answer, "metadata", json_null());
    json_object_set_new(answer, "outputs", json_array());
    admission->answer = answer ? json_dumps(answer, JSON_COMPACT) : NULL;
    if (!admission->answer)
        return refuse_memory(admission);
    spl_delivery delivery;
    const bool notify = admission->job.reused && spl_webhook_of(&admission->job, &delivery);
    const spl_store_create create = {
        .job = &admission->job,
        .queue_max = admission->jobs->settings->queue,
        .owner_jobs_max = quota->jobs,
        .owner_bytes_max = quota->storage_bytes,
        .output_bytes = admission->output_bytes,
        .idempotency_key = submission->idempotency_key,
        .fingerprint = admission->fingerprint,
        .answer = admission->answer,
        .delivery = notify ? &delivery : NULL,
    };
    spl_store_limit limit = SPL_LIMIT_NONE;
    spl_error error;
    int status = SPL_STORE(admission->jobs, create, &create, &limit, &error);
    if (status == SPL_E_LIMIT)
        return spl_jobs_refuse_limit(admission->problem, limit);
    *ret_unsure = status < 0 && admission->jobs->store->shared;
    return status < 0 ? fail(admission, &error) : 0;
}

static int create(job_admission *admission) {
    spl_jobs *jobs = admission->jobs;
    spl_job *job = &admission->job;
    spl_error error;
    int status = 0;
    bool unsure = false;
    const spl_submission *submission = admission->submission;
    const spl_blob_wait wait = {submission->canceled, submission->canceled_user};
    if (!job->reused)
        status = SPL_BLOBS(jobs, commit, &admission->upload->writer, job->id, SPL_INPUT_BLOB,
                           submission->canceled ? &wait : NULL, &error);
    if (status == 0)
        status = write_audit(admission, "ok", &error);
    spl_upload_becomes_job(admission->upload);
    status = status < 0 ? fail(admission, &error) : store_job(admission, &unsure);
    if (status < 0) {
        if (!unsure)
            SPL_BLOBS(jobs, remove_job, job->id, &jobs->stop, NULL);
        if (write_audit(admission, spl_problem_code_text(admission->problem->code), &error) < 0)
            spl_jobs_log_failure(SPL_LOG_ERROR, "audit.failed", &error);
        return status;
    }
    spl_log(SPL_LOG_INFO, "job.created", SPL_TEXT("id", job->id), SPL_TEXT("model", job->model),
            SPL_INTEGER("bytes", job->input_bytes), SPL_NUMBER("audio_s", job->input_s),
            SPL_BOOL("reused", job->reused));
    if (job->reused)
        spl_metrics_job(SPL_OUTCOME_REUSED, 0, 0);
    return 0;
}

static int fetch(job_admission *admission) {
    unsigned slot;
    int status = take_turn(admission, SPL_TURN_FETCH, TURN_WAIT_MS, &slot);
    if (status < 0)
        return status;
    status = spl_source_fetch(admission->jobs, admission->submission, &admission->fetched,
                              admission->problem);
    spl_jobs_end_turn(admission->jobs, SPL_TURN_FETCH, slot);
    return status;
}

/* A key can be revoked while its song arrives and is examined. */
static int check_client(job_admission *admission) {
    spl_auth *auth = admission->jobs->auth;
    return auth && !spl_auth_has_client(auth, admission->job.owner)
               ? spl_refuse(admission->problem, SPL_PROBLEM_UNAUTHORIZED, "The key was revoked")
               : 0;
}

static int admit(job_admission *admission, json_t **ret_job) {
    const spl_submission *submission = admission->submission;
    int status = find_model(admission);
    if (status == 0)
        status = check_model(admission);
    if (status == 0 && submission->source_url) {
        status = fetch(admission);
        if (status == 0)
            status = spl_upload_finish(admission->fetched, admission->problem);
        admission->upload = admission->fetched;
    }
    if (status == 0)
        status = examine(admission);
    if (status == 0)
        status = fill_job(admission);
    if (status == 0)
        status = check_client(admission);
    if (status < 0)
        return status;
    reuse(admission);
    status = create(admission);
    if (status < 0)
        return status;
    spl_problem gone; /* if the job is already deleted, the response is the job as created */
    if (spl_jobs_get(admission->jobs, admission->job.owner, admission->job.id, ret_job, NULL,
                     &gone) < 0)
        *ret_job = read_answer(admission, admission->answer);
    return *ret_job ? 0 : refuse_memory(admission);
}

int spl_jobs_submit(spl_jobs *jobs, const spl_submission *submission, json_t **ret_job,
                    bool *ret_replayed, spl_problem *ret_problem) {
    job_admission admission = {
        .jobs = jobs,
        .submission = submission,
        .problem = ret_problem,
        .upload = submission->upload,
    };
    json_t *job = NULL;
    bool replayed = false;
    int status = 0;
    if (atomic_load(&jobs->draining))
        status = spl_refuse_draining(ret_problem);
    if (status == 0)
        status = read_request(&admission);
    if (status == 0)
        status = replay(&admission, &job);
    replayed = status == 0 && job;
    if (status == 0 && !replayed)
        status = admit(&admission, &job);
    if (status < 0 && submission->idempotency_key)
        spl_jobs_idempotency_release(jobs, submission->principal, submission->idempotency_key);
    if (status == 0) {
        spl_upload_free(submission->upload);
        *ret_job = job;
        *ret_replayed = replayed;
    }
    spl_upload_free(admission.fetched);
    spl_separation_free(&admission.separation);
    spl_job_free(&admission.job);
    free(admission.answer);
    return status;
}

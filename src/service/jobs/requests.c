/* SPDX-License-Identifier: MIT
 *
 * Answers requests about jobs.
 */
#include "service/core/ids.h"
#include "service/jobs/job_json.h"
#include "service/jobs/media.h"
#include "service/jobs/state.h"
#include "service/jobs/webhooks.h"
#include "service/observe/metrics.h"

#include <stdio.h>
#include <string.h>

#define READ_RETRY_AFTER_S 10
#define LIST_WAIT_MS       30000
/* A page of a list examines at most this many jobs, so that its cost does not depend on how many a
 * client has. */
#define LIST_EXAMINES      2000
#define REVIEWED_AT_ONCE   200

/* ------------------------------------------------------------------------ idempotency ---- */

int spl_jobs_idempotency_reserve(spl_jobs *jobs, const spl_principal *principal, const char *key,
                                 spl_idempotency *ret_state, spl_problem *ret_problem) {
    SPL_CLEANUP(spl_free_p) char *fingerprint = NULL;
    SPL_CLEANUP(spl_free_p) char *answer = NULL;
    spl_error error;
    if (SPL_STORE(jobs, idempotency_reserve, principal->id, key, spl_jobs_now_ms(jobs), ret_state,
                  &fingerprint, &answer, &error) < 0)
        return spl_jobs_refuse_failure(ret_problem, "idempotency.failed", &error);
    return 0;
}

void spl_jobs_idempotency_release(spl_jobs *jobs, const spl_principal *principal, const char *key) {
    spl_error error;
    if (SPL_STORE(jobs, idempotency_release, principal->id, key, &error) < 0)
        spl_jobs_log_failure(SPL_LOG_ERROR, "idempotency.failed", &error);
}

/* --------------------------------------------------------------------------- queries ---- */

static int get(spl_jobs *jobs, const char *owner, const char *id, spl_job *ret_job,
               spl_problem *ret_problem) {
    spl_error error = {.status = SPL_E_NOT_FOUND};
    int status =
        spl_uuid_valid(id) ? SPL_STORE(jobs, get, owner, id, ret_job, &error) : SPL_E_NOT_FOUND;
    if (status == SPL_E_NOT_FOUND)
        return spl_refuse(ret_problem, SPL_PROBLEM_NOT_FOUND, "there is no such job");
    return status < 0 ? spl_jobs_refuse_failure(ret_problem, "job.not_read", &error) : 0;
}

int spl_jobs_get(spl_jobs *jobs, const char *owner, const char *id, json_t **ret_job,
                 int64_t *ret_version, spl_problem *ret_problem) {
    SPL_CLEANUP(spl_job_free) spl_job job = {0};
    int status = get(jobs, owner, id, &job, ret_problem);
    if (status < 0)
        return status;
    json_t *object = spl_job_json(jobs, &job, true);
    if (!object)
        return spl_refuse_memory(ret_problem);
    *ret_job = object;
    if (ret_version)
        *ret_version = job.version;
    return 0;
}

int spl_jobs_owner(spl_jobs *jobs, const char *id, char ret_owner[64], spl_problem *ret_problem) {
    SPL_CLEANUP(spl_job_free) spl_job job = {0};
    const int status = get(jobs, NULL, id, &job, ret_problem);
    if (status == 0)
        snprintf(ret_owner, 64, "%s", job.owner);
    return status;
}

static void free_list(spl_job *list, size_t count) {
    for (size_t i = 0; i < count; i++)
        spl_job_free(&list[i]);
    free(list);
}

int spl_jobs_list(spl_jobs *jobs, const spl_jobs_client *client, spl_store_filter *filter,
                  json_t **ret_list, spl_problem *ret_problem) {
    spl_job *list = NULL;
    size_t count = 0;
    char next[SPL_ID_SIZE];
    spl_error error;
    const spl_turn_wait wait = {client->key, LIST_WAIT_MS, client->canceled, client->user};
    unsigned slot;
    int status = spl_jobs_take_turn(jobs, SPL_TURN_LIST, &wait, &slot, ret_problem);
    if (status < 0)
        return status;
    filter->examine_max = LIST_EXAMINES;
    status = SPL_STORE(jobs, list, filter, &list, &count, next, &error);
    spl_jobs_end_turn(jobs, SPL_TURN_LIST, slot);
    if (status < 0)
        return spl_jobs_refuse_failure(ret_problem, "jobs.not_listed", &error);
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, spl_job_json(jobs, &list[i], false));
    json_t *object = json_pack("{s:o, s:s?}", "jobs", array, "next_cursor", *next ? next : NULL);
    const bool whole = object && json_array_size(array) == count;
    free_list(list, count);
    if (!whole) {
        json_decref(object);
        return spl_refuse_memory(ret_problem);
    }
    *ret_list = object;
    return 0;
}

void spl_jobs_wait(spl_jobs *jobs, const char *id, int64_t version, unsigned timeout_ms) {
    SPL_STORE(jobs, wait_job, id, version, timeout_ms);
}

/* --------------------------------------------------------------------------- changes ---- */

/* Canceling and deleting succeed even if the audit log can't be written, because they are how a
 * full disk is emptied. */
static void note(spl_jobs *jobs, const char *actor, const char *address, const char *action,
                 const char *id) {
    const spl_audit_event event = {
        .actor = actor, .action = action, .object = id, .address = address, .outcome = "ok"};
    (void)!spl_audit_write(jobs->audit, &event, NULL);
}

/* Errors: as the store's cancel. */
static int cancel(spl_jobs *jobs, const spl_job *job, spl_error *ret_error) {
    spl_store_finish end = {.state = SPL_JOB_CANCELED, .now_ms = spl_jobs_now_ms(jobs)};
    end.expires_ms = end.now_ms + INT64_C(1000) * jobs->settings->retention_s;
    spl_delivery delivery;
    if (spl_webhook_of(job, &delivery))
        end.delivery = &delivery;
    bool now = false;
    spl_error error;
    const int status = SPL_STORE(jobs, cancel, job->owner, job->id, &end, &now, ret_error);
    if (status == 0 && now) {
        spl_metrics_job(SPL_OUTCOME_CANCELED, 0, 0);
        if (SPL_BLOBS(jobs, remove_job, job->id, &jobs->stop, &error) < 0)
            spl_jobs_log_failure(SPL_LOG_ERROR, "job.not_removed", &error);
    }
    return status;
}

int spl_jobs_cancel(spl_jobs *jobs, const spl_principal *principal, const char *address,
                    const char *id, spl_problem *ret_problem) {
    SPL_CLEANUP(spl_job_free) spl_job job = {0};
    int status = get(jobs, principal->id, id, &job, ret_problem);
    if (status < 0)
        return status;
    note(jobs, principal->id, address, "job.cancel", id);
    spl_error error;
    status = cancel(jobs, &job, &error);
    if (status == SPL_E_ARGUMENT)
        return spl_refuse(ret_problem, SPL_PROBLEM_CONFLICT, "the job has already ended");
    if (status == SPL_E_NOT_FOUND)
        return spl_refuse(ret_problem, SPL_PROBLEM_NOT_FOUND, "there is no such job");
    if (status < 0)
        return spl_jobs_refuse_failure(ret_problem, "job.not_canceled", &error);
    return 0;
}

static void cancel_revoked(spl_jobs *jobs, const spl_job *job) {
    spl_error error;
    if (job->cancel_requested)
        return;
    note(jobs, "system", NULL, "job.cancel", job->id);
    const int status = cancel(jobs, job, &error);
    if (status == 0)
        spl_log(SPL_LOG_INFO, "job.revoked", SPL_TEXT("id", job->id),
                SPL_TEXT("owner", job->owner));
    else if (status != SPL_E_ARGUMENT && status != SPL_E_NOT_FOUND) /* else it has ended */
        spl_jobs_log_failure(SPL_LOG_ERROR, "job.not_canceled", &error);
}

/* Cancels a page of the client's jobs. *cursor is that of the next page. */
static int cancel_page(spl_jobs *jobs, const char *client, char cursor[SPL_ID_SIZE],
                       spl_error *ret_error) {
    const spl_store_filter filter = {.owner = client,
                                     .states = 1 << SPL_JOB_QUEUED | 1 << SPL_JOB_RUNNING,
                                     .before_id = *cursor ? cursor : NULL,
                                     .limit = REVIEWED_AT_ONCE,
                                     .examine_max = LIST_EXAMINES};
    spl_job *list;
    size_t count;
    char next[SPL_ID_SIZE];
    const int status = SPL_STORE(jobs, list, &filter, &list, &count, next, ret_error);
    if (status < 0)
        return status;
    for (size_t i = 0; i < count; i++)
        cancel_revoked(jobs, &list[i]);
    free_list(list, count);
    memcpy(cursor, next, sizeof(next));
    return 0;
}

void spl_jobs_cancel_revoked(spl_jobs *jobs) {
    size_t position = 0;
    char client[64];
    while (spl_auth_next_revoked(jobs->auth, &position, client)) {
        char cursor[SPL_ID_SIZE] = "";
        spl_error error;
        int status;
        do {
            status = cancel_page(jobs, client, cursor, &error);
        } while (status == 0 && *cursor);
        if (status < 0)
            spl_jobs_log_failure(SPL_LOG_ERROR, "job.not_canceled", &error);
    }
}

int spl_jobs_delete(spl_jobs *jobs, const spl_principal *principal, const char *address,
                    const char *id, spl_problem *ret_problem) {
    SPL_CLEANUP(spl_job_free) spl_job job = {0};
    int status = get(jobs, principal->id, id, &job, ret_problem);
    if (status < 0)
        return status;
    note(jobs, principal->id, address, "job.delete", id);
    spl_error error;
    status = SPL_STORE(jobs, remove, principal->id, id, &error);
    if (status == SPL_E_NOT_FOUND)
        return spl_refuse(ret_problem, SPL_PROBLEM_NOT_FOUND, "there is no such job");
    if (status == 0)
        status = SPL_BLOBS(jobs, remove_job, id, &jobs->stop, &error);
    return status < 0 ? spl_jobs_refuse_failure(ret_problem, "job.not_removed", &error) : 0;
}

/* ----------------------------------------------------------------------------- files ---- */

static const spl_job_output *find_output(const spl_job *job, const char *file) {
    for (size_t i = 0; i < job->output_count; i++) {
        if (strcmp(job->outputs[i].file, file) == 0)
            return &job->outputs[i];
    }
    return NULL;
}

/* "song - vocals.flac", or "vocals.flac" if the input has no name. */
static void make_download_name(const spl_job *job, const spl_job_output *output, char *ret_name,
                               size_t size) {
    const char *input = job->input_name ? job->input_name : "";
    const char *dot = strrchr(input, '.');
    int length = dot && dot != input ? (int)(dot - input) : (int)strlen(input);
    length = SPL_MIN(length, 70);
    while (length > 0 && ((unsigned char)input[length] & 0xc0) == 0x80)
        length--;
    snprintf(ret_name, size, "%.*s%s%s", length, input, length > 0 ? " - " : "", output->file);
}

static const char *media_type_of(const char *file) {
    spl_codec codec = SPL_CODEC_WAV;
    const char *dot = strrchr(file, '.');
    if (dot)
        spl_codec_from_name(dot + 1, &codec);
    return spl_media_type_of(codec);
}

static int refuse_file(spl_job_state state, spl_problem *ret_problem) {
    switch (state) {
    case SPL_JOB_EXPIRED:
        return spl_refuse(ret_problem, SPL_PROBLEM_GONE, "the job's files have expired");
    case SPL_JOB_QUEUED:
    case SPL_JOB_RUNNING:
        return spl_refuse_yet(ret_problem, "the job has no such file yet");
    case SPL_JOB_FAILED:
    case SPL_JOB_CANCELED:
        return spl_refuse(ret_problem, SPL_PROBLEM_CONFLICT, "the job is %s and has no files",
                          spl_job_state_text(state));
    default:
        return spl_refuse(ret_problem, SPL_PROBLEM_NOT_FOUND, "the job has no such file");
    }
}

int spl_jobs_find_file(spl_jobs *jobs, const char *owner, const char *id, const char *file,
                       spl_job_file *ret_file, spl_problem *ret_problem) {
    SPL_CLEANUP(spl_job_free) spl_job job = {0};
    int status = get(jobs, owner, id, &job, ret_problem);
    if (status < 0)
        return status;
    const spl_job_output *output = find_output(&job, file);
    const bool readable = job.state == SPL_JOB_SUCCEEDED || job.state == SPL_JOB_RUNNING;
    if (!output || !readable)
        return refuse_file(job.state, ret_problem);
    spl_job_file found = {.state = job.state, .fence = job.fence, .blob.fd = -1};
    snprintf(found.job, sizeof(found.job), "%s", job.id);
    snprintf(found.owner, sizeof(found.owner), "%s", job.owner);
    spl_jobs_blob_name(jobs, job.fence, file, found.blob_name);
    snprintf(found.media_type, sizeof(found.media_type), "%s", media_type_of(file));
    make_download_name(&job, output, found.download_name, sizeof(found.download_name));
    if (output->complete)
        snprintf(found.sha256, sizeof(found.sha256), "%s", output->sha256);
    *ret_file = found;
    return 0;
}

int spl_jobs_link_file(spl_jobs *jobs, const spl_job_file *file, const char *disposition,
                       char **ret_url, spl_problem *ret_problem) {
    *ret_url = NULL;
    if (file->state != SPL_JOB_SUCCEEDED || !file->sha256[0])
        return 0;
    spl_error error;
    int status = SPL_BLOBS(jobs, link, file->job, file->blob_name, file->media_type, disposition,
                           ret_url, &error);
    return status < 0 ? spl_jobs_refuse_failure(ret_problem, "file.not_linked", &error) : 0;
}

static int refuse_reader(spl_problem *ret_problem) {
    const int status =
        spl_refuse_about(ret_problem, SPL_PROBLEM_UNAVAILABLE, NULL, "SPLEETER_CACHE_MB",
                         "too many files of this key are being read at once; read "
                         "them one after the other");
    ret_problem->retry_after_s = READ_RETRY_AFTER_S;
    return status;
}

int spl_jobs_open_found(spl_jobs *jobs, spl_job_file *file, const spl_blob_wait *wait,
                        spl_problem *ret_problem) {
    spl_error error;
    const int64_t fence = file->state == SPL_JOB_RUNNING ? file->fence : 0;
    int status = SPL_BLOBS(jobs, open, file->job, file->blob_name, file->owner, fence, wait,
                           &file->blob, &error);
    if (status == SPL_E_NOT_FOUND) /* it expired or the worker gave it up in the meantime */
        return refuse_file(file->state, ret_problem);
    if (status == SPL_E_LIMIT)
        return refuse_reader(ret_problem);
    if (status < 0)
        return spl_jobs_refuse_failure(ret_problem, "file.not_opened", &error);
    if (!file->blob.complete)
        file->sha256[0] = '\0';
    return 0;
}

int spl_jobs_check_files(spl_jobs *jobs, spl_store_file *files, size_t count,
                         spl_error *ret_error) {
    return SPL_STORE(jobs, check_files, files, count, ret_error);
}

int spl_jobs_manifest(spl_jobs *jobs, const char *owner, const char *id, json_t **ret_manifest,
                      spl_problem *ret_problem) {
    SPL_CLEANUP(spl_job_free) spl_job job = {0};
    int status = get(jobs, owner, id, &job, ret_problem);
    if (status < 0)
        return status;
    if (job.state == SPL_JOB_QUEUED || job.state == SPL_JOB_RUNNING)
        return spl_refuse_yet(ret_problem, "the job has no manifest until it has succeeded");
    if (!job.result)
        return spl_refuse(ret_problem, SPL_PROBLEM_CONFLICT,
                          "only a job that succeeded has a manifest; this one is %s",
                          spl_job_state_text(job.state));
    json_t *manifest = spl_json_load_own(job.result);
    if (!manifest)
        return spl_refuse_memory(ret_problem);
    *ret_manifest = manifest;
    return 0;
}

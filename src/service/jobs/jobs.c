/* SPDX-License-Identifier: MIT
 *
 * The public functions of the module: they start and stop its threads and answer requests about
 * jobs.
 */
#include "base/clock.h"
#include "base/descriptors.h"
#include "service/core/ids.h"
#include "service/jobs/internal.h"
#include "service/jobs/media.h"
#include "service/observe/metrics.h"
#include "service/scan/clamd.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define PEAKS_KEPT_BYTES   ((size_t)64 << 20)
#define TURN_RETRY_AFTER_S 10

/* Concurrent operations of each kind, in total and for one key. */
static const struct {
    unsigned slots, per_key;
} shares[SPL_TURN_KINDS] = {
    [SPL_TURN_FETCH] = {8, 4},  [SPL_TURN_SCAN] = {8, 4}, [SPL_TURN_PROBE] = {8, 4},
    [SPL_TURN_DECODE] = {4, 2}, [SPL_TURN_READ] = {8, 4},
};

/* ------------------------------------------------------------------ for the module ---- */

void spl_jobs_log_failure(spl_log_level level, const char *event, const spl_error *error) {
    spl_log(level, event, SPL_TEXT("status", spl_status_text(error->status)),
            SPL_TEXT("error", error->message));
}

int spl_jobs_refuse_failure(spl_problem *ret_problem, const char *event, const spl_error *error) {
    spl_jobs_log_failure(error->status == SPL_E_CANCELED ? SPL_LOG_INFO : SPL_LOG_ERROR, event,
                         error);
    return spl_refuse_error(ret_problem, error);
}

int64_t spl_backoff_ms(int64_t base_ms, unsigned attempt, int64_t most_ms) {
    int64_t wait_ms = base_ms;
    for (unsigned i = 0; i < attempt && wait_ms < most_ms; i++)
        wait_ms *= 2;
    wait_ms = SPL_MIN(wait_ms, most_ms);
    uint32_t random = 0;
    if (getrandom(&random, sizeof(random), 0) != sizeof(random))
        return wait_ms;
    const int64_t half_ms = wait_ms / 2;
    return half_ms + (int64_t)((double)(wait_ms - half_ms) * random / UINT32_MAX);
}

void spl_jobs_pause(spl_jobs *jobs, unsigned ms) {
    const struct timespec deadline = spl_clock_in(ms);
    pthread_mutex_lock(&jobs->lock);
    int failed = 0;
    while (!failed && !atomic_load(&jobs->draining))
        failed = pthread_cond_timedwait(&jobs->changed, &jobs->lock, &deadline);
    pthread_mutex_unlock(&jobs->lock);
}

int spl_jobs_take_turn(spl_jobs *jobs, spl_turn_kind kind, const spl_turn_wait *wait,
                       unsigned *ret_slot, spl_problem *ret_problem) {
    int status = spl_turns_take(&jobs->turns[kind], wait, ret_slot);
    if (status == 0)
        return 0;
    if (status == SPL_E_CANCELED && atomic_load(&jobs->draining))
        return spl_refuse(ret_problem, SPL_PROBLEM_DRAINING,
                          "the service is shutting down; try again in a minute");
    if (status == SPL_E_CANCELED)
        return spl_refuse(ret_problem, SPL_PROBLEM_UNAVAILABLE, "the client has gone");
    status = spl_refuse(ret_problem, SPL_PROBLEM_UNAVAILABLE,
                        "too many requests of this kind are in progress; try again later");
    ret_problem->retry_after_s = TURN_RETRY_AFTER_S;
    return status;
}

void spl_jobs_end_turn(spl_jobs *jobs, spl_turn_kind kind, unsigned slot) {
    spl_turns_end(&jobs->turns[kind], slot);
}

/* -------------------------------------------------------------------- start and stop ---- */

/* spl_blob_wait.canceled */
static int ask_give_back(void *user) {
    const spl_jobs *jobs = user;
    return atomic_load(&jobs->give_back);
}

static int start_thread(spl_jobs *jobs, void *(*run)(void *user), const char *name,
                        spl_error *ret_error) {
    pthread_t *thread = &jobs->threads[jobs->thread_count];
    int failed = pthread_create(thread, NULL, run, jobs);
    if (failed)
        return spl_fail_errno(ret_error, failed, "cannot start a thread");
    pthread_setname_np(*thread, name);
    jobs->thread_count++;
    return 0;
}

static int start_threads(spl_jobs *jobs, spl_error *ret_error) {
    const unsigned workers = jobs->settings->workers;
    const unsigned senders = jobs->only_works ? 0 : SPL_WEBHOOK_SENDERS;
    jobs->threads = calloc(workers + senders + 1, sizeof(*jobs->threads));
    if (!jobs->threads)
        return spl_fail_memory(ret_error);
    int status = start_thread(jobs, spl_janitor_run, "janitor", ret_error);
    for (unsigned i = 0; status == 0 && i < senders; i++)
        status = start_thread(jobs, spl_webhooks_run, "webhooks", ret_error);
    for (unsigned i = 0; status == 0 && i < workers; i++) {
        pthread_mutex_lock(&jobs->lock);
        jobs->working++;
        pthread_mutex_unlock(&jobs->lock);
        status = start_thread(jobs, spl_worker_run, "worker", ret_error);
        if (status < 0)
            jobs->working--;
    }
    return status;
}

int spl_jobs_start(const spl_jobs_parts *parts, spl_jobs **ret_jobs, spl_error *ret_error) {
    spl_jobs *jobs = calloc(1, sizeof(*jobs));
    if (!jobs)
        return spl_fail_memory(ret_error);
    jobs->settings = parts->settings;
    jobs->store = parts->store;
    jobs->space = parts->space;
    jobs->blobs = parts->blobs;
    jobs->models = parts->models;
    jobs->audit = parts->audit;
    jobs->auth = parts->auth;
    jobs->only_works = parts->only_works;
    jobs->stop = (spl_blob_wait){ask_give_back, jobs};
    gethostname(jobs->worker, HOST_NAME_MAX);
    snprintf(jobs->worker + strlen(jobs->worker), 12, ":%d", getpid());
    memcpy(jobs->secret, parts->secret, sizeof(jobs->secret));
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&jobs->lock, NULL);
    pthread_mutex_init(&jobs->looking, NULL);
    pthread_cond_init(&jobs->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    for (size_t i = 0; i < SPL_TURN_KINDS; i++)
        spl_turns_init(&jobs->turns[i], shares[i].slots, shares[i].per_key);
    spl_peaks_cache_init(&jobs->peaks, PEAKS_KEPT_BYTES);

    int status = spl_janitor_clean_up(jobs, ret_error);
    if (status == 0)
        status = start_threads(jobs, ret_error);
    if (status < 0) {
        spl_jobs_stop(jobs, 0);
        spl_jobs_free(jobs);
        return status;
    }
    *ret_jobs = jobs;
    return 0;
}

void spl_jobs_stop(spl_jobs *jobs, unsigned drain_s) {
    const struct timespec deadline = spl_clock_in(UINT64_C(1000) * drain_s);

    pthread_mutex_lock(&jobs->lock);
    atomic_store(&jobs->draining, true);
    pthread_cond_broadcast(&jobs->changed);
    for (size_t i = 0; i < SPL_TURN_KINDS; i++)
        spl_turns_stop(&jobs->turns[i]);
    int failed = 0;
    while (!failed && jobs->working > 0)
        failed = pthread_cond_timedwait(&jobs->changed, &jobs->lock, &deadline);
    pthread_mutex_unlock(&jobs->lock);

    atomic_store(&jobs->give_back, true);
    jobs->store->functions->wake(jobs->store);
    for (size_t i = 0; i < jobs->thread_count; i++)
        pthread_join(jobs->threads[i], NULL);
    jobs->thread_count = 0;
}

void spl_jobs_free(spl_jobs *jobs) {
    if (!jobs)
        return;
    for (size_t i = 0; i < SPL_TURN_KINDS; i++)
        spl_turns_destroy(&jobs->turns[i]);
    spl_peaks_cache_destroy(&jobs->peaks);
    pthread_cond_destroy(&jobs->changed);
    pthread_mutex_destroy(&jobs->lock);
    pthread_mutex_destroy(&jobs->looking);
    explicit_bzero(jobs->secret, sizeof(jobs->secret));
    free(jobs->threads);
    free(jobs);
}

int spl_jobs_ready(spl_jobs *jobs, spl_problem *ret_problem) {
    const spl_settings *settings = jobs->settings;
    if (atomic_load(&jobs->draining))
        return spl_refuse(ret_problem, SPL_PROBLEM_DRAINING, "the service is shutting down");
    if (spl_descriptors_left() < SPL_DESCRIPTORS_MIN)
        return spl_refuse(ret_problem, SPL_PROBLEM_UNAVAILABLE,
                          "the service has too many files and connections open; raise its limit of "
                          "open files (ulimit -n, LimitNOFILE=)");
    uint64_t free_bytes;
    spl_models_entry model;
    if (SPL_STORE(jobs, ping, NULL) < 0)
        return spl_refuse(ret_problem, SPL_PROBLEM_UNAVAILABLE, "the database can't be used");
    if (SPL_BLOBS(jobs, check, &jobs->stop, NULL) < 0 ||
        spl_space_free_bytes(jobs->space, &free_bytes, NULL) < 0)
        return spl_refuse(ret_problem, SPL_PROBLEM_UNAVAILABLE, "the storage can't be used");
    if (free_bytes < settings->min_free_bytes)
        return spl_refuse_about(ret_problem, SPL_PROBLEM_UNAVAILABLE, NULL,
                                "SPLEETER_MIN_FREE_DISK_MB", "the disk is full");
    if (!jobs->only_works && *settings->clamd && !spl_clamd_alive(settings->clamd))
        return spl_refuse(ret_problem, SPL_PROBLEM_UNAVAILABLE,
                          "the virus scanner gives no answer");
    if (spl_models_find(jobs->models, settings->default_model, &model, NULL) < 0)
        return spl_refuse_about(ret_problem, SPL_PROBLEM_UNAVAILABLE, NULL, "SPLEETER_MODEL",
                                "the default model is not there");
    return 0;
}

void spl_jobs_measure(spl_jobs *jobs) {
    spl_store_stats stats;
    uint64_t free_bytes;
    spl_error error;
    if (jobs->only_works) {
        /* the processes that accept jobs measure the queue */
    } else if (SPL_STORE(jobs, stats, &stats, &error) < 0) {
        spl_jobs_log_failure(SPL_LOG_ERROR, "jobs.not_measured", &error);
    } else {
        const int64_t oldest_ms = stats.oldest_queued_ms;
        spl_metrics_set(SPL_GAUGE_QUEUE_DEPTH, (double)stats.queued);
        spl_metrics_set(SPL_GAUGE_QUEUE_OLDEST_SECONDS,
                        oldest_ms ? 1e-3 * (double)(spl_jobs_now_ms(jobs) - oldest_ms) : 0);
        spl_metrics_set(SPL_GAUGE_STORED_BYTES, (double)stats.stored_bytes);
    }
    if (spl_space_free_bytes(jobs->space, &free_bytes, &error) < 0)
        spl_jobs_log_failure(SPL_LOG_ERROR, "jobs.not_measured", &error);
    else
        spl_metrics_set(SPL_GAUGE_DISK_FREE_BYTES, (double)free_bytes);
}

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
        return spl_refuse_error(ret_problem, &(spl_error){.status = SPL_E_MEMORY});
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

int spl_jobs_list(spl_jobs *jobs, const spl_store_filter *filter, json_t **ret_list,
                  spl_problem *ret_problem) {
    spl_job *list = NULL;
    size_t count = 0;
    bool more = false;
    spl_error error;
    if (SPL_STORE(jobs, list, filter, &list, &count, &more, &error) < 0)
        return spl_jobs_refuse_failure(ret_problem, "jobs.not_listed", &error);
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, spl_job_json(jobs, &list[i], false));
    json_t *object = json_pack("{s:o, s:s?}", "jobs", array, "next_cursor",
                               more && count > 0 ? list[count - 1].id : NULL);
    const bool whole = object && json_array_size(array) == count;
    free_list(list, count);
    if (!whole) {
        json_decref(object);
        return spl_refuse_error(ret_problem, &(spl_error){.status = SPL_E_MEMORY});
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
static void note(spl_jobs *jobs, const spl_principal *principal, const char *address,
                 const char *action, const char *id) {
    const spl_audit_event event = {.actor = principal->id,
                                   .action = action,
                                   .object = id,
                                   .address = address,
                                   .outcome = "ok"};
    (void)!spl_audit_write(jobs->audit, &event, NULL);
}

int spl_jobs_cancel(spl_jobs *jobs, const spl_principal *principal, const char *address,
                    const char *id, spl_problem *ret_problem) {
    SPL_CLEANUP(spl_job_free) spl_job job = {0};
    int status = get(jobs, principal->id, id, &job, ret_problem);
    if (status < 0)
        return status;
    note(jobs, principal, address, "job.cancel", id);
    spl_store_finish end = {.state = SPL_JOB_CANCELED, .now_ms = spl_jobs_now_ms(jobs)};
    end.expires_ms = end.now_ms + INT64_C(1000) * jobs->settings->retention_s;
    spl_delivery delivery;
    if (spl_webhook_of(&job, &delivery))
        end.delivery = &delivery;
    bool now = false;
    spl_error error;
    status = SPL_STORE(jobs, cancel, principal->id, id, &end, &now, &error);
    if (status == SPL_E_ARGUMENT)
        return spl_refuse(ret_problem, SPL_PROBLEM_CONFLICT, "the job has already ended");
    if (status == SPL_E_NOT_FOUND)
        return spl_refuse(ret_problem, SPL_PROBLEM_NOT_FOUND, "there is no such job");
    if (status < 0)
        return spl_jobs_refuse_failure(ret_problem, "job.not_canceled", &error);
    if (now) {
        spl_metrics_job(SPL_OUTCOME_CANCELED, 0, 0);
        if (SPL_BLOBS(jobs, remove_job, id, &jobs->stop, &error) < 0)
            spl_jobs_log_failure(SPL_LOG_ERROR, "job.not_removed", &error);
    }
    return 0;
}

int spl_jobs_delete(spl_jobs *jobs, const spl_principal *principal, const char *address,
                    const char *id, spl_problem *ret_problem) {
    SPL_CLEANUP(spl_job_free) spl_job job = {0};
    int status = get(jobs, principal->id, id, &job, ret_problem);
    if (status < 0)
        return status;
    note(jobs, principal, address, "job.delete", id);
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

int spl_jobs_open_found(spl_jobs *jobs, spl_job_file *file, const spl_blob_wait *wait,
                        spl_problem *ret_problem) {
    spl_error error;
    const int64_t fence = file->state == SPL_JOB_RUNNING ? file->fence : 0;
    int status =
        SPL_BLOBS(jobs, open, file->job, file->blob_name, fence, wait, &file->blob, &error);
    if (status == SPL_E_NOT_FOUND) /* it expired or the worker gave it up in the meantime */
        return refuse_file(file->state, ret_problem);
    if (status < 0)
        return spl_jobs_refuse_failure(ret_problem, "file.not_opened", &error);
    if (!file->blob.complete)
        file->sha256[0] = '\0';
    return 0;
}

int spl_jobs_open_file(spl_jobs *jobs, const char *owner, const char *id, const char *file,
                       const spl_blob_wait *wait, spl_job_file *ret_file,
                       spl_problem *ret_problem) {
    spl_job_file found;
    int status = spl_jobs_find_file(jobs, owner, id, file, &found, ret_problem);
    if (status == 0)
        status = spl_jobs_open_found(jobs, &found, wait, ret_problem);
    if (status == 0)
        *ret_file = found;
    return status;
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
        return spl_refuse_error(ret_problem, &(spl_error){.status = SPL_E_MEMORY});
    *ret_manifest = manifest;
    return 0;
}

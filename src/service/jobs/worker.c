/* SPDX-License-Identifier: MIT
 *
 * Workers. Each claims a job under a lease, separates it through the pipeline into outputs that can
 * be read while they grow, and ends it. A worker's changes to a job are accepted only while it
 * holds the lease. A heartbeat thread renews the lease, reports the progress, and detects cancels
 * and a lost lease; the engine polls several times a segment whether to stop.
 */
#include "service/jobs/worker.h"
#include "base/clock.h"
#include "base/descriptors.h"
#include "base/digest.h"
#include "base/pool.h"
#include "service/jobs/budget.h"
#include "service/jobs/manifest.h"
#include "service/jobs/state.h"
#include "service/jobs/webhooks.h"
#include "service/observe/metrics.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* HTTP responses have priority over separation. */
#define NICE             10
#define WAIT_MS          1000
#define HEARTBEAT_MS     1000
#define RETRY_BASE_MS    2000
#define RETRY_MOST_MS    60000
#define FINISH_S         5
#define FINISH_PAUSE_MS  1000
#define REMOVE_S         1.0 /* for removing a stopped job's files; the rest go with the job */
/* Attempts that outages ended do not count below this many claims. Before it writes anything, a job
 * waits for the disk without limit. */
#define OUTAGES_MAX      100
#define SPEED_NEW_WEIGHT 0.3

/* Why the engine has to stop. */
typedef enum stop_reason {
    STOP_NONE,
    STOP_CANCEL,    /* canceled by the client */
    STOP_LOST,      /* lease lost */
    STOP_TIMEOUT,   /* SPLEETER_JOB_TIMEOUT_S */
    STOP_GIVE_BACK, /* the service is shutting down */
} stop_reason;

typedef struct job_work {
    spl_jobs *jobs;
    const spl_job *job;
    double started_s;

    _Atomic double progress;
    _Atomic int stop; /* stop_reason */
    pthread_mutex_t lock;
    pthread_cond_t ended_changed;
    bool ended; /* the heartbeat has to end; protected by `lock` */
    pthread_t heartbeat;

    spl_separation separation;
    spl_model *model;
    spl_models_entry entry;
    spl_parts parts;
    spl_job_output outputs[SPL_OUTPUTS_MAX];
    spl_blob_writer writers[SPL_OUTPUTS_MAX];
    size_t committed; /* outputs committed so far */
    int input_fd;
    bool writes; /* the pipeline has started */
    spl_job_budget budget;

    spl_timings timings;
    spl_pipeline_result result;
} job_work;

/* A failure as reported to the client, and whether a retry may succeed. */
typedef struct job_failure {
    const char *code;
    bool transient;
    /* Of the shared database or storage, of the disk, or of this process, which has no descriptor
     * or thread left: not the job's fault. */
    bool outage;
    bool waits; /* outage: the disk had no room before the job did anything */
    char detail[1024];
} job_failure;

/* -------------------------------------------------------------------- heartbeat ---- */

/* The first reason is kept, but STOP_LOST overrides any other. */
static void stop(job_work *work, stop_reason reason) {
    int none = STOP_NONE;
    if (reason == STOP_LOST)
        atomic_store(&work->stop, STOP_LOST);
    else
        atomic_compare_exchange_strong(&work->stop, &none, reason);
}

static int send_heartbeat(job_work *work, spl_error *ret_error) {
    bool cancel = false;
    int status =
        SPL_STORE(work->jobs, heartbeat, work->job->id, work->job->fence,
                  spl_jobs_now_ms(work->jobs), INT64_C(1000) * work->jobs->settings->lease_s,
                  atomic_load(&work->progress), &cancel, ret_error);
    if (status == SPL_E_CANCELED)
        stop(work, STOP_LOST);
    else if (status == 0 && cancel)
        stop(work, STOP_CANCEL);
    return status;
}

static void *run_heartbeat(void *user) {
    job_work *work = user;
    *spl_log_context_get() = (spl_log_context){0};
    pthread_mutex_lock(&work->lock);
    while (!work->ended) {
        const struct timespec deadline = spl_clock_in(HEARTBEAT_MS);
        if (pthread_cond_timedwait(&work->ended_changed, &work->lock, &deadline) != ETIMEDOUT)
            continue;
        pthread_mutex_unlock(&work->lock);
        spl_error error;
        int status = send_heartbeat(work, &error);
        if (status < 0 && status != SPL_E_CANCELED)
            spl_jobs_log_failure(SPL_LOG_ERROR, "job.heartbeat_failed", &error);
        pthread_mutex_lock(&work->lock);
    }
    pthread_mutex_unlock(&work->lock);
    return NULL;
}

static int start_heartbeat(job_work *work, spl_error *ret_error) {
    pthread_mutex_init(&work->lock, NULL);
    spl_clock_cond_init(&work->ended_changed);
    int failed = pthread_create(&work->heartbeat, NULL, run_heartbeat, work);
    return failed ? spl_fail_errno(ret_error, failed, "cannot start a thread") : 0;
}

static void end_heartbeat(job_work *work) {
    pthread_mutex_lock(&work->lock);
    work->ended = true;
    pthread_cond_signal(&work->ended_changed);
    pthread_mutex_unlock(&work->lock);
    pthread_join(work->heartbeat, NULL);
    pthread_cond_destroy(&work->ended_changed);
    pthread_mutex_destroy(&work->lock);
}

/* spl_stop.requested: polled at least every tenth of a second, whatever the run waits for. */
static bool stop_requested(void *user) {
    job_work *work = user;
    if (atomic_load(&work->jobs->give_back))
        stop(work, STOP_GIVE_BACK);
    if (spl_now_s() - work->started_s > work->jobs->settings->job_timeout_s)
        stop(work, STOP_TIMEOUT);
    return atomic_load(&work->stop) != STOP_NONE;
}

/* spl_blob_wait.canceled */
static int blob_stop_requested(void *user) {
    return stop_requested(user);
}

/* spl_budget.allow */
static int allow(void *user, uint64_t held_bytes, uint64_t next_bytes, spl_error *ret_error) {
    job_work *work = user;
    int status = spl_job_budget_allow(&work->budget, held_bytes, next_bytes, ret_error);
    if (status == SPL_E_CANCELED)
        stop(work, STOP_LOST);
    return status;
}

/* spl_pipeline_options.progress */
static spl_status take_progress(void *user, const spl_progress *progress) {
    job_work *work = user;
    if (progress->samples_total > 0) {
        const double done = (double)progress->samples_done / (double)progress->samples_total;
        atomic_store(&work->progress, (progress->pass - 1 + fmin(done, 1)) / progress->passes);
    }
    return 0;
}

/* -------------------------------------------------------------------- separation ---- */

static int fail_with(job_failure *failure, const char *code, bool transient, const char *detail,
                     int status) {
    failure->code = code;
    failure->transient = transient;
    snprintf(failure->detail, sizeof(failure->detail), "%s", detail);
    return status;
}

/* An internal failure: logs the details and gives the client a general message. */
static int fail_inside(const job_work *work, job_failure *failure, const spl_error *error) {
    if (error->status == SPL_E_CANCELED) /* the work's stop_reason says why */
        return error->status;
    spl_jobs_log_failure(SPL_LOG_ERROR, "job.attempt_failed", error);
    failure->outage = error->status == SPL_E_EXHAUSTED || error->status == SPL_E_NO_SPACE ||
                      (error->status == SPL_E_IO && work->jobs->store->shared);
    failure->waits = error->status == SPL_E_NO_SPACE && !work->writes;
    if (error->status == SPL_E_EXHAUSTED)
        return fail_with(failure, spl_problem_code_text(SPL_PROBLEM_UNAVAILABLE), true,
                         "the service had no file descriptor or process left", error->status);
    if (error->status == SPL_E_NO_SPACE)
        return fail_with(failure, spl_problem_code_text(SPL_PROBLEM_STORAGE_FULL), true,
                         "the disk of the service is full", error->status);
    return fail_with(failure, spl_problem_code_text(SPL_PROBLEM_INTERNAL), true,
                     "something failed inside the service; its log has the details", error->status);
}

static int open_model(job_work *work, job_failure *failure) {
    spl_problem problem;
    json_auto_t *options = spl_json_load_own(work->job->options);
    if (!options || spl_job_options_parse(options, "", &work->separation, &problem) < 0)
        return fail_with(failure, spl_problem_code_text(SPL_PROBLEM_INTERNAL), false,
                         "the stored options can't be read", SPL_E_FORMAT);
    spl_error error;
    int status = spl_models_use(work->jobs->models, work->job->model, work->job->model_sha256,
                                &work->model, &work->entry, &error);
    if (status == 0)
        status = spl_job_options_select(&work->separation, spl_model_get_info(work->model),
                                        &work->parts, &error);
    if (spl_status_is_transient(status))
        return fail_inside(work, failure, &error);
    if (status < 0) {
        spl_jobs_log_failure(SPL_LOG_ERROR, "job.model_refused", &error);
        return fail_with(failure, "model-unavailable", false,
                         "the model of this job was removed or replaced after the job was created",
                         status);
    }
    return 0;
}

static int set_output(job_work *work, const spl_job_output *output, spl_error *ret_error) {
    int status =
        SPL_STORE(work->jobs, set_output, work->job->id, work->job->fence, output, ret_error);
    if (status == SPL_E_CANCELED)
        stop(work, STOP_LOST);
    return status;
}

static int open_files(job_work *work, job_failure *failure) {
    const spl_job *job = work->job;
    spl_error error;
    spl_blob input;
    const spl_blob_wait wait = {blob_stop_requested, work};
    int status =
        SPL_BLOBS(work->jobs, open, job->id, SPL_INPUT_BLOB, NULL, 0, &wait, &input, &error);
    if (status == 0)
        work->input_fd = input.fd;
    for (size_t i = 0; status == 0 && i < work->parts.count; i++) {
        spl_job_output *output = &work->outputs[i];
        snprintf(output->name, sizeof(output->name), "%s", work->parts.outputs[i].name);
        spl_job_file_name(output->name, work->separation.codec, output->file);
        char blob[SPL_BLOB_NAME_MAX + 1];
        spl_jobs_blob_name(work->jobs, job->fence, output->file, blob);
        status =
            SPL_BLOBS(work->jobs, output, job->id, blob, job->fence, &work->writers[i], &error);
        if (status == 0)
            status = set_output(work, output, &error);
        work->parts.outputs[i].fd = work->writers[i].fd;
    }
    return status < 0 ? fail_inside(work, failure, &error) : 0;
}

static int fail_separation(const job_work *work, spl_pipeline_stage stage, const spl_error *error,
                           job_failure *failure) {
    const bool unfit = error->status == SPL_E_FORMAT || error->status == SPL_E_UNSUPPORTED;
    if (stage == SPL_STAGE_INPUT && unfit)
        return fail_with(failure, spl_problem_code_text(SPL_PROBLEM_UNREADABLE_AUDIO), false,
                         error->message, error->status);
    if (stage == SPL_STAGE_INPUT && error->status == SPL_E_LIMIT)
        return fail_with(failure, spl_problem_code_text(SPL_PROBLEM_TOO_LONG), false,
                         error->message, error->status);
    if (stage == SPL_STAGE_OUTPUT && error->status == SPL_E_LIMIT)
        return fail_with(failure, spl_problem_code_text(SPL_PROBLEM_QUOTA), false,
                         "the stems are larger than what this key may still store; delete jobs "
                         "that you no longer need, and send the song again",
                         error->status);
    if (error->status == SPL_E_SAMPLE)
        return fail_with(failure, "sample-out-of-range", false, error->message, error->status);
    if (error->status == SPL_E_BUDGET)
        return fail_with(failure, "codec-budget", false, error->message, error->status);
    if (stage == SPL_STAGE_OUTPUT && unfit)
        return fail_with(failure, spl_problem_code_text(SPL_PROBLEM_INVALID), false, error->message,
                         error->status);
    if (error->status == SPL_E_HELPER) {
        spl_jobs_log_failure(SPL_LOG_ERROR, "job.attempt_failed", error);
        return fail_with(failure, "codec-failed", true, error->message, error->status);
    }
    fail_inside(work, failure, error);
    /* The input is a local file by now. The codec helper reads it, and what it reports must not be
     * free of charge. */
    if (stage == SPL_STAGE_INPUT && error->status == SPL_E_IO)
        failure->outage = false;
    return error->status;
}

static int open_budget(job_work *work, job_failure *failure) {
    spl_error error;
    int status =
        spl_job_budget_open(work->jobs, work->job, work->parts.count, &work->budget, &error);
    return status < 0 ? fail_inside(work, failure, &error) : 0;
}

static int separate(job_work *work, job_failure *failure) {
    const spl_settings *settings = work->jobs->settings;
    spl_pipeline_options pipeline =
        spl_separation_pipeline(&work->separation, work->entry.choice.bandwidth);
    pipeline.model = work->model;
    pipeline.threads = settings->threads
                           ? settings->threads
                           : SPL_MAX(spl_cpu_count() / SPL_MAX(settings->workers, 1u), 1);
    pipeline.channels =
        work->entry.choice.as_spleeter ? SPL_CHANNELS_FIRST_TWO : SPL_CHANNELS_STEREO_DOWNMIX;
    pipeline.limit_s = settings->max_duration_s;
    pipeline.progress = take_progress;
    pipeline.progress_user = work;
    pipeline.stop = (spl_stop){.requested = stop_requested, .user = work};
    pipeline.timings = &work->timings;
    pipeline.spool_folder = settings->data_dir;
    pipeline.budget = (spl_budget){.allow = allow, .user = work};
    spl_pipeline_stage stage;
    spl_error error;
    work->writes = true;
    const char *name = work->job->input_name ? work->job->input_name : "the file";
    int status = spl_pipeline_run(work->input_fd, name, &pipeline, work->parts.outputs,
                                  work->parts.count, &work->result, &stage, &error);
    spl_job_budget_close(&work->budget);
    return status < 0 ? fail_separation(work, stage, &error, failure) : 0;
}

/* Sets the size and the SHA-256 of an output; stops when the job has to. */
static int digest_output(job_work *work, int fd, spl_job_output *output, spl_error *ret_error) {
    struct stat file;
    if (fstat(fd, &file) < 0)
        return spl_fail_errno(ret_error, errno, "cannot read %s", output->file);
    output->bytes = (uint64_t)file.st_size;
    const spl_digest_source source = {.fd = fd,
                                      .name = output->file,
                                      .bytes = output->bytes,
                                      .canceled = blob_stop_requested,
                                      .user = work};
    return spl_digest_file(&source, output->sha256, ret_error);
}

/* Commits the outputs and stores their properties. */
static int commit_outputs(job_work *work, job_failure *failure) {
    const spl_job *job = work->job;
    const spl_blob_wait wait = {blob_stop_requested, work};
    spl_error error;
    /* After a lost lease, another worker's outputs must not be replaced. */
    int status = send_heartbeat(work, &error);
    for (size_t i = 0; status == 0 && i < work->parts.count; i++) {
        spl_job_output *output = &work->outputs[i];
        output->complete = true;
        output->samples = work->result.samples;
        output->clipped = work->result.clipped[i];
        output->peak_dbfs = work->result.peak_dbfs[i];
        status = digest_output(work, work->writers[i].fd, output, &error);
        char blob[SPL_BLOB_NAME_MAX + 1];
        spl_jobs_blob_name(work->jobs, job->fence, output->file, blob);
        if (status == 0)
            status = SPL_BLOBS(work->jobs, commit, &work->writers[i], job->id, blob, &wait, &error);
        if (status == 0) {
            work->committed = i + 1;
            status = set_output(work, output, &error);
        }
    }
    return status < 0 ? fail_inside(work, failure, &error) : 0;
}

/* ------------------------------------------------------------------------- ending ---- */

/* How long a worker keeps trying to store the end of a job while the store fails: in a shared
 * store, for the lease. */
static double patience_s(const spl_jobs *jobs) {
    return jobs->store->shared ? jobs->settings->lease_s : FINISH_S;
}

static int finish(job_work *work, spl_store_finish *finish) {
    spl_delivery delivery;
    spl_error error;
    finish->now_ms = spl_jobs_now_ms(work->jobs);
    finish->expires_ms = finish->now_ms + INT64_C(1000) * work->jobs->settings->retention_s;
    if (spl_webhook_of(work->job, &delivery))
        finish->delivery = &delivery;
    const double end_s = spl_now_s() + patience_s(work->jobs);
    int status;
    for (;;) {
        status = SPL_STORE(work->jobs, finish, work->job->id, work->job->fence, finish, &error);
        if (status == 0 || status == SPL_E_CANCELED)
            break;
        spl_jobs_log_failure(SPL_LOG_ERROR, "job.not_finished", &error);
        if (spl_now_s() > end_s)
            break;
        usleep(FINISH_PAUSE_MS * 1000);
    }
    if (status == SPL_E_CANCELED)
        stop(work, STOP_LOST);
    return status;
}

typedef struct removal {
    job_work *work;
    double end_s;
} removal;

/* spl_blob_wait.canceled: a stopped job does not wait for a storage that does not respond. */
static int removal_stop_requested(void *user) {
    const removal *own = user;
    return stop_requested(own->work) && spl_now_s() > own->end_s;
}

static void remove_outputs(job_work *work) {
    removal own = {work, spl_now_s() + REMOVE_S};
    const spl_blob_wait wait = {removal_stop_requested, &own};
    for (size_t i = 0; i < work->committed; i++) {
        char blob[SPL_BLOB_NAME_MAX + 1];
        spl_jobs_blob_name(work->jobs, work->job->fence, work->outputs[i].file, blob);
        SPL_BLOBS(work->jobs, remove, work->job->id, blob, &wait, NULL);
    }
    work->committed = 0;
}

/* The lease is lost: another worker owns the job, or it was deleted. In the latter case this
 * worker's outputs are removed, but nothing else, because a replaced database does not contain the
 * job either. */
static void leave(job_work *work) {
    spl_error error;
    bool holds;
    spl_metrics_count(SPL_COUNTER_LEASES_LOST, 1);
    spl_log(SPL_LOG_WARNING, "job.lease_lost");
    if (SPL_STORE(work->jobs, holds_files, work->job->id, &holds, &error) == SPL_E_NOT_FOUND)
        remove_outputs(work);
}

static void end_job(job_work *work, spl_store_finish *end, spl_job_outcome outcome) {
    if (end->state != SPL_JOB_SUCCEEDED)
        remove_outputs(work);
    const int status = finish(work, end);
    if (status < 0) {
        if (atomic_load(&work->stop) == STOP_LOST)
            leave(work);
        return; /* otherwise the lease expires and the job runs again */
    }
    removal own = {work, spl_now_s() + REMOVE_S};
    SPL_BLOBS(work->jobs, remove, work->job->id, SPL_INPUT_BLOB,
              &(spl_blob_wait){removal_stop_requested, &own}, NULL);
    const double seconds = spl_now_s() - work->started_s;
    const double audio_s = (double)work->result.samples / SPL_SAMPLE_RATE_HZ;
    spl_metrics_job(outcome, audio_s, seconds);
    if (end->dead_letter)
        spl_metrics_count(SPL_COUNTER_DEAD_LETTERS, 1);
    spl_log(end->state == SPL_JOB_FAILED ? SPL_LOG_WARNING : SPL_LOG_INFO, "job.finished",
            SPL_TEXT("status", spl_job_state_text(end->state)), SPL_TEXT("error", end->error_code),
            SPL_INTEGER("attempt", work->job->attempts), SPL_NUMBER("audio_s", audio_s),
            SPL_NUMBER("seconds", seconds));
}

static void give_back(job_work *work, int64_t available_ms, bool counts) {
    spl_error error;
    remove_outputs(work);
    const double end_s = spl_now_s() + patience_s(work->jobs);
    while (SPL_STORE(work->jobs, release, work->job->id, work->job->fence, available_ms, counts,
                     &error) < 0) {
        spl_jobs_log_failure(SPL_LOG_ERROR, "job.not_released", &error);
        if (error.status == SPL_E_CANCELED || spl_now_s() > end_s)
            break;
        usleep(FINISH_PAUSE_MS * 1000);
    }
}

static void end_failed(job_work *work, const job_failure *failure) {
    const spl_settings *settings = work->jobs->settings;
    const bool free_of_charge =
        failure->waits || (failure->outage && work->job->fence < OUTAGES_MAX);
    if (failure->transient &&
        (free_of_charge || work->job->attempts - work->job->suspect < settings->attempts)) {
        const int64_t wait_ms =
            spl_backoff_ms(RETRY_BASE_MS, (unsigned)(work->job->fence - 1), RETRY_MOST_MS);
        spl_log(SPL_LOG_WARNING, "job.retried", SPL_TEXT("error", failure->code),
                SPL_INTEGER("attempt", work->job->attempts), SPL_INTEGER("wait_ms", wait_ms));
        spl_metrics_job(SPL_OUTCOME_RETRIED, 0, 0);
        give_back(work, spl_jobs_now_ms(work->jobs) + wait_ms, !free_of_charge);
        return;
    }
    end_job(work,
            &(spl_store_finish){.state = SPL_JOB_FAILED,
                                .error_code = failure->code,
                                .error_detail = failure->detail,
                                .dead_letter = failure->transient},
            SPL_OUTCOME_FAILED);
}

static void end_stopped(job_work *work) {
    job_failure failure = {.code = "job-timeout"};
    switch ((stop_reason)atomic_load(&work->stop)) {
    case STOP_CANCEL:
        end_job(work, &(spl_store_finish){.state = SPL_JOB_CANCELED}, SPL_OUTCOME_CANCELED);
        break;
    case STOP_TIMEOUT:
        snprintf(failure.detail, sizeof(failure.detail),
                 "the job took longer than the %u seconds that SPLEETER_JOB_TIMEOUT_S allows",
                 work->jobs->settings->job_timeout_s);
        end_failed(work, &failure);
        break;
    case STOP_GIVE_BACK:
        spl_log(SPL_LOG_INFO, "job.given_back");
        give_back(work, spl_jobs_now_ms(work->jobs), false);
        break;
    default:
        leave(work);
    }
}

static void learn_speed(spl_jobs *jobs, double speed) {
    pthread_mutex_lock(&jobs->lock);
    jobs->speed = jobs->speed == 0 ? speed : jobs->speed + SPEED_NEW_WEIGHT * (speed - jobs->speed);
    pthread_mutex_unlock(&jobs->lock);
}

static int end_succeeded(job_work *work, job_failure *failure) {
    const spl_timings *timings = &work->timings;
    const spl_job_manifest_facts facts = {
        .job = work->job,
        .outputs = work->outputs,
        .output_count = work->parts.count,
        .model = spl_model_get_info(work->model),
        .result = &work->result,
        .timings = timings,
    };
    SPL_CLEANUP(spl_free_p) char *manifest = NULL;
    spl_error error;
    if (spl_job_manifest_write(&facts, &manifest, &error) < 0)
        return fail_inside(work, failure, &error);
    spl_store_finish end = {.state = SPL_JOB_SUCCEEDED, .result = manifest};
    if (*work->result.warning)
        end.warning = work->result.warning;
    for (size_t i = 0; i < work->parts.count; i++)
        end.stored_bytes += work->outputs[i].bytes + SPL_OUTPUT_ROW_BYTES;
    spl_metrics_phase(SPL_PHASE_DECODE, timings->read_s);
    spl_metrics_phase(SPL_PHASE_SEPARATE, timings->forward_s + timings->networks_s +
                                              timings->masks_s + timings->inverse_s);
    spl_metrics_phase(SPL_PHASE_ENCODE, timings->write_s);
    learn_speed(work->jobs, (double)work->result.samples / SPL_SAMPLE_RATE_HZ /
                                (spl_now_s() - work->started_s));
    end_job(work, &end, SPL_OUTCOME_SUCCEEDED);
    return 0;
}

static void work_free(job_work *work) {
    for (size_t i = 0; i < work->parts.count; i++)
        SPL_BLOBS(work->jobs, discard, &work->writers[i]);
    spl_close_p(&work->input_fd);
    spl_model_unref(work->model);
    spl_separation_free(&work->separation);
}

static void do_job(spl_jobs *jobs, const spl_job *job) {
    job_work work = {.jobs = jobs, .job = job, .started_s = spl_now_s(), .input_fd = -1};
    for (size_t i = 0; i < SPL_OUTPUTS_MAX; i++)
        work.writers[i].fd = -1;
    job_failure failure = {.code = spl_problem_code_text(SPL_PROBLEM_INTERNAL), .transient = true};
    spl_error error;
    int status = start_heartbeat(&work, &error);
    if (status < 0) {
        fail_inside(&work, &failure, &error);
        end_failed(&work, &failure);
        return;
    }
    status = open_model(&work, &failure);
    if (status == 0)
        status = open_budget(&work, &failure);
    if (status == 0)
        status = open_files(&work, &failure);
    if (status == 0)
        status = separate(&work, &failure);
    if (status == 0)
        status = commit_outputs(&work, &failure);
    if (status == 0)
        status = end_succeeded(&work, &failure);
    if (status < 0 && atomic_load(&work.stop) != STOP_NONE)
        end_stopped(&work);
    else if (status < 0)
        end_failed(&work, &failure);
    end_heartbeat(&work);
    work_free(&work);
}

/* Log lines of this thread carry the job and its owner. */
static void set_context(const spl_job *job) {
    spl_log_context *context = spl_log_context_get();
    *context = (spl_log_context){0};
    snprintf(context->job, sizeof(context->job), "%s", job->id);
    snprintf(context->key, sizeof(context->key), "%s", job->owner);
    snprintf(context->request_id, sizeof(context->request_id), "%s",
             job->request_id ? job->request_id : "");
    const size_t version = 3, trace = 32; /* of "00-<trace id>-..." */
    if (job->traceparent && strlen(job->traceparent) > version + trace)
        snprintf(context->trace_id, sizeof(context->trace_id), "%s", job->traceparent + version);
}

/* While the disk is full or the process has no descriptors left, jobs stay queued instead of
 * failing one by one. */
static bool has_room(spl_jobs *jobs) {
    bool full;
    if (spl_descriptors_left() < SPL_DESCRIPTORS_MIN)
        return false;
    spl_error error;
    if (SPL_BLOBS(jobs, check, &jobs->stop, &error) < 0 ||
        spl_space_is_full(jobs->space, &full, &error) < 0) {
        spl_jobs_log_failure(SPL_LOG_ERROR, "worker.failed", &error);
        return false;
    }
    return !full;
}

/* Claims a job and runs it. Returns false if there was none. */
static bool do_next(spl_jobs *jobs) {
    const spl_settings *settings = jobs->settings;
    if (!has_room(jobs))
        return false;
    const spl_store_claim claim = {
        .worker = jobs->worker,
        .now_ms = spl_jobs_now_ms(jobs),
        .lease_ms = INT64_C(1000) * settings->lease_s,
        .attempts_max = settings->attempts,
        .retention_ms = INT64_C(1000) * settings->retention_s,
    };
    spl_job job = {0};
    unsigned dead = 0;
    spl_error error;
    int status = SPL_STORE(jobs, claim, &claim, &job, &dead, &error);
    spl_metrics_count(SPL_COUNTER_DEAD_LETTERS, dead);
    if (status < 0) {
        if (status != SPL_E_NOT_FOUND)
            spl_jobs_log_failure(SPL_LOG_ERROR, "job.not_claimed", &error);
        return false;
    }
    set_context(&job);
    spl_metrics_add(SPL_GAUGE_CURRENT_JOBS, 1);
    do_job(jobs, &job);
    spl_metrics_add(SPL_GAUGE_CURRENT_JOBS, -1);
    *spl_log_context_get() = (spl_log_context){0};
    spl_job_free(&job);
    return true;
}

void *spl_worker_run(void *user) {
    spl_jobs *jobs = user;
    setpriority(PRIO_PROCESS, (id_t)gettid(), NICE); /* the engine's threads inherit it */
    while (!atomic_load(&jobs->draining)) {
        if (!do_next(jobs))
            SPL_STORE(jobs, wait_queue, WAIT_MS);
    }
    pthread_mutex_lock(&jobs->lock);
    jobs->working--;
    pthread_cond_broadcast(&jobs->changed);
    pthread_mutex_unlock(&jobs->lock);
    return NULL;
}

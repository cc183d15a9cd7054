/* SPDX-License-Identifier: MIT
 *
 * Uploads. They are streamed from the socket to disk under limits, and hashed on the way; file
 * content is not kept in memory.
 */
#include "service/jobs/upload.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/file.h"
#include "service/core/file_name.h"
#include "service/jobs/media.h"
#include "service/jobs/state.h"
#include "service/observe/metrics.h"

#include <stdio.h>
#include <string.h>

#define MIB                 ((uint64_t)1 << 20)
#define NAME_MAX_BYTES      200
#define QUEUE_RETRY_AFTER_S 30
#define ROOM_VALID_S        10

/* The last component of the client's path, as printable UTF-8; owned by the caller. */
static char *clean_name(const char *name) {
    const char *slash = strrchr(name, '/'), *backslash = strrchr(name, '\\');
    const char *base = slash > backslash ? slash : backslash;
    base = base ? base + 1 : name;
    size_t length = strlen(base);
    if (length > NAME_MAX_BYTES) /* keep the end, which has the extension */
        base += length - NAME_MAX_BYTES;
    while (((unsigned char)*base & 0xc0) == 0x80)
        base++;
    char *clean = spl_file_name_clean(base);
    json_auto_t *utf8 = clean ? json_string(clean) : NULL;
    for (char *c = clean; clean && !utf8 && *c; c++) {
        if ((unsigned char)*c >= 0x80)
            *c = '_';
    }
    return clean;
}

static int refuse_space(spl_problem *ret_problem, const spl_error *error) {
    if (error->status != SPL_E_NO_SPACE)
        return spl_jobs_refuse_failure(ret_problem, "upload.failed", error);
    return spl_refuse_about(ret_problem, SPL_PROBLEM_STORAGE_FULL, NULL,
                            "SPLEETER_MIN_FREE_DISK_MB",
                            "the disk has no space for the upload; try again later");
}

static int refuse_too_large(const spl_jobs *jobs, spl_problem *ret_problem) {
    return spl_refuse_about(ret_problem, SPL_PROBLEM_TOO_LARGE, "file", "SPLEETER_MAX_FILE_SIZE_MB",
                            "the file is larger than the %llu MiB that are accepted",
                            (unsigned long long)(jobs->settings->max_file_size_bytes / MIB));
}

/* Checks queue and quota early, to spare the client a useless upload. They are checked again when
 * the job is created. */
static int check_limits(spl_jobs *jobs, const spl_principal *principal, uint64_t bytes,
                        uint64_t *ret_room_bytes, spl_problem *ret_problem) {
    spl_error error;
    uint64_t queued, owner_jobs, owner_bytes;
    int status = SPL_STORE(jobs, queue_length, &queued, &error);
    if (status == 0)
        status = SPL_STORE(jobs, owner_usage, principal->id, &owner_jobs, &owner_bytes, &error);
    if (status < 0)
        return spl_jobs_refuse_failure(ret_problem, "upload.failed", &error);
    if (queued >= jobs->settings->queue)
        return spl_jobs_refuse_limit(ret_problem, SPL_LIMIT_QUEUE);
    if (owner_jobs >= principal->quota.jobs)
        return spl_jobs_refuse_limit(ret_problem, SPL_LIMIT_OWNER_JOBS);
    owner_bytes += SPL_JOB_ROW_BYTES;
    if (owner_bytes + bytes > principal->quota.storage_bytes)
        return spl_jobs_refuse_limit(ret_problem, SPL_LIMIT_OWNER_BYTES);
    *ret_room_bytes = principal->quota.storage_bytes - owner_bytes;
    return 0;
}

/* Reads every ROOM_VALID_S what the owner's jobs leave of its quota, because they may have grown
 * since the upload was opened. Returns whether it has read it; it does not if the store fails. */
static bool refresh_room(spl_upload *upload) {
    uint64_t jobs, bytes;
    const double now_s = spl_now_s();
    if (now_s < upload->room_read_s + ROOM_VALID_S)
        return false;
    upload->room_read_s = now_s;
    if (SPL_STORE(upload->jobs, owner_usage, upload->owner, &jobs, &bytes, NULL) < 0)
        return false;
    upload->room_bytes =
        upload->quota_bytes - SPL_MIN(upload->quota_bytes, bytes + SPL_JOB_ROW_BYTES);
    return true;
}

/* Concurrent uploads of one owner share what is left of its quota. */
static int reserve(spl_upload *upload, uint64_t bytes, spl_problem *ret_problem) {
    spl_jobs *jobs = upload->jobs;
    uint64_t sum = bytes;
    pthread_mutex_lock(&jobs->lock);
    for (const spl_upload *other = jobs->uploads; other; other = other->next)
        sum +=
            other != upload && strcmp(other->owner, upload->owner) == 0 ? other->reserved_bytes : 0;
    const bool fits = sum <= upload->room_bytes;
    if (fits)
        upload->reserved_bytes = bytes;
    pthread_mutex_unlock(&jobs->lock);
    return fits ? 0 : spl_jobs_refuse_limit(ret_problem, SPL_LIMIT_OWNER_BYTES);
}

void spl_upload_becomes_job(spl_upload *upload) {
    pthread_mutex_lock(&upload->jobs->lock);
    upload->reserved_bytes = 0;
    pthread_mutex_unlock(&upload->jobs->lock);
}

static void enter(spl_upload *upload) {
    pthread_mutex_lock(&upload->jobs->lock);
    upload->next = upload->jobs->uploads;
    upload->jobs->uploads = upload;
    pthread_mutex_unlock(&upload->jobs->lock);
}

static void leave(spl_upload *upload) {
    pthread_mutex_lock(&upload->jobs->lock);
    spl_upload **at = &upload->jobs->uploads;
    while (*at && *at != upload)
        at = &(*at)->next;
    if (*at)
        *at = upload->next;
    pthread_mutex_unlock(&upload->jobs->lock);
}

int spl_jobs_refuse_limit(spl_problem *ret_problem, spl_store_limit limit) {
    int status;
    switch (limit) {
    case SPL_LIMIT_OWNER_JOBS:
        status =
            spl_refuse_about(ret_problem, SPL_PROBLEM_QUOTA, NULL, "SPLEETER_JOBS_PER_KEY",
                             "this key has reached its limit of queued and running jobs (for a "
                             "song that was separated before, also of pending webhooks); wait "
                             "for one to end, or cancel one");
        break;
    case SPL_LIMIT_OWNER_BYTES:
        return spl_refuse_about(
            ret_problem, SPL_PROBLEM_QUOTA, NULL, "SPLEETER_STORAGE_PER_KEY_MB",
            "this key's storage is used up, or too small for the stems of this song "
            "and of the jobs that wait; delete jobs that you no longer need");
    default:
        status = spl_refuse_about(ret_problem, SPL_PROBLEM_QUEUE_FULL, NULL, "SPLEETER_QUEUE",
                                  "the queue is full; try again later");
    }
    ret_problem->retry_after_s = QUEUE_RETRY_AFTER_S;
    return status;
}

static int fill(spl_upload *upload, const char *name, const char *type, spl_problem *ret_problem) {
    spl_error error;
    upload->name = name ? clean_name(name) : NULL;
    upload->type = type ? strdup(type) : NULL;
    if ((name && !upload->name) || (type && !upload->type))
        return spl_jobs_refuse_failure(ret_problem, "upload.failed",
                                       &(spl_error){.status = SPL_E_MEMORY});
    int status = spl_digest_new(&upload->digest, &error);
    if (status == 0)
        status = SPL_BLOBS(upload->jobs, upload, &upload->writer, &error);
    return status < 0 ? spl_jobs_refuse_failure(ret_problem, "upload.failed", &error) : 0;
}

int spl_upload_open(spl_jobs *jobs, const spl_principal *principal, const char *name,
                    const char *type, int64_t length_bytes, spl_upload **ret_upload,
                    spl_problem *ret_problem) {
    if (atomic_load(&jobs->draining))
        return spl_refuse_draining(ret_problem);
    const uint64_t length = length_bytes > 0 ? (uint64_t)length_bytes : 0;
    uint64_t room_bytes = 0;
    int status = spl_media_check_declared(jobs->settings->formats, name, type, ret_problem);
    if (status == 0 && length > jobs->settings->max_file_size_bytes)
        status = refuse_too_large(jobs, ret_problem);
    if (status == 0)
        status = check_limits(jobs, principal, length, &room_bytes, ret_problem);
    spl_error error;
    if (status == 0 && SPL_BLOBS(jobs, check, &jobs->stop, &error) < 0)
        status = spl_jobs_refuse_failure(ret_problem, "upload.failed", &error);
    if (status < 0)
        return status;

    spl_upload *upload = calloc(1, sizeof(*upload));
    if (!upload)
        return spl_jobs_refuse_failure(ret_problem, "upload.failed",
                                       &(spl_error){.status = SPL_E_MEMORY});
    upload->jobs = jobs;
    upload->writer.fd = -1;
    upload->started_s = upload->room_read_s = spl_now_s();
    upload->quota_bytes = principal->quota.storage_bytes;
    upload->room_bytes = room_bytes;
    upload->space = (spl_space_grant){.space = jobs->space, .use = SPL_SPACE_ACCEPT};
    snprintf(upload->owner, sizeof(upload->owner), "%s", principal->id);
    enter(upload);
    status = reserve(upload, length, ret_problem);
    if (status == 0 && spl_space_check(&upload->space, SPL_MAX(length, 1u), &error) < 0)
        status = refuse_space(ret_problem, &error);
    if (status == 0)
        status = fill(upload, name, type, ret_problem);
    if (status < 0)
        spl_upload_free(upload);
    else
        *ret_upload = upload;
    return status;
}

int spl_upload_write(spl_upload *upload, const void *data, size_t size, spl_problem *ret_problem) {
    if (size > upload->jobs->settings->max_file_size_bytes - upload->bytes)
        return refuse_too_large(upload->jobs, ret_problem);
    const uint64_t bytes = SPL_MAX(upload->bytes + size, upload->reserved_bytes);
    int status = 0;
    if (refresh_room(upload) || bytes > upload->reserved_bytes)
        status = reserve(upload, bytes, ret_problem);
    if (status < 0)
        return status;
    /* Only for what has arrived: a slow client must not keep space from others. */
    spl_error error;
    status = spl_space_reserve(&upload->space, size, &error);
    if (status < 0)
        return refuse_space(ret_problem, &error);
    status = spl_write_all(upload->writer.fd, data, size, "the upload", &error);
    if (status == 0)
        status = spl_digest_add(upload->digest, data, size, &error);
    if (status < 0)
        return spl_jobs_refuse_failure(ret_problem, "upload.failed", &error);
    upload->bytes += size;
    spl_space_spend(&upload->space, size);
    return 0;
}

int spl_upload_finish(spl_upload *upload, spl_problem *ret_problem) {
    if (upload->sha256[0])
        return 0;
    spl_error error;
    if (spl_digest_finish(upload->digest, upload->sha256, &error) < 0)
        return spl_jobs_refuse_failure(ret_problem, "upload.failed", &error);
    spl_space_release(&upload->space);
    spl_metrics_phase(SPL_PHASE_UPLOAD, spl_now_s() - upload->started_s);
    return 0;
}

void spl_upload_free(spl_upload *upload) {
    if (!upload)
        return;
    leave(upload);
    spl_space_release(&upload->space);
    SPL_BLOBS(upload->jobs, discard, &upload->writer);
    spl_digest_free(upload->digest);
    free(upload->name);
    free(upload->type);
    free(upload);
}

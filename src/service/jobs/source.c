/* SPDX-License-Identifier: MIT
 *
 * Fetches songs from the source URL that a client gives.
 */
#include "service/jobs/source.h"
#include "service/jobs/media.h"
#include "service/jobs/state.h"
#include "service/jobs/upload.h"
#include "service/outbound/outbound.h"

#include <stdio.h>
#include <string.h>

#define FETCH_TIMEOUT_S 600

typedef struct source_fetch {
    spl_upload *upload;
    const spl_submission *submission;
    spl_problem *problem;
    bool refused; /* `problem` was filled in */
} source_fetch;

static int take_bytes(void *user, const void *data, size_t size) {
    source_fetch *fetch = user;
    int status = spl_upload_write(fetch->upload, data, size, fetch->problem);
    fetch->refused = status < 0;
    return status;
}

static int is_canceled(void *user) {
    const source_fetch *fetch = user;
    const spl_submission *submission = fetch->submission;
    return submission->canceled && submission->canceled(submission->canceled_user);
}

/* The last component of the URL's path if it has an extension, else NULL; owned by the caller. */
static char *name_of(const char *url) {
    const char *scheme = strstr(url, "://");
    const char *path = strchr(scheme ? scheme + 3 : url, '/');
    if (!path)
        return NULL;
    size_t length = strcspn(path, "?#");
    const char *name = path + length;
    while (name[-1] != '/')
        name--;
    char *copy = strndup(name, (size_t)(path + length - name));
    if (copy && !strchr(copy, '.')) {
        free(copy);
        return NULL;
    }
    return copy;
}

static int refuse_source(spl_problem *ret_problem, const char *text) {
    return spl_refuse_about(ret_problem, SPL_PROBLEM_SOURCE_REFUSED, "source_url", NULL, "%s",
                            text);
}

static int refuse_failed(const source_fetch *fetch, const spl_error *error) {
    if (fetch->refused)
        return error->status;
    spl_jobs_log_failure(SPL_LOG_INFO, "source.refused", error);
    switch (error->status) {
    case SPL_E_ARGUMENT:
        return refuse_source(fetch->problem,
                             "the source URL must be https, without user name and password");
    case SPL_E_LIMIT:
        return spl_refuse_about(fetch->problem, SPL_PROBLEM_TOO_LARGE, "source_url",
                                "SPLEETER_MAX_FILE_SIZE_MB",
                                "the file at the source URL is larger than the limit");
    case SPL_E_CANCELED:
        return spl_refuse_disconnected(fetch->problem);
    case SPL_E_MEMORY:
        return spl_refuse_error(fetch->problem, error);
    default: /* PERMISSION too: do not reveal which internal host names exist */
        return spl_refuse_about(fetch->problem, SPL_PROBLEM_SOURCE_REFUSED, "source_url",
                                "SPLEETER_SOURCE_ALLOW",
                                "the source URL could not be fetched: its host can't be reached, "
                                "or its address is not public");
    }
}

static int run(spl_jobs *jobs, source_fetch *fetch) {
    const spl_settings *settings = jobs->settings;
    const spl_outbound request = {
        .url = fetch->submission->source_url,
        .owner = fetch->submission->principal->id,
        .allow = settings->source_allow,
        .max_bytes = settings->max_file_size_bytes,
        .timeout_s = SPL_MIN(settings->body_timeout_s, FETCH_TIMEOUT_S),
        .min_rate_bytes_s = settings->min_rate_bytes_s,
        .write = take_bytes,
        .user = fetch,
        .canceled = is_canceled,
    };
    spl_outbound_answer answer;
    spl_error error;
    if (spl_outbound_run(&request, &answer, &error) < 0)
        return refuse_failed(fetch, &error);
    if (answer.status != 200) {
        char text[80];
        snprintf(text, sizeof(text), "the source URL answers with status %ld", answer.status);
        return refuse_source(fetch->problem, text);
    }
    if (!fetch->upload->name && answer.content_type[0]) {
        fetch->upload->type = strdup(answer.content_type);
        if (!fetch->upload->type)
            return spl_refuse_memory(fetch->problem);
    }
    return 0;
}

int spl_source_fetch(spl_jobs *jobs, const spl_submission *submission, spl_upload **ret_upload,
                     spl_problem *ret_problem) {
    SPL_CLEANUP(spl_free_p) char *name = name_of(submission->source_url);
    source_fetch fetch = {.submission = submission, .problem = ret_problem};
    int status =
        spl_upload_open(jobs, submission->principal, name, NULL, -1, &fetch.upload, ret_problem);
    if (status == 0)
        status = run(jobs, &fetch);
    if (status < 0)
        spl_upload_free(fetch.upload);
    else
        *ret_upload = fetch.upload;
    return status;
}

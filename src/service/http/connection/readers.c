/* SPDX-License-Identifier: MIT
 *
 * The guard keeps a mark for each answer that sends a file. A check looks all of them up in the
 * store at once, because any process may delete the job, and shuts down connections, because
 * their threads may wait for a client that reads nothing.
 */
#include "service/http/connection/readers.h"

#include "service/http/connection/access.h"
#include "service/observe/log.h"

#include <stdio.h>

void spl_request_reads(const spl_request *request, const char *job, int64_t fence) {
    spl_guard_reader reader = {.fence = fence, .credential = spl_request_credential(request)};
    snprintf(reader.job, sizeof(reader.job), "%s", job);
    spl_guard_reads(request->guarded, &reader);
}

/* Ends those whose credential was revoked. Stops looking sessions up when that fails once. */
static int end_revoked(spl_http *http, const spl_guard_reader *readers, size_t count) {
    int status = 0;
    for (size_t i = 0; i < count; i++) {
        const spl_credential *credential = &readers[i].credential;
        bool revoked = false;
        if (status < 0 && credential->principal.session[0])
            continue;
        status = SPL_MIN(spl_credential_revoked(http->parts.auth, credential, &revoked), status);
        if (revoked)
            spl_guard_end_reader(http->guard, readers[i].number);
    }
    return status;
}

/* Ends those whose job does not have the file any more. */
static int end_without_job(spl_http *http, const spl_guard_reader *readers, size_t count,
                           spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) spl_store_file *files = calloc(SPL_MAX(count, 1u), sizeof(*files));
    if (!files)
        return spl_fail_memory(ret_error);
    for (size_t i = 0; i < count; i++)
        files[i] = (spl_store_file){.job = readers[i].job, .fence = readers[i].fence};
    const int status = spl_jobs_check_files(http->parts.jobs, files, count, ret_error);
    for (size_t i = 0; status == 0 && i < count; i++) {
        if (!files[i].held)
            spl_guard_end_reader(http->guard, readers[i].number);
    }
    return status;
}

void spl_readers_check(spl_http *http) {
    SPL_CLEANUP(spl_free_p) spl_guard_reader *readers = NULL;
    size_t count = 0;
    spl_error error;
    int status = spl_guard_readers(http->guard, &readers, &count, &error);
    /* If the record of sessions can't be read, neither can the jobs: the store is not available. */
    if (status == 0 && count > 0 && end_revoked(http, readers, count) == 0)
        status = end_without_job(http, readers, count, &error);
    if (status < 0)
        spl_log(SPL_LOG_ERROR, "http.readers_not_checked", SPL_TEXT("error", error.message));
}

/* SPDX-License-Identifier: MIT
 *
 * One output of a job. A complete file has a strong entity tag (its SHA-256) and is sent in ranges
 * and by sendfile. A growing file has neither tag nor length: without a Range the answer follows it
 * to its end, with one it covers what exists now.
 */
#include "service/http/routes/files.h"

#include "service/http/connection/answer.h"
#include "service/http/connection/range.h"
#include "service/http/routes/routes.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define FOLLOW_BUFFER_BYTES ((size_t)64 << 10)
#define FOLLOW_WAIT_MS      200

/* ---- Growing files ---- */

typedef struct file_follower {
    spl_request *request; /* for the reader only: it ends before the response */
    const char *owner, *id, *file;
    int fd;
    bool complete;
    uint64_t bytes; /* when complete */
} file_follower;

/* Returns whether the file is still the one being sent, and updates its completeness. */
static bool look_again(file_follower *follower, uint64_t position) {
    spl_job_file now;
    spl_problem problem;
    if (spl_request_revoked(follower->request) ||
        spl_jobs_open_file(follower->request->parts->jobs, follower->owner, follower->id,
                           follower->file, &now, &problem) < 0)
        return false;
    SPL_CLEANUP(spl_close_p) int fd = now.blob.fd;
    struct stat ours, theirs;
    if (fstat(follower->fd, &ours) < 0 || fstat(fd, &theirs) < 0)
        return false;
    if (ours.st_ino != theirs.st_ino || ours.st_dev != theirs.st_dev) {
        if (position > 0)
            return false; /* another attempt has written another file */
        const int old = follower->fd;
        follower->fd = fd;
        fd = old;
    }
    follower->complete = now.blob.complete;
    follower->bytes = now.blob.bytes;
    return true;
}

static ssize_t read_growing(void *user, uint64_t position, char *buffer, size_t capacity) {
    file_follower *follower = user;
    spl_request *request = follower->request;
    for (;;) {
        ssize_t got = pread(follower->fd, buffer, capacity, (off_t)position);
        if (got > 0) {
            request->sent_bytes += (uint64_t)got;
            return got;
        }
        if (follower->complete && position >= follower->bytes)
            return MHD_CONTENT_READER_END_OF_STREAM;
        if (got < 0 || spl_request_gone(request) || !look_again(follower, position))
            return MHD_CONTENT_READER_END_WITH_ERROR;
        if (!follower->complete)
            poll(NULL, 0, FOLLOW_WAIT_MS);
    }
}

static void free_follower(void *user) {
    file_follower *follower = user;
    close(follower->fd);
    free(follower);
}

static int follow(spl_request *request, const char *owner, const char *id, const char *file,
                  const spl_job_file *opened, const spl_answer_header *headers,
                  spl_problem *ret_problem) {
    file_follower *state = calloc(1, sizeof(*state));
    if (!state) {
        close(opened->blob.fd);
        return spl_refuse(ret_problem, SPL_PROBLEM_UNAVAILABLE, "The service is out of memory");
    }
    *state = (file_follower){request, owner, id, file, .fd = opened->blob.fd};
    struct MHD_Response *response = MHD_create_response_from_callback(
        MHD_SIZE_UNKNOWN, FOLLOW_BUFFER_BYTES, read_growing, state, free_follower);
    if (!response)
        free_follower(state);
    return spl_answer_response(request, MHD_HTTP_OK, opened->media_type, response, headers,
                               ret_problem);
}

/* ---- Existing bytes ---- */

static int send_part(spl_request *request, unsigned status, const spl_job_file *file,
                     uint64_t first, uint64_t bytes, const spl_answer_header *headers,
                     spl_problem *ret_problem) {
    struct MHD_Response *response =
        MHD_create_response_from_fd_at_offset64(bytes, file->blob.fd, first);
    if (!response)
        close(file->blob.fd);
    else if (strcmp(request->method, "HEAD") != 0)
        request->sent_bytes = bytes;
    return spl_answer_response(request, status, file->media_type, response, headers, ret_problem);
}

static int refuse_range(spl_request *request, const spl_job_file *file, spl_problem *ret_problem) {
    close(file->blob.fd);
    if (file->blob.complete)
        snprintf(request->content_range, sizeof(request->content_range), "bytes */%" PRIu64,
                 file->blob.bytes);
    int status = spl_refuse(ret_problem, SPL_PROBLEM_RANGE, "The file has %" PRIu64 " bytes%s",
                            file->blob.bytes, file->blob.complete ? "" : " so far");
    if (!file->blob.complete)
        ret_problem->retry_after_s = 1;
    return status;
}

/* Redirects to the URL at which the storage itself serves the file. */
static int redirect(spl_request *request, const char *id, const char *file, const char *url,
                    spl_problem *ret_problem) {
    spl_request_note_read(request, id, file);
    const spl_answer_header headers[] = {
        {"Location", url}, {"Cache-Control", "no-store"}, {NULL, NULL}};
    static char nothing[] = "";
    return spl_answer_response(request, MHD_HTTP_TEMPORARY_REDIRECT, NULL,
                               MHD_create_response_from_buffer(0, nothing, MHD_RESPMEM_PERSISTENT),
                               headers, ret_problem);
}

int spl_file_send(spl_request *request, const char *owner, const char *id, const char *file,
                  spl_problem *ret_problem) {
    SPL_CLEANUP(spl_free_p) char *url = NULL;
    spl_job_file opened;
    int status = 0;
    /* The policy of the web page allows requests to its own origin only. */
    if (strcmp(request->method, "GET") == 0 && !spl_request_header(request, SPL_PAGE_HEADER))
        status = spl_jobs_link_file(request->parts->jobs, owner, id, file, spl_disposition_write,
                                    &url, ret_problem);
    if (url)
        return redirect(request, id, file, url, ret_problem);
    if (status == 0)
        status = spl_jobs_open_file(request->parts->jobs, owner, id, file, &opened, ret_problem);
    if (status < 0)
        return spl_refuse_job(status, ret_problem);

    const bool complete = opened.blob.complete && opened.sha256[0];
    char tag[80], disposition[1024], content_range[80];
    snprintf(tag, sizeof(tag), "\"%s\"", opened.sha256);
    spl_disposition_write(opened.download_name, disposition, sizeof(disposition));
    spl_answer_header headers[6] = {
        {"Content-Disposition", disposition},
        {"Cache-Control", complete ? "private, no-cache" : "no-store"},
        {"Accept-Ranges", "bytes"},
    };
    size_t count = 3;
    if (complete)
        headers[count++] = (spl_answer_header){"ETag", tag};

    const char *none_match = spl_request_header(request, "If-None-Match");
    if (complete && none_match && spl_etag_listed(none_match, tag)) {
        close(opened.blob.fd);
        static char nothing[] = "";
        return spl_answer_response(
            request, MHD_HTTP_NOT_MODIFIED, NULL,
            MHD_create_response_from_buffer(0, nothing, MHD_RESPMEM_PERSISTENT), headers,
            ret_problem);
    }

    const char *range = spl_request_header(request, "Range");
    const char *if_range = spl_request_header(request, "If-Range");
    if (if_range && (!complete || strcmp(if_range, tag) != 0))
        range = NULL;
    uint64_t first = 0, last;
    const spl_range_kind kind = spl_range_parse(range, opened.blob.bytes, &first, &last);
    /* Players request the rest in many ranges, of which only the first is recorded. */
    if (first == 0 && kind != SPL_RANGE_UNSATISFIABLE)
        spl_request_note_read(request, id, file);
    switch (kind) {
    case SPL_RANGE_UNSATISFIABLE:
        return refuse_range(request, &opened, ret_problem);
    case SPL_RANGE_PART:
        snprintf(content_range, sizeof(content_range), "bytes %" PRIu64 "-%" PRIu64 "/", first,
                 last);
        snprintf(content_range + strlen(content_range),
                 sizeof(content_range) - strlen(content_range), complete ? "%" PRIu64 : "*",
                 opened.blob.bytes);
        headers[count++] = (spl_answer_header){"Content-Range", content_range};
        return send_part(request, MHD_HTTP_PARTIAL_CONTENT, &opened, first, last - first + 1,
                         headers, ret_problem);
    default:
        if (!complete)
            return follow(request, owner, id, file, &opened, headers, ret_problem);
        return send_part(request, MHD_HTTP_OK, &opened, 0, opened.blob.bytes, headers, ret_problem);
    }
}

int spl_stem_answer(spl_request *request, spl_problem *ret_problem) {
    return spl_file_send(request, spl_request_owner(request), request->path_id, request->path_file,
                         ret_problem);
}

int spl_manifest_answer(spl_request *request, spl_problem *ret_problem) {
    json_t *manifest;
    int status = spl_jobs_manifest(request->parts->jobs, spl_request_owner(request),
                                   request->path_id, &manifest, ret_problem);
    if (status < 0)
        return spl_refuse_job(status, ret_problem);
    return spl_answer_json(request, MHD_HTTP_OK, manifest, NULL, ret_problem);
}

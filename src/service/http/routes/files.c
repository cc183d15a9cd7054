/* SPDX-License-Identifier: MIT
 *
 * One output of a job. A complete file has a strong entity tag (its SHA-256) and is sent in ranges
 * and by sendfile. A growing file has neither tag nor length: without a Range the answer follows it
 * to its end, with one it covers what exists now.
 */
#include "service/http/routes/files.h"

#include "service/http/connection/access.h"
#include "service/http/connection/answer.h"
#include "service/http/connection/range.h"
#include "service/http/connection/readers.h"
#include "service/http/routes/routes.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define FOLLOW_BUFFER_BYTES ((size_t)64 << 10)
#define FOLLOW_WAIT_MS      200

static int open_found(const spl_request *request, spl_job_file *file, spl_problem *ret_problem) {
    const spl_blob_wait wait = {spl_request_is_gone, (void *)(uintptr_t)request};
    spl_request_reads(request, file->job, file->fence);
    return spl_jobs_open_found(request->parts->jobs, file, &wait, ret_problem);
}

int spl_stem_open(const spl_request *request, const char *owner, const char *id, const char *name,
                  spl_job_file *ret_file, spl_problem *ret_problem) {
    spl_job_file file;
    int status = spl_jobs_find_file(request->parts->jobs, owner, id, name, &file, ret_problem);
    if (status == 0)
        status = open_found(request, &file, ret_problem);
    if (status == 0)
        *ret_file = file;
    return status;
}

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
        spl_stem_open(follower->request, follower->owner, follower->id, follower->file, &now,
                      &problem) < 0)
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
        return spl_refuse_memory(ret_problem);
    }
    *state = (file_follower){request, owner, id, file, .fd = opened->blob.fd};
    struct MHD_Response *response = MHD_create_response_from_callback(
        MHD_SIZE_UNKNOWN, FOLLOW_BUFFER_BYTES, read_growing, state, free_follower);
    if (!response)
        free_follower(state);
    return spl_answer_response(request, MHD_HTTP_OK, opened->media_type, response, headers,
                               ret_problem);
}

/* ---- Headers ---- */

/* The headers of an answer and the texts that they point to. */
typedef struct file_headers {
    char tag[80], disposition[1024], content_range[80];
    spl_answer_header list[6];
    size_t count;
} file_headers;

static void add_header(file_headers *headers, const char *name, const char *value) {
    headers->list[headers->count++] = (spl_answer_header){name, value};
}

static bool is_complete(const spl_job_file *file) {
    return file->blob.complete && file->sha256[0];
}

static void set_headers(const spl_job_file *file, file_headers *headers) {
    add_header(headers, "Content-Disposition", headers->disposition);
    add_header(headers, "Cache-Control", is_complete(file) ? "private, no-cache" : "no-store");
    add_header(headers, "Accept-Ranges", "bytes");
    if (is_complete(file)) {
        snprintf(headers->tag, sizeof(headers->tag), "\"%s\"", file->sha256);
        add_header(headers, "ETag", headers->tag);
    }
}

/* ---- Answers ---- */

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

static int send_range(spl_request *request, const spl_job_file *file, uint64_t first, uint64_t last,
                      file_headers *headers, spl_problem *ret_problem) {
    char total[24] = "*";
    if (is_complete(file))
        snprintf(total, sizeof(total), "%" PRIu64, file->blob.bytes);
    snprintf(headers->content_range, sizeof(headers->content_range),
             "bytes %" PRIu64 "-%" PRIu64 "/%s", first, last, total);
    add_header(headers, "Content-Range", headers->content_range);
    return send_part(request, MHD_HTTP_PARTIAL_CONTENT, file, first, last - first + 1,
                     headers->list, ret_problem);
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

/* The part that the client requests. If its condition does not hold, that is the whole file. */
static spl_range_kind wanted_range(const spl_request *request, const spl_job_file *file,
                                   const char *tag, uint64_t *ret_first, uint64_t *ret_last) {
    const char *range = spl_request_header(request, "Range");
    const char *if_range = spl_request_header(request, "If-Range");
    if (if_range && (!is_complete(file) || strcmp(if_range, tag) != 0))
        range = NULL;
    return spl_range_parse(range, file->blob.bytes, ret_first, ret_last);
}

/* Answers with the opened file, whole or in part. */
static int send_opened(spl_request *request, const char *owner, const char *id, const char *name,
                       const spl_job_file *file, file_headers *headers, spl_problem *ret_problem) {
    set_headers(file, headers);
    const char *none_match = spl_request_header(request, "If-None-Match");
    if (is_complete(file) && none_match && spl_etag_listed(none_match, headers->tag)) {
        close(file->blob.fd);
        return spl_answer_empty(request, MHD_HTTP_NOT_MODIFIED, headers->list, ret_problem);
    }
    uint64_t first = 0, last;
    const spl_range_kind kind = wanted_range(request, file, headers->tag, &first, &last);
    if (kind == SPL_RANGE_UNSATISFIABLE)
        return refuse_range(request, file, ret_problem);
    /* Players request the rest in many ranges, of which only the first is recorded. */
    if (first == 0)
        spl_request_note_read(request, id, name);
    if (kind == SPL_RANGE_PART)
        return send_range(request, file, first, last, headers, ret_problem);
    if (!is_complete(file))
        return follow(request, owner, id, name, file, headers->list, ret_problem);
    return send_part(request, MHD_HTTP_OK, file, 0, file->blob.bytes, headers->list, ret_problem);
}

/* Finds the URL at which the storage itself serves the file; NULL: this process has to. The policy
 * of the web page allows requests to its own origin only. */
static int find_url(const spl_request *request, const spl_job_file *file, const char *disposition,
                    char **ret_url, spl_problem *ret_problem) {
    *ret_url = NULL;
    if (strcmp(request->method, "GET") != 0 || spl_request_header(request, SPL_PAGE_HEADER))
        return 0;
    return spl_jobs_link_file(request->parts->jobs, file, disposition, ret_url, ret_problem);
}

int spl_file_send(spl_request *request, const char *owner, const char *id, const char *name,
                  spl_problem *ret_problem) {
    SPL_CLEANUP(spl_free_p) char *url = NULL;
    spl_jobs *jobs = request->parts->jobs;
    file_headers headers = {0};
    spl_job_file file;
    int status = spl_jobs_find_file(jobs, owner, id, name, &file, ret_problem);
    if (status < 0)
        return spl_refuse_job(status, ret_problem);
    spl_disposition_write(file.download_name, headers.disposition, sizeof(headers.disposition));
    status = find_url(request, &file, headers.disposition, &url, ret_problem);
    if (url) {
        spl_request_note_read(request, id, name);
        const spl_answer_header redirect[] = {
            {"Location", url}, {"Cache-Control", "no-store"}, {NULL, NULL}};
        return spl_answer_empty(request, MHD_HTTP_TEMPORARY_REDIRECT, redirect, ret_problem);
    }
    if (status == 0)
        status = open_found(request, &file, ret_problem);
    if (status < 0)
        return spl_refuse_job(status, ret_problem);
    return send_opened(request, owner, id, name, &file, &headers, ret_problem);
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

/* SPDX-License-Identifier: MIT
 *
 * Sends all outputs of a job and its manifest as one zip. Each file is opened when its turn comes,
 * so a connection holds one of them. If a file is missing then or its size has changed, the
 * connection is cut, so that no client takes the part for the whole archive.
 */
#include "service/http/connection/access.h"
#include "service/http/connection/answer.h"
#include "service/http/connection/range.h"
#include "service/http/routes/files.h"
#include "service/http/routes/routes.h"
#include "service/http/routes/zip_stream.h"
#include "service/observe/log.h"

#include <string.h>

#define BUFFER_BYTES ((size_t)64 << 10)

_Static_assert(SPL_ZIP_SIZE_UNKNOWN == MHD_SIZE_UNKNOWN, "libmicrohttpd takes it as it is");

typedef struct zip_answer {
    spl_request *request; /* for the reader only: it ends before the response */
    const char *owner;
    char id[64];
    spl_zip *zip;
} zip_answer;

/* spl_zip_open */
static int open_output(void *user, const char *name, int *ret_fd, spl_error *ret_error) {
    const zip_answer *answer = user;
    spl_job_file file;
    spl_problem problem = {0};
    if (spl_request_revoked(answer->request))
        return spl_fail(ret_error, SPL_E_PERMISSION, "the client's credential was revoked");
    if (spl_stem_open(answer->request, answer->owner, answer->id, name, &file, &problem) < 0)
        return spl_fail(ret_error, SPL_E_IO, "%s: %s", name, problem.detail);
    *ret_fd = file.blob.fd;
    return 0;
}

static ssize_t read_zip(void *user, uint64_t position, char *buffer, size_t capacity) {
    (void)position;
    zip_answer *answer = user;
    spl_error error;
    const ssize_t got = spl_zip_read(answer->zip, buffer, capacity, &error);
    if (got < 0) {
        spl_log(SPL_LOG_ERROR, "zip.cut", SPL_TEXT("error", error.message));
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    answer->request->sent_bytes += (uint64_t)got;
    return got > 0 ? got : MHD_CONTENT_READER_END_OF_STREAM;
}

static void free_answer(void *user) {
    zip_answer *answer = user;
    spl_zip_free(answer->zip);
    free(answer);
}

static int refuse_failure(spl_problem *ret_problem, const spl_error *error) {
    spl_log(SPL_LOG_ERROR, "zip.failed", SPL_TEXT("error", error->message));
    return spl_refuse_error(ret_problem, error);
}

/* Opens the first output, so that missing files are reported as a problem. */
static int check_outputs(const zip_answer *answer, const json_t *outputs,
                         spl_problem *ret_problem) {
    spl_job_file file;
    const json_t *first = json_array_get(outputs, 0);
    int status =
        spl_stem_open(answer->request, answer->owner, answer->id,
                      json_string_value(json_object_get(first, "file")), &file, ret_problem);
    if (status == 0)
        close(file.blob.fd);
    return status;
}

static int add_outputs(spl_zip *zip, const json_t *outputs, spl_problem *ret_problem) {
    size_t i;
    json_t *output;
    json_array_foreach(outputs, i, output) {
        const char *name = json_string_value(json_object_get(output, "file"));
        const json_int_t bytes = json_integer_value(json_object_get(output, "bytes"));
        spl_error error;
        if (spl_zip_add_file(zip, name, (uint64_t)bytes, &error) < 0)
            return refuse_failure(ret_problem, &error);
    }
    return 0;
}

static int add_manifest(const json_t *manifest, spl_zip *zip, spl_problem *ret_problem) {
    SPL_CLEANUP(spl_free_p) char *text = json_dumps(manifest, JSON_INDENT(2));
    spl_error error;
    if (!text)
        return spl_refuse_memory(ret_problem);
    if (spl_zip_add_text(zip, "manifest.json", text, &error) < 0)
        return refuse_failure(ret_problem, &error);
    return 0;
}

/* "song.zip", or "stems.zip" when the upload had no name. */
static void write_disposition(const json_t *job, char *ret_header, size_t capacity) {
    const char *input = json_string_value(json_object_get(json_object_get(job, "input"), "name"));
    const char *name = input ? input : "stems";
    const char *dot = strrchr(name, '.');
    char file[300];
    snprintf(file, sizeof(file), "%.*s.zip",
             (int)(dot && dot != name ? dot - name : (ptrdiff_t)strlen(name)), name);
    spl_disposition_write(file, ret_header, capacity);
}

/* Makes the state of an answer and its archive, owned by the caller. */
static int make_answer(spl_request *request, const char *owner, const char *id,
                       const json_t *manifest, const json_t *job, zip_answer **ret_answer,
                       spl_problem *ret_problem) {
    const json_t *outputs = json_object_get(job, "outputs");
    zip_answer *answer = calloc(1, sizeof(*answer));
    spl_error error;
    int status = 0;
    if (!answer)
        return spl_refuse_memory(ret_problem);
    answer->request = request;
    answer->owner = owner;
    snprintf(answer->id, sizeof(answer->id), "%s", id);
    if (spl_zip_new(open_output, answer, &answer->zip, &error) < 0)
        status = refuse_failure(ret_problem, &error);
    if (status == 0)
        status = check_outputs(answer, outputs, ret_problem);
    if (status == 0)
        status = add_outputs(answer->zip, outputs, ret_problem);
    if (status == 0)
        status = add_manifest(manifest, answer->zip, ret_problem);
    if (status < 0)
        free_answer(answer);
    else
        *ret_answer = answer;
    return status;
}

int spl_zip_send(spl_request *request, const char *owner, const char *id,
                 spl_problem *ret_problem) {
    json_auto_t *manifest = NULL, *job = NULL;
    zip_answer *answer = NULL;
    int status = spl_jobs_manifest(request->parts->jobs, owner, id, &manifest, ret_problem);
    if (status == 0)
        status = spl_jobs_get(request->parts->jobs, owner, id, &job, NULL, ret_problem);
    if (status < 0)
        return spl_refuse_job(status, ret_problem);
    spl_request_note_read(request, id, "stems.zip");
    status = make_answer(request, owner, id, manifest, job, &answer, ret_problem);
    if (status < 0)
        return spl_refuse_job(status, ret_problem);
    char disposition[1200];
    write_disposition(job, disposition, sizeof(disposition));
    const spl_answer_header headers[] = {{"Content-Disposition", disposition}, {NULL, NULL}};
    struct MHD_Response *response = MHD_create_response_from_callback(
        spl_zip_size(answer->zip), BUFFER_BYTES, read_zip, answer, free_answer);
    if (!response)
        free_answer(answer);
    return spl_answer_response(request, MHD_HTTP_OK, "application/zip", response, headers,
                               ret_problem);
}

int spl_zip_answer(spl_request *request, spl_problem *ret_problem) {
    return spl_zip_send(request, spl_request_owner(request), request->path_id, ret_problem);
}

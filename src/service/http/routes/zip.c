/* SPDX-License-Identifier: MIT
 *
 * Sends all outputs of a job and its manifest as one zip. All files are opened first, so that an
 * answer that has begun can also be completed.
 */
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
    spl_request *request; /* used by the reader only */
    spl_zip *zip;
} zip_answer;

static ssize_t read_zip(void *user, uint64_t position, char *buffer, size_t capacity) {
    (void)position;
    zip_answer *answer = user;
    const ssize_t got = spl_zip_read(answer->zip, buffer, capacity);
    if (got < 0)
        return MHD_CONTENT_READER_END_WITH_ERROR;
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

static int add_outputs(spl_request *request, const char *owner, const json_t *job, spl_zip *zip,
                       spl_problem *ret_problem) {
    size_t i;
    json_t *output;
    json_array_foreach(json_object_get(job, "outputs"), i, output) {
        const char *name = json_string_value(json_object_get(output, "file"));
        spl_job_file file;
        int status = spl_jobs_open_file(request->parts->jobs, owner,
                                        json_string_value(json_object_get(job, "id")), name, &file,
                                        ret_problem);
        if (status < 0)
            return status;
        spl_error error;
        if (spl_zip_add_file(zip, name, file.blob.fd, &error) < 0)
            return refuse_failure(ret_problem, &error);
    }
    return 0;
}

static int add_manifest(const json_t *manifest, spl_zip *zip, spl_problem *ret_problem) {
    SPL_CLEANUP(spl_free_p) char *text = json_dumps(manifest, JSON_INDENT(2));
    spl_error error;
    if (!text)
        return spl_refuse(ret_problem, SPL_PROBLEM_UNAVAILABLE, "The service is out of memory");
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

static int send_zip(spl_request *request, const json_t *job, spl_zip *zip,
                    spl_problem *ret_problem) {
    char disposition[1200];
    write_disposition(job, disposition, sizeof(disposition));
    const spl_answer_header headers[] = {{"Content-Disposition", disposition}, {NULL, NULL}};
    const uint64_t size = spl_zip_size(zip);
    zip_answer *answer = malloc(sizeof(*answer));
    struct MHD_Response *response = NULL;
    if (answer) {
        *answer = (zip_answer){request, zip};
        response =
            MHD_create_response_from_callback(size, BUFFER_BYTES, read_zip, answer, free_answer);
    }
    if (!response) {
        spl_zip_free(zip);
        free(answer);
    }
    return spl_answer_response(request, MHD_HTTP_OK, "application/zip", response, headers,
                               ret_problem);
}

int spl_zip_send(spl_request *request, const char *owner, const char *id,
                 spl_problem *ret_problem) {
    json_auto_t *manifest = NULL, *job = NULL;
    spl_zip *zip = NULL;
    spl_error error;
    int status = spl_jobs_manifest(request->parts->jobs, owner, id, &manifest, ret_problem);
    if (status == 0)
        status = spl_jobs_get(request->parts->jobs, owner, id, &job, NULL, ret_problem);
    if (status < 0)
        return spl_refuse_job(status, ret_problem);
    spl_request_note_read(request, id, "stems.zip");
    if (spl_zip_new(&zip, &error) < 0)
        return refuse_failure(ret_problem, &error);
    status = add_outputs(request, owner, job, zip, ret_problem);
    if (status == 0)
        status = add_manifest(manifest, zip, ret_problem);
    if (status < 0) {
        spl_zip_free(zip);
        return spl_refuse_job(status, ret_problem);
    }
    return send_zip(request, job, zip, ret_problem);
}

int spl_zip_answer(spl_request *request, spl_problem *ret_problem) {
    return spl_zip_send(request, spl_request_owner(request), request->path_id, ret_problem);
}

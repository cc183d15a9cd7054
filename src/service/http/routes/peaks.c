/* SPDX-License-Identifier: MIT
 *
 * GET /v1/jobs/{id}/stems/{file}/peaks.
 */
#include "service/http/connection/answer.h"
#include "service/http/connection/range.h"
#include "service/http/routes/files.h"
#include "service/http/routes/routes.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SAMPLES_DEFAULT 1024
#define SAMPLES_MIN     16
#define SAMPLES_MAX     (1u << 24)
#define FIRST_MAX       (1u << 31)
#define COUNT_MAX       (1u << 20)

static int read_number(const spl_target *target, const char *name, uint64_t least, uint64_t most,
                       uint64_t *number, spl_problem *ret_problem) {
    const char *text = spl_target_parameter(target, name);
    if (!text)
        return 0;
    const size_t digits = strspn(text, "0123456789");
    *number = digits > 0 && digits <= 10 && !text[digits] ? strtoull(text, NULL, 10) : UINT64_MAX;
    if (*number < least || *number > most)
        return spl_refuse_about(ret_problem, SPL_PROBLEM_INVALID, name, NULL,
                                "Give a number from %llu to %llu", (unsigned long long)least,
                                (unsigned long long)most);
    return 0;
}

static int read_query(const spl_target *target, spl_peaks_query *query, spl_problem *ret_problem) {
    int status = read_number(target, "samples_per_peak", SAMPLES_MIN, SAMPLES_MAX,
                             &query->samples_per_peak, ret_problem);
    if (status == 0)
        status = read_number(target, "first", 0, FIRST_MAX, &query->first, ret_problem);
    if (status == 0)
        status = read_number(target, "count", 1, COUNT_MAX, &query->count, ret_problem);
    return status;
}

static int send_peaks(spl_request *request, const spl_job_file *file, const spl_peaks_query *query,
                      spl_problem *ret_problem) {
    char tag[80];
    snprintf(tag, sizeof(tag), "\"%s\"", file->sha256);
    const bool complete = file->blob.complete && file->sha256[0];
    const spl_answer_header headers[] = {
        {"Cache-Control", complete ? "private, no-cache" : "no-store"},
        {complete ? "ETag" : NULL, tag},
        {NULL, NULL}};
    const char *none_match = spl_request_header(request, "If-None-Match");
    if (complete && none_match && spl_etag_listed(none_match, tag))
        return spl_answer_empty(request, MHD_HTTP_NOT_MODIFIED, headers, ret_problem);
    uint8_t *data;
    size_t size;
    const spl_jobs_client client = {request->principal.id, spl_request_is_gone, request};
    int status =
        spl_jobs_peaks(request->parts->jobs, &client, file, query, &data, &size, ret_problem);
    if (status < 0)
        return status;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(size, data, MHD_RESPMEM_MUST_FREE);
    if (!response)
        free(data);
    else if (strcmp(request->method, "HEAD") != 0)
        request->sent_bytes = size;
    return spl_answer_response(request, MHD_HTTP_OK, "application/octet-stream", response, headers,
                               ret_problem);
}

int spl_peaks_answer(spl_request *request, spl_problem *ret_problem) {
    spl_peaks_query query = {.samples_per_peak = SAMPLES_DEFAULT, .count = COUNT_MAX};
    int status = read_query(&request->target, &query, ret_problem);
    if (status < 0)
        return status;
    spl_job_file file;
    status = spl_stem_open(request, spl_request_owner(request), request->path_id,
                           request->path_file, &file, ret_problem);
    if (status < 0)
        return spl_refuse_job(status, ret_problem);
    status = send_peaks(request, &file, &query, ret_problem);
    close(file.blob.fd);
    return status;
}

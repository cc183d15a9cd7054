/* SPDX-License-Identifier: MIT
 *
 * Reads a request that creates a job, in each of its forms: a form with a file, the audio alone
 * with options in the query, or JSON with a source URL.
 */
#ifndef SPL_SERVICE_HTTP_ROUTES_INTAKE_H
#define SPL_SERVICE_HTTP_ROUTES_INTAKE_H

#include "service/http/connection/request.h"

typedef struct spl_intake spl_intake;

/* Reserves the Idempotency-Key and prepares for the body by its Content-Type. `forms_only`: accept
 * only multipart/form-data. The intake becomes the request's state. */
SPL_WARN_UNUSED int spl_intake_start(spl_request *request, bool forms_only,
                                     spl_problem *ret_problem);
SPL_WARN_UNUSED int spl_intake_take(spl_request *request, const char *data, size_t size,
                                    spl_problem *ret_problem);
/* Call it at the end of the body. *ret_fields is an object of everything besides the file; it is
 * the intake's. *ret_texts: its values are all texts, from a form or query. */
SPL_WARN_UNUSED int spl_intake_finish(spl_request *request, json_t **ret_fields, bool *ret_texts,
                                      spl_problem *ret_problem);

typedef struct spl_intake_job {
    const json_t *options;                /* may be NULL */
    const char *metadata;                 /* JSON; may be NULL */
    const char *webhook_url, *source_url; /* may be NULL */
} spl_intake_job;
/* Creates the job from the file and `job`. *ret_job is the caller's. */
SPL_WARN_UNUSED int spl_intake_submit(spl_request *request, const spl_intake_job *job,
                                      json_t **ret_job, bool *ret_replayed,
                                      spl_problem *ret_problem);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Sends the files of jobs: one output, whole or in part, also while it grows; or all of them as a
 * zip.
 */
#ifndef SPL_SERVICE_HTTP_ROUTES_FILES_H
#define SPL_SERVICE_HTTP_ROUTES_FILES_H

#include "service/http/connection/request.h"

/* Opens a file of a job for the answer, which ends when the job loses the file (readers.h). `owner`
 * NULL: any owner. The caller closes the descriptor in *ret_file. Problems: those of
 * spl_jobs_find_file and spl_jobs_open_found. */
SPL_WARN_UNUSED int spl_stem_open(const spl_request *request, const char *owner, const char *id,
                                  const char *name, spl_job_file *ret_file,
                                  spl_problem *ret_problem);
/* Problems: those of spl_stem_open, RANGE. */
SPL_WARN_UNUSED int spl_file_send(spl_request *request, const char *owner, const char *id,
                                  const char *file, spl_problem *ret_problem);
/* The job must have succeeded. Problems: those of spl_stem_open. */
SPL_WARN_UNUSED int spl_zip_send(spl_request *request, const char *owner, const char *id,
                                 spl_problem *ret_problem);

#endif

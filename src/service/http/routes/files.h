/* SPDX-License-Identifier: MIT
 *
 * Sends the files of jobs: one output, whole or in part, also while it grows; or all of them as a
 * zip.
 */
#ifndef SPL_SERVICE_HTTP_ROUTES_FILES_H
#define SPL_SERVICE_HTTP_ROUTES_FILES_H

#include "service/http/connection/request.h"

/* `owner` NULL: any owner. Problems: those of spl_jobs_open_file, RANGE, UNAVAILABLE. */
SPL_WARN_UNUSED int spl_file_send(spl_request *request, const char *owner, const char *id,
                                  const char *file, spl_problem *ret_problem);
/* The job must have succeeded. Problems: those of spl_jobs_open_file, UNAVAILABLE. */
SPL_WARN_UNUSED int spl_zip_send(spl_request *request, const char *owner, const char *id,
                                 spl_problem *ret_problem);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Songs that a client gives as a URL.
 */
#ifndef SPL_SERVICE_JOBS_SOURCE_H
#define SPL_SERVICE_JOBS_SOURCE_H

#include "service/jobs/state.h"

/* Fetches submission->source_url. *ret_upload is owned by the caller. */
SPL_WARN_UNUSED int spl_source_fetch(spl_jobs *jobs, const spl_submission *submission,
                                     spl_upload **ret_upload, spl_problem *ret_problem);

#endif

/* SPDX-License-Identifier: MIT
 *
 * An upload while its file is received and examined. jobs.h declares how requests fill it.
 */
#ifndef SPL_SERVICE_JOBS_UPLOAD_H
#define SPL_SERVICE_JOBS_UPLOAD_H

#include "service/jobs/state.h"

struct spl_upload {
    spl_jobs *jobs;
    spl_upload *next; /* in spl_jobs.uploads */
    char owner[64];
    uint64_t room_bytes;     /* left in the owner's quota when the upload was opened */
    uint64_t reserved_bytes; /* part of room_bytes; protected by the lock of `jobs` */
    char *name;              /* sanitized, for display; NULL: none */
    char *type;              /* as declared; NULL: none */
    spl_blob_writer writer;
    struct spl_digest *digest;
    uint64_t bytes; /* received */
    spl_space_grant space;
    double started_s;
    char sha256[65]; /* "" until spl_upload_finish */
};
/* Ends the upload and sets `sha256`. May be called again. */
SPL_WARN_UNUSED int spl_upload_finish(spl_upload *upload, spl_problem *ret_problem);

/* Refuses a job because of `limit`: QUEUE_FULL or QUOTA. */
int spl_jobs_refuse_limit(spl_problem *ret_problem, spl_store_limit limit);

#endif

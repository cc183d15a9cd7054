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
    uint64_t quota_bytes;    /* what the owner may store */
    uint64_t room_bytes;     /* what its jobs had left of that at `room_read_s` */
    double room_read_s;      /* by spl_now_s */
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

/* The upload stops counting in the owner's quota, because its job does instead. */
void spl_upload_becomes_job(spl_upload *upload);

/* Refuses a job because of `limit`: QUEUE_FULL or QUOTA. */
int spl_jobs_refuse_limit(spl_problem *ret_problem, spl_store_limit limit);

#endif

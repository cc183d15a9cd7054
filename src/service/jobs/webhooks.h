/* SPDX-License-Identifier: MIT
 *
 * The threads that deliver webhooks, and what they deliver. `user` is the spl_jobs.
 */
#ifndef SPL_SERVICE_JOBS_WEBHOOKS_H
#define SPL_SERVICE_JOBS_WEBHOOKS_H

#include "service/jobs/state.h"

void *spl_webhooks_run(void *user);
/* Prepares the delivery of the webhook of `job`, to be stored when the job ends. Returns false if
 * the job has no webhook. The strings belong to the job. */
bool spl_webhook_of(const spl_job *job, spl_delivery *ret_delivery);

#endif

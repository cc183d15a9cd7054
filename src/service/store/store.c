/* SPDX-License-Identifier: MIT
 *
 * Code that all implementations of the job store share.
 */
#include "service/store/store.h"

#include <string.h>

static const char *const state_texts[] = {
    [SPL_JOB_QUEUED] = "queued", [SPL_JOB_RUNNING] = "running",   [SPL_JOB_SUCCEEDED] = "succeeded",
    [SPL_JOB_FAILED] = "failed", [SPL_JOB_CANCELED] = "canceled", [SPL_JOB_EXPIRED] = "expired",
};

const char *spl_job_state_text(spl_job_state state) {
    return state_texts[state];
}

bool spl_job_state_from_text(const char *text, spl_job_state *ret_state) {
    for (size_t i = 0; i < SPL_ARRAY_SIZE(state_texts); i++) {
        if (strcmp(text, state_texts[i]) == 0) {
            *ret_state = (spl_job_state)i;
            return true;
        }
    }
    return false;
}

void spl_job_free(spl_job *job) {
    char *owned[] = {job->owner,        job->options,      job->model,       job->model_sha256,
                     job->input_name,   job->input_sha256, job->cache_key,   job->metadata,
                     job->webhook_url,  job->request_id,   job->traceparent, job->error_code,
                     job->error_detail, job->warning,      job->result};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(owned); i++)
        free(owned[i]);
    free(job->outputs);
    *job = (spl_job){0};
}

void spl_delivery_free(spl_delivery *delivery) {
    free(delivery->owner);
    free(delivery->url);
    free(delivery->payload);
    *delivery = (spl_delivery){0};
}

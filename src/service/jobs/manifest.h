/* SPDX-License-Identifier: MIT
 *
 * The manifest of a job that succeeded.
 */
#ifndef SPL_SERVICE_JOBS_MANIFEST_H
#define SPL_SERVICE_JOBS_MANIFEST_H

#include "service/jobs/state.h"

/* The input of a job's manifest. */
typedef struct spl_job_manifest_facts {
    const spl_job *job;
    const spl_job_output *outputs;
    size_t output_count;
    const spl_model_info *model;
    const spl_pipeline_result *result;
    const spl_timings *timings;
} spl_job_manifest_facts;
/* The phases of a job's run time besides decoding (timings->read_s). */
static inline double spl_separating_s(const spl_timings *timings) {
    return timings->forward_s + timings->networks_s + timings->masks_s + timings->inverse_s;
}
static inline double spl_encoding_s(const spl_timings *timings, const spl_pipeline_result *result) {
    return SPL_MAX(result->seconds - timings->read_s - spl_separating_s(timings), 0);
}
/* JSON text, owned by the caller. */
SPL_WARN_UNUSED int spl_job_manifest_write(const spl_job_manifest_facts *facts, char **ret_text,
                                           spl_error *ret_error);

#endif

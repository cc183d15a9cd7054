/* SPDX-License-Identifier: MIT
 *
 * What a client asks for, from JSON or form fields: the command's options under the command's names.
 *
 *     {"model": "4stems", "stems": ["vocals"], "mixes": {"karaoke": ["drums", "bass", "other"]}, "codec": "flac",
 *      "bitrate": "320k", "bit_depth": "24", "bandwidth": "full", "mwf": false, "keep_format": false, "offset": 0, "duration": 30}
 */
#ifndef SPL_SERVICE_JOBS_OPTIONS_H
#define SPL_SERVICE_JOBS_OPTIONS_H

#include "pipeline/pipeline.h"
#include "service/problem.h"

#include <jansson.h>

typedef struct spl_job_options {
    char *model;
    json_t *stems; /* array of names, or NULL: as the command without --stems */
    json_t *mixes; /* object: name to array of stems, or NULL */
    spl_codec codec;
    spl_sample_format sample_format;
    unsigned bitrate_bps;
    bool has_bandwidth;
    spl_bandwidth bandwidth;
    bool wiener, keep_format;
    double offset_s, duration_s;
} spl_job_options;

/* Checks each value as the command does; INVALID names the field. Unknown keys are INVALID too. `default_model` is used when none is named. */
SPL_WARN_UNUSED int spl_job_options_parse(const json_t *object, const char *default_model,
                                          spl_job_options *ret_options, spl_problem *ret_problem);
/* Canonical JSON: the same options give the same text, whatever their order and spelling. The caller's. */
SPL_WARN_UNUSED int spl_job_options_text(const spl_job_options *options, char **ret_text,
                                         spl_error *ret_error);
void spl_job_options_free(spl_job_options *options);

#endif

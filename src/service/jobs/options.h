/* SPDX-License-Identifier: MIT
 *
 * What a client asks for, from JSON or form fields: the command's options under the command's
 * names.
 *
 *     {"model": "4stems", "stems": ["vocals"],
 *      "mixes": {"karaoke": ["drums", "bass", "other"]}, "codec": "flac", "bitrate": "320k",
 *      "bit_depth": "24", "bandwidth": "full", "mwf": false, "keep_format": false,
 *      "offset": 0, "duration": 30}
 *
 * Every value may also be text, as forms and queries give it: "stems": "vocals,drums", "mixes":
 * "karaoke=drums+bass+other" (several separated by commas), "mwf": "true", "offset": "7.5".
 */
#ifndef SPL_SERVICE_JOBS_OPTIONS_H
#define SPL_SERVICE_JOBS_OPTIONS_H

#include "app/request/parts.h"
#include "service/core/problem.h"

#include <jansson.h>

/* Bytes of a mix's name: letters, digits, '.', '_' and '-', not starting with a '.'. */
#define SPL_MIX_NAME_MAX_BYTES 48

typedef struct spl_job_options {
    char *model;
    json_t *stems; /* array of names, sorted; NULL: as the command without --stems */
    json_t *mixes; /* object: name to sorted array of stems; or NULL */
    spl_codec codec;
    spl_sample_format sample_format;
    unsigned bitrate_bps;
    bool has_bandwidth;
    spl_bandwidth bandwidth;
    bool wiener, keep_format;
    double offset_s, duration_s;
} spl_job_options;

/* Checks each value as the command does; INVALID names the field. Unknown keys are INVALID too.
 * `object` NULL: all defaults; `default_model` is used when none is named. */
SPL_WARN_UNUSED int spl_job_options_parse(const json_t *object, const char *default_model,
                                          spl_job_options *ret_options, spl_problem *ret_problem);

/* Canonical JSON: the same options give the same text, whatever their order and spelling, and
 * parsing it gives the same options. The caller's. */
SPL_WARN_UNUSED int spl_job_options_text(const spl_job_options *options, char **ret_text,
                                         spl_error *ret_error);

/* The stems and mixes of a model that are asked for. Errors: ARGUMENT (names what the model lacks;
 * or two of them would have one file name), MEMORY. */
SPL_WARN_UNUSED int spl_job_options_parts(const spl_job_options *options,
                                          const spl_model_info *model, spl_parts *ret_parts,
                                          spl_error *ret_error);

/* The file of the part `name`: "vocals.wav"; what URLs and blobs can't hold becomes '_'. */
void spl_job_file_name(const char *name, spl_codec codec, char ret_file[80]);

void spl_job_options_free(spl_job_options *options);

#endif

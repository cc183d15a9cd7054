/* SPDX-License-Identifier: MIT
 *
 * Options of a job, from JSON or form fields. They have the names of the command's options.
 *
 *     {"model": "4stems", "stems": ["vocals"],
 *      "mixes": {"karaoke": ["drums", "bass", "other"]}, "codec": "flac", "bitrate": "320k",
 *      "bit_depth": "24", "bandwidth": "full", "mwf": false, "keep_format": false,
 *      "offset": 0, "duration": 30}
 *
 * Every value may also be a string, as in forms and queries: "stems": "vocals,drums", "mixes":
 * "karaoke=drums+bass+other" (several separated by commas), "mwf": "true", "offset": "7.5".
 */
#ifndef SPL_SERVICE_JOBS_OPTIONS_H
#define SPL_SERVICE_JOBS_OPTIONS_H

#include "app/request/parts.h"
#include "service/core/problem.h"

#include <jansson.h>

/* Maximum length of a mix's name: letters, digits, '.', '_' and '-', not starting with '.'. */
#define SPL_MIX_NAME_MAX_BYTES 48

typedef struct spl_job_options {
    char *model;
    json_t *stems; /* sorted array of names; NULL: as the command without --stems */
    json_t *mixes; /* object: name to sorted array of stems; or NULL */
    spl_codec codec;
    spl_sample_format sample_format;
    unsigned bitrate_bps;
    bool has_bandwidth;
    spl_bandwidth bandwidth;
    bool wiener, keep_format;
    double offset_s, duration_s;
} spl_job_options;

/* Validates each value as the command does. INVALID names the field; unknown keys are INVALID too.
 * `object` NULL: all defaults. `default_model` is used if no model is named. */
SPL_WARN_UNUSED int spl_job_options_parse(const json_t *object, const char *default_model,
                                          spl_job_options *ret_options, spl_problem *ret_problem);

/* Canonical JSON: equal options give equal text, whatever their order and spelling, and parsing the
 * text gives the same options. *ret_text is owned by the caller. */
SPL_WARN_UNUSED int spl_job_options_text(const spl_job_options *options, char **ret_text,
                                         spl_error *ret_error);

/* The requested stems and mixes of a model. Errors: ARGUMENT (the model lacks a stem, which the
 * message names, or two parts would have the same file name), MEMORY. */
SPL_WARN_UNUSED int spl_job_options_parts(const spl_job_options *options,
                                          const spl_model_info *model, spl_parts *ret_parts,
                                          spl_error *ret_error);

/* The file name of the part `name`: "vocals.wav". Characters that URLs and blob names can't hold
 * become '_'. */
void spl_job_file_name(const char *name, spl_codec codec, char ret_file[80]);

void spl_job_options_free(spl_job_options *options);

#endif

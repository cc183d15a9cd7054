/* SPDX-License-Identifier: MIT
 *
 * The options that a client may give, and the names of a job's files. The options themselves are
 * those of the command (app/request/separation.h).
 */
#ifndef SPL_SERVICE_JOBS_OPTIONS_H
#define SPL_SERVICE_JOBS_OPTIONS_H

#include "app/request/separation_json.h"
#include "service/core/problem.h"

/* Maximum length of a mix's name: letters, digits, '.', '_' and '-', not starting with '.'. */
#define SPL_MIX_NAME_MAX_BYTES 48

/* Reads a client's options. INVALID names the field; unknown keys are INVALID too. `object` NULL:
 * all defaults. `default_model` is used if no model is named. */
SPL_WARN_UNUSED int spl_job_options_parse(const json_t *object, const char *default_model,
                                          spl_separation *ret_separation, spl_problem *ret_problem);

/* As spl_separation_select. Errors: ARGUMENT also if two parts would have the same file name. */
SPL_WARN_UNUSED int spl_job_options_select(const spl_separation *separation,
                                           const spl_model_info *model, spl_parts *ret_parts,
                                           spl_error *ret_error);

/* The file name of the part `name`: "vocals.wav". Characters that URLs and blob names can't hold
 * become '_'. */
void spl_job_file_name(const char *name, spl_codec codec, char ret_file[80]);

#endif

/* SPDX-License-Identifier: MIT
 *
 * The models that the service has: found by name as the command finds them, opened at first use, kept while memory for them is wanted.
 */
#ifndef SPL_SERVICE_JOBS_MODELS_H
#define SPL_SERVICE_JOBS_MODELS_H

#include "base/error.h"

#include <jansson.h>
#include <spleeter/spleeter.h>

typedef struct spl_models spl_models;

SPL_WARN_UNUSED int spl_models_open(spl_models **ret_models, spl_error *ret_error);
void spl_models_free(spl_models *models);

/* A model under a name: its SHA-256 is that of its manifest.json, which holds those of its nets. */
typedef struct spl_models_entry {
    spl_model_choice choice;
    char sha256[65];
} spl_models_entry;
/* NOT_FOUND when there is none of that name; paths and configurations are refused (ARGUMENT): clients name models, not files. */
SPL_WARN_UNUSED int spl_models_find(spl_models *models, const char *name,
                                    spl_models_entry *ret_entry, spl_error *ret_error);
/* Opens it, or takes the one that is open; CHECKSUM when it is not the one of `sha256` any more. *ret_model: spl_model_unref. */
SPL_WARN_UNUSED int spl_models_use(spl_models *models, const char *name, const char *sha256,
                                   spl_model **ret_model, spl_models_entry *ret_entry,
                                   spl_error *ret_error);
/* For GET /v1/models: an array of objects with name, stems, sha256, licence, source, bandwidth ... */
SPL_WARN_UNUSED int spl_models_describe(spl_models *models, json_t **ret_array,
                                        spl_error *ret_error);

#endif

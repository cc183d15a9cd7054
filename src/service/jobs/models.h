/* SPDX-License-Identifier: MIT
 *
 * The models that the service has: found by name as the command finds them, opened at first use.
 * The two that were used last stay open.
 */
#ifndef SPL_SERVICE_JOBS_MODELS_H
#define SPL_SERVICE_JOBS_MODELS_H

#include "base/error.h"

#include <jansson.h>
#include <spleeter/spleeter.h>

typedef struct spl_models spl_models;

/* Looks where the command looks (app/models/search_path.h). All functions are thread-safe. */
SPL_WARN_UNUSED int spl_models_open(spl_models **ret_models, spl_error *ret_error);
void spl_models_free(spl_models *models);

/* A model under a name, as its manifest.json describes it: that file's SHA-256 is the model's, for
 * it holds those of the nets. */
typedef struct spl_models_entry {
    spl_model_choice choice;
    char sha256[65];
    char files_id[65]; /* changes when a file of its nets is replaced or written */
    char name[256];    /* of the model folder's manifest: "spleeter-2stems" */
    unsigned stem_count;
    char stems[SPL_STEMS_MAX][208];
} spl_models_entry;

/* NOT_FOUND when there is none of that name, FORMAT when its manifest is damaged; paths and
 * configurations are refused (ARGUMENT): clients name models, not files. */
SPL_WARN_UNUSED int spl_models_find(spl_models *models, const char *name,
                                    spl_models_entry *ret_entry, spl_error *ret_error);

/* Whether the model can be opened: its files are read once after each change of them, and not while
 * it is open. Errors as for spl_model_verify. */
SPL_WARN_UNUSED int spl_models_check(spl_models *models, const spl_models_entry *entry,
                                     spl_error *ret_error);

/* Name and stems of `entry`, which must outlive the result; all else is zero. */
void spl_models_entry_info(const spl_models_entry *entry, spl_model_info *ret_info);

/* Opens it, or takes the one that is open; CHECKSUM when it is not the one of `sha256` any more.
 * *ret_model: spl_model_unref. */
SPL_WARN_UNUSED int spl_models_use(spl_models *models, const char *name, const char *sha256,
                                   spl_model **ret_model, spl_models_entry *ret_entry,
                                   spl_error *ret_error);

/* For GET /v1/models: an array of objects with name, stems, bandwidth, sha256, licence, source: for
 * each folder of Deezer's weights the three names that the command knows. Folders with a damaged
 * manifest are left out. */
SPL_WARN_UNUSED int spl_models_describe(spl_models *models, json_t **ret_array,
                                        spl_error *ret_error);

#endif

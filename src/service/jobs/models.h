/* SPDX-License-Identifier: MIT
 *
 * The installed models. They are found by name as in the command and opened at first use; the two
 * most recently used stay open.
 */
#ifndef SPL_SERVICE_JOBS_MODELS_H
#define SPL_SERVICE_JOBS_MODELS_H

#include "base/error.h"

#include <jansson.h>
#include <spleeter/spleeter.h>

typedef struct spl_models spl_models;

/* Uses the command's search path (app/models/search_path.h). All functions are thread-safe. */
SPL_WARN_UNUSED int spl_models_open(spl_models **ret_models, spl_error *ret_error);
void spl_models_free(spl_models *models);

/* A model under a name, as its manifest.json describes it. The SHA-256 of that file identifies the
 * model, because the file contains the SHA-256 of each network. */
typedef struct spl_models_entry {
    spl_model_choice choice;
    char sha256[65];
    char files_id[65]; /* changes when a file of its networks is replaced or written */
    char name[256];    /* from the manifest: "spleeter-2stems" */
    unsigned stem_count;
    char stems[SPL_STEMS_MAX][208];
} spl_models_entry;

/* Errors: NOT_FOUND (no model has that name), FORMAT (its manifest is damaged), ARGUMENT (`name` is
 * a path or a configuration file: clients may name models, not files). */
SPL_WARN_UNUSED int spl_models_find(spl_models *models, const char *name,
                                    spl_models_entry *ret_entry, spl_error *ret_error);

/* Checks that the model can be opened. Its files are read once after each change, and not at all
 * while the model is open. Errors as for spl_model_verify. */
SPL_WARN_UNUSED int spl_models_check(spl_models *models, const spl_models_entry *entry,
                                     spl_error *ret_error);

/* Sets name and stems from `entry`, which must outlive the result; all other members are zero. */
void spl_models_entry_info(const spl_models_entry *entry, spl_model_info *ret_info);

/* Opens the model, or returns the one that is already open. CHECKSUM: its manifest no longer has
 * `sha256`. Release *ret_model with spl_model_unref. */
SPL_WARN_UNUSED int spl_models_use(spl_models *models, const char *name, const char *sha256,
                                   spl_model **ret_model, spl_models_entry *ret_entry,
                                   spl_error *ret_error);

/* For GET /v1/models: an array of objects with name, stems, bandwidth, as_spleeter, sha256, licence
 * and source. A folder of Deezer's weights has one entry for each of the three names that the
 * command accepts. Folders with a damaged manifest are left out. */
SPL_WARN_UNUSED int spl_models_describe(spl_models *models, json_t **ret_array,
                                        spl_error *ret_error);

#endif

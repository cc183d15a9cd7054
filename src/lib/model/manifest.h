/* SPDX-License-Identifier: MIT
 *
 * Reads and writes manifest.json of a model folder. docs/models.md describes it.
 */
#ifndef SPL_LIB_MODEL_MANIFEST_H
#define SPL_LIB_MODEL_MANIFEST_H

#include "base/error.h"

#include <jansson.h>
#include <spleeter/model.h>

#define SPL_MANIFEST_NAME "manifest.json"

/* Parses the manifest `text`. Sets all of *ret_info except path and the properties of the networks
 * (activations, parameters). The strings belong to *ret_root, which the caller owns
 * (json_decref). */
SPL_WARN_UNUSED int spl_manifest_parse(const void *text, size_t size, const char *path,
                                       json_t **ret_root, spl_model_info *ret_info,
                                       spl_error *ret_error);

/* Reads the manifest of the model folder `folder`; results as for spl_manifest_parse. */
SPL_WARN_UNUSED int spl_manifest_load(const char *folder, json_t **ret_root,
                                      spl_model_info *ret_info, spl_error *ret_error);

/* Writes `info` as a manifest to the file `path`. */
SPL_WARN_UNUSED int spl_manifest_write(const char *path, const spl_model_info *info,
                                       spl_error *ret_error);

#endif

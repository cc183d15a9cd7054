/* SPDX-License-Identifier: MIT
 *
 * Spleeter's JSON configuration of a model.
 */
#ifndef SPL_LIB_MODEL_SPLEETER_CONFIG_H
#define SPL_LIB_MODEL_SPLEETER_CONFIG_H

#include "lib/networks/unet/network.h"

#include <jansson.h>

typedef struct spl_spleeter_config {
    json_t *root;          /* owns the strings; NULL in the official configurations */
    spl_model_info info;   /* architecture, settings, names and activations of the stems */
    const char *model_dir; /* NULL in the official configurations */
    unsigned filters[SPL_UNET_DEPTH];
} spl_spleeter_config;

/* Parses the configuration `text`. The caller owns *ret_config (spl_spleeter_config_clear). */
SPL_WARN_UNUSED int spl_spleeter_config_parse(const void *text, size_t size, const char *path,
                                              spl_spleeter_config *ret_config,
                                              spl_error *ret_error);

/* Parses the configuration file at `path`; ownership as for spl_spleeter_config_parse. */
SPL_WARN_UNUSED int spl_spleeter_config_load(const char *path, spl_spleeter_config *ret_config,
                                             spl_error *ret_error);

/* Gets the configuration of Deezer's released model with `stem_count` stems. Errors: UNSUPPORTED
 * when there is none. */
SPL_WARN_UNUSED int spl_spleeter_config_official(unsigned stem_count,
                                                 spl_spleeter_config *ret_config,
                                                 spl_error *ret_error);

/* Frees the members of the configuration. */
void spl_spleeter_config_clear(spl_spleeter_config *config);

#endif

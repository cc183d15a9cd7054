/* SPDX-License-Identifier: MIT
 *
 * Spleeter's JSON configuration of a model.
 */
#ifndef SPL_LIB_MODEL_SPLEETER_CONFIG_H
#define SPL_LIB_MODEL_SPLEETER_CONFIG_H

#include "lib/networks/unet/net.h"

#include <jansson.h>

typedef struct spl_spleeter_config {
    json_t *root;          /* owns the strings; NULL in the official configurations */
    spl_model_info info;   /* architecture, settings, stems' names and activations */
    const char *model_dir; /* NULL in the official configurations */
    unsigned filters[SPL_UNET_DEPTH];
} spl_spleeter_config;

/* Reads the configuration `text`. The caller owns *ret_config (spl_spleeter_config_clear). */
SPL_WARN_UNUSED int spl_spleeter_config_parse(const void *text, size_t size, const char *path,
                                              spl_spleeter_config *ret_config,
                                              spl_error *ret_error);

/* Reads the configuration file at `path`. */
SPL_WARN_UNUSED int spl_spleeter_config_load(const char *path, spl_spleeter_config *ret_config,
                                             spl_error *ret_error);

/* The configuration of Deezer's released model of `stem_count` stems. Errors: UNSUPPORTED when
 * there is none. */
SPL_WARN_UNUSED int spl_spleeter_config_official(unsigned stem_count,
                                                 spl_spleeter_config *ret_config,
                                                 spl_error *ret_error);

/* Frees what the configuration owns. */
void spl_spleeter_config_clear(spl_spleeter_config *config);

#endif

/* SPDX-License-Identifier: MIT
 *
 * The settings that manifests and Spleeter's configurations share: segment size, transform, masks.
 */
#ifndef SPL_LIB_MODEL_PARAMETERS_H
#define SPL_LIB_MODEL_PARAMETERS_H

#include "base/error.h"

#include <jansson.h>
#include <spleeter/model.h>

/* The keys that differ between the two formats. */
typedef struct spl_settings_keys {
    const char *frames, *bins, *sample_rate;
} spl_settings_keys;

/* Sets frames, bins, mask_extension and separation_exponent of *info. Checks that sample rate,
 * frame length and frame step are those of the engine. */
SPL_WARN_UNUSED int spl_settings_read(const json_t *object, const spl_settings_keys *keys,
                                      const char *path, spl_model_info *info, spl_error *ret_error);

/* Adds the same keys to `object`; returns false when out of memory. */
SPL_WARN_UNUSED bool spl_settings_write(json_t *object, const spl_settings_keys *keys,
                                        const spl_model_info *info);

#define SPL_STEM_NAME_MAX_BYTES 200
#define SPL_FILE_NAME_MAX_BYTES 255

/* Whether `name` has 1 to `max_bytes` bytes, no '/', '\' or control characters, and does not start
 * with '.'. */
bool spl_is_plain_name(const char *name, size_t max_bytes);

/* Succeeds if `array`, the value of `key`, is an array with a supported number of stems. */
SPL_WARN_UNUSED int spl_check_stem_array(const json_t *array, const char *key, const char *path,
                                         spl_error *ret_error);

/* Succeeds if the stems and groups have unique plain names. */
SPL_WARN_UNUSED int spl_check_stem_names(const spl_model_info *info, const char *path,
                                         spl_error *ret_error);

#endif

/* SPDX-License-Identifier: MIT
 *
 * The settings that manifests and Spleeter's configurations share.
 */
#include "lib/model/parameters.h"

#include "lib/formats/json.h"

#include <spleeter/separate.h>
#include <string.h>

#define SEGMENT_MULTIPLE 64 /* the U-Net halves frames and bins six times */
#define FRAMES_MAX       8192
#define BINS_MAX         2048
#define FRAME_LENGTH     4096
#define FRAME_STEP       1024
#define EXPONENT_MAX     16
#define STEMS_MIN        2

static const char *const mask_extension_names[] = {
    [SPL_MASK_EXTENSION_ZEROS] = "zeros",
    [SPL_MASK_EXTENSION_AVERAGE] = "average",
};

static int read_segment_size(const json_t *object, const char *key, unsigned max, const char *path,
                             unsigned *ret_size, spl_error *ret_error) {
    unsigned size;
    int status = spl_json_get_unsigned(object, key, SEGMENT_MULTIPLE, max, path, &size, ret_error);
    if (status < 0)
        return status;
    if (size % SEGMENT_MULTIPLE != 0)
        return spl_fail(ret_error, SPL_E_UNSUPPORTED, "%s has %u as \"%s\", not a multiple of %d",
                        path, size, key, SEGMENT_MULTIPLE);
    *ret_size = size;
    return 0;
}

int spl_settings_read(const json_t *object, const spl_settings_keys *keys, const char *path,
                      spl_model_info *info, spl_error *ret_error) {
    unsigned extension = 0;
    int status;
    if ((status = read_segment_size(object, keys->frames, FRAMES_MAX, path, &info->frames,
                                    ret_error)) < 0 ||
        (status = read_segment_size(object, keys->bins, BINS_MAX, path, &info->bins, ret_error)) <
            0 ||
        (status = spl_json_expect_unsigned(object, keys->sample_rate, SPL_SAMPLE_RATE_HZ, path,
                                           ret_error)) < 0 ||
        (status = spl_json_expect_unsigned(object, "frame_length", FRAME_LENGTH, path, ret_error)) <
            0 ||
        (status = spl_json_expect_unsigned(object, "frame_step", FRAME_STEP, path, ret_error)) <
            0 ||
        (status = spl_json_get_choice(object, "mask_extension", mask_extension_names,
                                      SPL_ARRAY_SIZE(mask_extension_names), path, &extension,
                                      ret_error)) < 0)
        return status;
    info->mask_extension = (spl_mask_extension)extension;

    const json_t *exponent = json_object_get(object, "separation_exponent");
    if (!json_is_number(exponent))
        return spl_fail(ret_error, SPL_E_FORMAT, "%s has no number \"separation_exponent\"", path);
    info->separation_exponent = json_number_value(exponent);
    if (!(info->separation_exponent > 0 && info->separation_exponent <= EXPONENT_MAX))
        return spl_fail(ret_error, SPL_E_UNSUPPORTED,
                        "%s has %g as \"separation_exponent\"; above 0 to %d is supported", path,
                        info->separation_exponent, EXPONENT_MAX);
    return 0;
}

bool spl_settings_write(json_t *object, const spl_settings_keys *keys, const spl_model_info *info) {
    return json_object_set_new(object, keys->frames, json_integer(info->frames)) == 0 &&
           json_object_set_new(object, keys->bins, json_integer(info->bins)) == 0 &&
           json_object_set_new(object, keys->sample_rate, json_integer(SPL_SAMPLE_RATE_HZ)) == 0 &&
           json_object_set_new(object, "frame_length", json_integer(FRAME_LENGTH)) == 0 &&
           json_object_set_new(object, "frame_step", json_integer(FRAME_STEP)) == 0 &&
           json_object_set_new(object, "mask_extension",
                               json_string(mask_extension_names[info->mask_extension])) == 0 &&
           json_object_set_new(object, "separation_exponent",
                               json_real(info->separation_exponent)) == 0;
}

bool spl_is_plain_name(const char *name, size_t max_bytes) {
    size_t length = strlen(name);
    bool plain = length >= 1 && length <= max_bytes && name[0] != '.';
    for (const char *c = name; *c; c++)
        plain = plain && (unsigned char)*c >= ' ' && *c != 0x7f && *c != '/' && *c != '\\';
    return plain;
}

int spl_check_stem_array(const json_t *array, const char *key, const char *path,
                         spl_error *ret_error) {
    if (!json_is_array(array))
        return spl_fail(ret_error, SPL_E_FORMAT, "%s has no array \"%s\"", path, key);
    if (json_array_size(array) < STEMS_MIN || json_array_size(array) > SPL_STEMS_MAX)
        return spl_fail(ret_error, SPL_E_UNSUPPORTED, "%s has %zu stems; %d to %d are supported",
                        path, json_array_size(array), STEMS_MIN, SPL_STEMS_MAX);
    return 0;
}

int spl_check_stem_names(const spl_model_info *info, const char *path, spl_error *ret_error) {
    for (unsigned i = 0; i < info->stem_count + info->group_count; i++) {
        if (!spl_is_plain_name(info->stems[i].name, SPL_STEM_NAME_MAX_BYTES))
            return spl_fail(
                ret_error, SPL_E_FORMAT,
                "%s: \"%.100s\" cannot be a stem's name, because files are named after it", path,
                info->stems[i].name);
        for (unsigned j = 0; j < i; j++) {
            if (strcmp(info->stems[i].name, info->stems[j].name) == 0)
                return spl_fail(ret_error, SPL_E_FORMAT, "%s names the stem %s twice", path,
                                info->stems[i].name);
        }
    }
    return 0;
}

/* SPDX-License-Identifier: MIT
 *
 * Fuzzes Spleeter's configuration with arbitrary bytes. An accepted configuration is within the
 * engine's limits.
 */
#include "lib/model/spleeter_config.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    spl_spleeter_config config;
    if (spl_spleeter_config_parse(data, size, "input", &config, NULL) < 0)
        return 0;
    const spl_model_info *info = &config.info;
    if (info->frames % 64 != 0 || info->bins % 64 != 0 || info->bins < 64 || info->bins > 2048 ||
        info->stem_count < 2 || info->stem_count > SPL_STEMS_MAX || !config.model_dir)
        __builtin_trap();
    for (unsigned i = 0; i < info->stem_count; i++) {
        if (strchr(info->stems[i].name, '/') || info->stems[i].name[0] == '.')
            __builtin_trap();
    }
    for (unsigned i = 0; i < SPL_UNET_DEPTH; i++) {
        if (config.filters[i] < 1 || config.filters[i] > SPL_UNET_FILTERS_MAX)
            __builtin_trap();
    }
    spl_spleeter_config_clear(&config);
    return 0;
}

/* SPDX-License-Identifier: MIT
 *
 * manifest.json: any bytes. A manifest that is accepted is within what the
 * engine can serve, and names files of its own folder only.
 */
#include "model/manifest.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    json_t *root;
    spl_model_info info;
    if (spl_manifest_parse(data, size, "input", &root, &info, NULL) < 0)
        return 0;
    if (info.frames % 64 != 0 || info.bins % 64 != 0 || info.bins < 64 || info.bins > 2048 ||
        info.stem_count < 2 || info.stem_count > SPL_STEMS_MAX || !(info.separation_exponent > 0))
        __builtin_trap();
    for (unsigned i = 0; i < info.stem_count; i++) {
        const spl_stem_info *stem = &info.stems[i];
        if (strchr(stem->net, '/') || stem->net[0] == '.' || strchr(stem->name, '/') ||
            stem->name[0] == '.' || strlen(stem->sha256) != 64)
            __builtin_trap();
    }
    json_decref(root);
    return 0;
}

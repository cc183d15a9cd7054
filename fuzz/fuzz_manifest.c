/* SPDX-License-Identifier: MIT
 *
 * Fuzzes manifest.json with arbitrary bytes. An accepted manifest is within the engine's limits,
 * and names only files in its own folder and in sibling folders.
 */
#include "lib/model/manifest.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    json_t *root;
    spl_model_info info;
    if (spl_manifest_parse(data, size, "input", &root, &info, NULL) < 0)
        return 0;
    if (info.frames % 64 != 0 || info.bins % 64 != 0 || info.bins < 64 || info.bins > 2048 ||
        info.stem_count < 2 || info.stem_count + info.group_count > SPL_STEMS_MAX ||
        !(info.separation_exponent > 0))
        __builtin_trap();
    for (unsigned i = 0; i < info.stem_count + info.group_count; i++) {
        const spl_stem_info *stem = &info.stems[i];
        const char *slash = strrchr(stem->network, '/');
        const bool beside = slash && strncmp(stem->network, "../", 3) == 0 &&
                            stem->network + 2 < slash &&
                            !memchr(stem->network + 3, '/', (size_t)(slash - stem->network - 3));
        const char *name = slash ? slash + 1 : stem->network;
        if ((slash && (!beside || stem->network[3] == '.')) || !*name || *name == '.' ||
            strchr(stem->name, '/') || stem->name[0] == '.' || strlen(stem->sha256) != 64)
            __builtin_trap();
    }
    json_decref(root);
    return 0;
}

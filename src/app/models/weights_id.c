/* SPDX-License-Identifier: MIT
 *
 * One checksum over all networks of a model.
 */
#include "app/models/weights_id.h"

#include "base/digest.h"
#include "base/file.h"

#include <string.h>

int spl_weights_id(const spl_model_info *info, char ret_hex[65], spl_error *ret_error) {
    char all[64 * SPL_STEMS_MAX];
    size_t size = 0;
    for (unsigned i = 0; i < info->stem_count; i++) {
        if (strlen(info->stems[i].sha256) != 64) {
            ret_hex[0] = '\0';
            return 0;
        }
        memcpy(all + size, info->stems[i].sha256, 64);
        size += 64;
    }
    return spl_sha256_hex(all, size, ret_hex, ret_error);
}

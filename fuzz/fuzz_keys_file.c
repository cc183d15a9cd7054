/* SPDX-License-Identifier: MIT
 *
 * Fuzzes keys.json. Accepted files contain only valid names, roles and numbers.
 */
#include "service/auth/keys_file.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    spl_key_file file;
    spl_error error = {0};
    const int status = spl_key_file_parse(data, size, "keys.json", &file, &error);
    if (status < 0) {
        if (error.status != status || !error.message[0])
            __builtin_trap();
        return 0;
    }
    for (size_t i = 0; i < file.count; i++) {
        const spl_key *key = &file.keys[i];
        if (spl_key_check_name(key->name, NULL) < 0 || key->role > SPL_ROLE_ADMIN ||
            key->quota.priority < -10 || key->quota.priority > 10)
            __builtin_trap();
    }
    spl_key_file_free(&file);
    return 0;
}

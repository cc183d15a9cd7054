/* SPDX-License-Identifier: MIT
 *
 * Fuzzes the checksum.json of a release with arbitrary bytes. Any checksum found must be 64
 * lower-case hex digits.
 */
#include "app/download/checksums.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char hex[65];
    spl_error error = {0};
    const int status = spl_checksums_find(data, size, "4stems", "input", hex, &error);
    if (status == 0 ? strlen(hex) != 64 || strspn(hex, "0123456789abcdef") != 64
                    : error.status != status || !error.message[0])
        __builtin_trap();
    return 0;
}

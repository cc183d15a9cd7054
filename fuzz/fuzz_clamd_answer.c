/* SPDX-License-Identifier: MIT
 *
 * Fuzzes clamd's responses. Only "stream: OK" after the whole file means clean. The first byte
 * selects whether the whole file was sent.
 */
#include "service/scan/clamd.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    const bool all_sent = data[0] & 1;
    char *answer = calloc(size, 1);
    memcpy(answer, data + 1, size - 1);
    spl_scan_verdict verdict = (spl_scan_verdict)-1;
    char signature[128] = "";
    spl_error error = {0};
    const int status = spl_clamd_parse_answer(answer, all_sent, &verdict, signature, &error);
    if (status < 0 && (error.status != status || !error.message[0] || signature[0]))
        __builtin_trap();
    if (status == 0 && verdict == SPL_SCAN_CLEAN &&
        (!all_sent || strcmp(answer, "stream: OK") != 0))
        __builtin_trap();
    if (status == 0 && verdict == SPL_SCAN_INFECTED && !signature[0])
        __builtin_trap();
    free(answer);
    return 0;
}

/* SPDX-License-Identifier: MIT
 *
 * Fuzzes a client's declaration of a file: the input up to its first newline is the name, and up to
 * the second the media type.
 */
#include "service/jobs/media.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char name[128] = "", type[128] = "";
    char *const texts[] = {name, type};
    for (size_t i = 0; i < 2; i++) {
        const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
        size_t length = end ? (size_t)(end - data) : 0;
        if (length > 0)
            memcpy(texts[i], data, SPL_MIN(length, sizeof(name) - 1));
        if (end) {
            data += length + 1;
            size -= length + 1;
        }
    }
    spl_problem problem = {0};
    const char *formats = "mp3,wav,flac,ogg,m4a,webm";
    char containers[SPL_CONTAINERS_MAX_BYTES];
    int declared =
        spl_media_check_declared(formats, *name ? name : NULL, *type ? type : NULL, &problem);
    spl_media_containers(formats, *name ? name : NULL, *type ? type : NULL, containers,
                         sizeof(containers));
    if ((declared == 0) != (containers[0] != '\0'))
        __builtin_trap();
    return 0;
}

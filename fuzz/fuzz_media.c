/* SPDX-License-Identifier: MIT
 *
 * First bytes of a file, and what a client declares: the input up to its first line break is the name, up to the second the type.
 */
#include "pipeline/spool.h"
#include "service/jobs/media.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static int fd = -1;
    if (fd < 0 && spl_spool_open("/tmp", &fd, NULL) < 0)
        return 0;
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
    spl_container_of(data, size);
    if (spl_id3_tag_bytes(data, size) > (UINT64_C(1) << 28) + 20)
        __builtin_trap();
    if (ftruncate(fd, 0) < 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
        return 0;
    const char *formats = "mp3,wav,flac,ogg,m4a,webm";
    int declared =
        spl_media_check_declared(formats, *name ? name : NULL, *type ? type : NULL, &problem);
    int content =
        spl_media_check_content(formats, *name ? name : NULL, *type ? type : NULL, fd, &problem);
    if (content == 0 && declared < 0)
        __builtin_trap();
    return 0;
}

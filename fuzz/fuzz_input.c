/* SPDX-License-Identifier: MIT
 *
 * Fuzzes the tags at both ends of a media file, and the chunks of WAV files. The first byte selects
 * how many GiB of zeros follow the rest.
 */
#include "app/pipeline/spool.h"
#include "codec/input.h"

#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads the part from its start, up to a budget, and then its last byte. */
static void read_part(spl_input *input) {
    static uint8_t bytes[1 << 16];
    input->budget_bytes = 1 << 20;
    while (spl_input_read(input, bytes, sizeof(bytes)) > 0)
        ;
    input->budget_bytes = 1;
    if (spl_input_seek(input, (int64_t)(input->end - input->begin) - 1, SEEK_SET) < 0 ||
        spl_input_read(input, bytes, sizeof(bytes)) != 1)
        __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static int fd = -1;
    if (size < 2 || (fd < 0 && spl_spool_open("/tmp", &fd, NULL) < 0))
        return 0;
    const uint64_t zeros = (uint64_t)(data[0] & 15) << 30, file_bytes = size - 1 + zeros;
    if (ftruncate(fd, 0) < 0 || pwrite(fd, data + 1, size - 1, 0) != (ssize_t)size - 1 ||
        ftruncate(fd, (off_t)file_bytes) < 0)
        return 0;
    spl_input input;
    if (spl_input_open(fd, file_bytes, &input, NULL) < 0 || input.begin >= input.end ||
        input.end > file_bytes)
        __builtin_trap();
    if (spl_input_mp3_junk(&input) >= input.end - input.begin)
        __builtin_trap();
    read_part(&input);
    return 0;
}

/* SPDX-License-Identifier: MIT
 *
 * Fuzzes the index of a TensorFlow checkpoint. Mutations do not survive a CRC, so the first byte
 * selects the meaning of the rest: a whole file, or the content of a data block or an index block,
 * around which the harness builds a file with correct CRCs.
 */
#include "lib/formats/checkpoint_index.h"

#include <string.h>

enum { WHOLE_FILE, DATA_BLOCK, INDEX_BLOCK, KINDS };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t put_varint(uint8_t *at, uint64_t value) {
    size_t size = 0;
    for (; value >= 0x80; value >>= 7)
        at[size++] = (uint8_t)(value | 0x80);
    at[size++] = (uint8_t)value;
    return size;
}

/* Writes a block with its trailer, sets its handle and returns the end of the trailer. */
static uint8_t *put_block(const spl_crc32c_tables *crc, uint8_t *file, uint8_t *at,
                          const uint8_t *content, size_t size, uint8_t handle[20],
                          size_t *ret_handle_size) {
    memcpy(at, content, size);
    at[size] = 0;
    uint32_t value = spl_crc32c(crc, at, size + 1);
    uint32_t masked = (value >> 15 | value << 17) + 0xa282ead8u;
    memcpy(at + size + 1, &masked, sizeof(masked));
    *ret_handle_size = put_varint(handle, (uint64_t)(at - file));
    *ret_handle_size += put_varint(handle + *ret_handle_size, size);
    return at + size + 1 + sizeof(masked);
}

/* Builds a file in `file`, which must hold size + 256 bytes, and returns its size. */
static size_t make_file(const spl_crc32c_tables *crc, int kind, const uint8_t *content, size_t size,
                        uint8_t *file) {
    /* "" -> one shard; "a" -> a float tensor [2] at offset 0 */
    static const uint8_t sample_block[] = {0, 0, 2, 8,  1, 0, 1, 10, 'a', 8, 1, 18, 4, 18,
                                           2, 8, 2, 40, 8, 0, 0, 0,  0,   1, 0, 0,  0};
    static const uint8_t magic[] = {0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb};
    uint8_t handle[20], index[64] = {0, 1};
    size_t handle_size;
    uint8_t *at = file;
    if (kind == DATA_BLOCK)
        at = put_block(crc, file, at, content, size, handle, &handle_size);
    else
        at = put_block(crc, file, at, sample_block, sizeof(sample_block), handle, &handle_size);

    index[2] = (uint8_t)handle_size;
    index[3] = 'z';
    memcpy(index + 4, handle, handle_size);
    index[4 + handle_size + 4] = 1; /* one restart point, at 0 */
    size_t index_size = 4 + handle_size + 8;
    if (kind == INDEX_BLOCK)
        at = put_block(crc, file, at, content, size, handle, &handle_size);
    else
        at = put_block(crc, file, at, index, index_size, handle, &handle_size);

    memset(at, 0, 48);
    memcpy(at + 2, handle, handle_size); /* after the handle of a metaindex: offset 0, size 0 */
    memcpy(at + 40, magic, sizeof(magic));
    return (size_t)(at + 48 - file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    int kind = data[0] % KINDS;
    data++;
    size--;
    spl_crc32c_tables crc;
    spl_crc32c_init(&crc);
    uint8_t *file = malloc(size + 256);
    if (!file)
        return 0;
    size_t file_size = size;
    if (kind == WHOLE_FILE)
        memcpy(file, data, size);
    else
        file_size = make_file(&crc, kind, data, size, file);
    spl_checkpoint_index index;
    if (spl_checkpoint_index_parse(&crc, file, file_size, "input", &index, NULL) == 0) {
        for (size_t i = 0; i < index.count; i++) {
            if (spl_checkpoint_index_find(&index, index.entries[i].name) != &index.entries[i] ||
                index.entries[i].shard >= index.shard_count)
                __builtin_trap();
        }
        spl_checkpoint_index_clear(&index);
    }
    free(file);
    return 0;
}

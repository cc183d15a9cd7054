/* SPDX-License-Identifier: MIT
 *
 * The ".index" file of a TensorFlow checkpoint: a LevelDB table of protocol buffers.
 * (tensorflow/core/util/tensor_bundle, google/leveldb doc/table_format.md)
 *
 *   file    data blocks, a metaindex block, an index block, and a 48-byte footer:
 *           handles of metaindex and index, padding, 8 bytes of magic number
 *   handle  varint offset, varint size
 *   block   entries, restart offsets (u32 each), their count (u32); then, not included in its
 *           size, one byte of compression and the masked CRC-32C of everything before
 *   entry   varint bytes shared with the previous key, varint bytes of key that follow, varint
 *           bytes of value; key bytes; value
 *
 * The values of the index block are the handles of the data blocks. The data blocks map "" to a
 * BundleHeaderProto and each tensor's name to a BundleEntryProto. The whole table is read in order,
 * so the restart offsets, which support binary search, are skipped.
 *
 * Data blocks and the data of tensors may not overlap, so the work is linear in the size of the
 * files.
 */
#include "lib/formats/checkpoint_index.h"

#include <stdio.h>
#include <string.h>

#define FOOTER_BYTES        48
#define TABLE_MAGIC         0xdb4775248b80fb57u
#define BLOCK_TRAILER_BYTES 5
#define KEY_MAX_BYTES       512
#define ENTRIES_MAX         65536
#define SHARDS_MAX          1000
#define BUNDLE_VERSION      1

typedef struct span {
    const uint8_t *at, *end;
} span;

typedef struct index_reader {
    const spl_crc32c_tables *crc;
    span file;
    const char *path;
    spl_error *error;
} index_reader;

static int damaged(const index_reader *reader, const char *what) {
    return spl_fail(reader->error, SPL_E_FORMAT, "%s is damaged or not a TensorFlow checkpoint: %s",
                    reader->path, what);
}

static size_t span_size(span s) {
    return (size_t)(s.end - s.at);
}

/* Removes the first `size` bytes from `s`. */
static bool take_bytes(span *s, uint64_t size, span *ret_taken) {
    if (size > span_size(*s))
        return false;
    *ret_taken = (span){s->at, s->at + size};
    s->at += size;
    return true;
}

static bool take_varint(span *s, uint64_t *ret_value) {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && s->at < s->end; shift += 7) {
        uint8_t byte = *s->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

static uint32_t load_u32(const uint8_t *bytes) {
    uint32_t value;
    memcpy(&value, bytes, sizeof(value));
    return value;
}

/* ------------------------------------------------- protocol buffers ---- */

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

typedef struct field {
    uint64_t key;    /* number << 3 | wire type */
    uint64_t number; /* the value, unless the wire type is bytes */
    span bytes;
} field;

#define FIELD(number, wire) ((number) << 3 | (wire))

static bool take_field(span *message, field *ret_field) {
    field f = {0};
    if (!take_varint(message, &f.key))
        return false;
    uint64_t size;
    bool taken = false;
    switch (f.key & 7) {
    case WIRE_VARINT:
        taken = take_varint(message, &f.number);
        break;
    case WIRE_FIXED64:
        taken = take_bytes(message, 8, &f.bytes);
        break;
    case WIRE_BYTES:
        taken = take_varint(message, &size) && take_bytes(message, size, &f.bytes);
        break;
    case WIRE_FIXED32:
        taken = take_bytes(message, 4, &f.bytes);
        if (taken)
            f.number = load_u32(f.bytes.at);
        break;
    }
    *ret_field = f;
    return taken;
}

/* BundleHeaderProto {num_shards = 1; endianness = 2 (0: little); version = 3 {min_consumer = 2}} */
static int parse_header(const index_reader *reader, span message, unsigned *ret_shard_count) {
    uint64_t shard_count = 0, min_consumer = 0;
    field f, v;
    while (message.at < message.end) {
        if (!take_field(&message, &f))
            return damaged(reader, "its header is cut off");
        if (f.key == FIELD(1, WIRE_VARINT))
            shard_count = f.number;
        if (f.key == FIELD(2, WIRE_VARINT) && f.number != 0)
            return spl_fail(reader->error, SPL_E_UNSUPPORTED,
                            "%s: big-endian checkpoints are not supported", reader->path);
        while (f.key == FIELD(3, WIRE_BYTES) && f.bytes.at < f.bytes.end) {
            if (!take_field(&f.bytes, &v))
                return damaged(reader, "its version is cut off");
            if (v.key == FIELD(2, WIRE_VARINT))
                min_consumer = v.number;
        }
    }
    if (min_consumer > BUNDLE_VERSION)
        return spl_fail(reader->error, SPL_E_UNSUPPORTED,
                        "%s needs a reader of version %llu; this one has version %d", reader->path,
                        (unsigned long long)min_consumer, BUNDLE_VERSION);
    if (shard_count < 1 || shard_count > SHARDS_MAX)
        return spl_fail(reader->error, SPL_E_UNSUPPORTED,
                        "%s has %llu data files; 1 to %d are supported", reader->path,
                        (unsigned long long)shard_count, SHARDS_MAX);
    *ret_shard_count = (unsigned)shard_count;
    return 0;
}

/* TensorShapeProto {dim = 2 {size = 1}} */
static bool parse_shape(span message, spl_checkpoint_entry *entry) {
    field f, d;
    while (message.at < message.end) {
        if (!take_field(&message, &f))
            return false;
        if (f.key != FIELD(2, WIRE_BYTES))
            continue;
        uint64_t size = 0;
        while (f.bytes.at < f.bytes.end) {
            if (!take_field(&f.bytes, &d))
                return false;
            if (d.key == FIELD(1, WIRE_VARINT))
                size = d.number;
        }
        if (entry->rank < SPL_TENSOR_RANK_MAX)
            entry->shape[entry->rank] = size;
        entry->rank++;
    }
    return true;
}

/* BundleEntryProto {dtype = 1; shape = 2; shard_id = 3; offset = 4; size = 5; fixed32 crc32c = 6;
 * slices = 7} */
static bool parse_entry(span message, spl_checkpoint_entry *entry) {
    field f;
    while (message.at < message.end) {
        if (!take_field(&message, &f))
            return false;
        switch (f.key) {
        case FIELD(1, WIRE_VARINT):
            entry->dtype = f.number;
            break;
        case FIELD(2, WIRE_BYTES):
            if (!parse_shape(f.bytes, entry))
                return false;
            break;
        case FIELD(3, WIRE_VARINT):
            entry->shard = f.number;
            break;
        case FIELD(4, WIRE_VARINT):
            entry->offset = f.number;
            break;
        case FIELD(5, WIRE_VARINT):
            entry->size_bytes = f.number;
            break;
        case FIELD(6, WIRE_FIXED32):
            entry->masked_crc32c = (uint32_t)f.number;
            break;
        case FIELD(7, WIRE_BYTES):
            entry->sliced = true;
            break;
        }
    }
    return true;
}

/* ------------------------------------------------------------ table ---- */

/* Iterates over the entries of a block and rebuilds the full key of each. */
typedef struct block_cursor {
    span rest;
    char key[KEY_MAX_BYTES + 1]; /* with a NUL */
    size_t key_size;
    span value;
} block_cursor;

/* Reads a handle, whose block must lie within `rest`, and removes everything up to the block's end
 * from `rest`. Checks the CRC of the block, and sets *ret_entries to the entries before the restart
 * offsets. */
static int open_block(const index_reader *reader, span *handle, span *rest, span *ret_entries) {
    uint64_t offset, size;
    span block = reader->file, skipped;
    if (!take_varint(handle, &offset) || !take_varint(handle, &size) ||
        !take_bytes(&block, offset, &skipped) || block.at > rest->end ||
        size > (size_t)(rest->end - block.at) ||
        (size_t)(rest->end - block.at) - size < BLOCK_TRAILER_BYTES)
        return damaged(reader, "a block does not lie within the file");
    if (block.at < rest->at)
        return damaged(reader, "its blocks overlap");
    const uint8_t *trailer = block.at + size;
    rest->at = trailer + BLOCK_TRAILER_BYTES;
    block.end = trailer;
    if (spl_crc32c(reader->crc, block.at, size + 1) != spl_crc32c_unmask(load_u32(trailer + 1)))
        return spl_fail(reader->error, SPL_E_CHECKSUM, "%s is damaged: a block's CRC-32C is wrong",
                        reader->path);
    if (trailer[0] != 0)
        return spl_fail(
            reader->error, SPL_E_UNSUPPORTED,
            "%s has compressed blocks, which TensorFlow does not write by default; they "
            "are not supported",
            reader->path);
    if (size < sizeof(uint32_t))
        return damaged(reader, "a block is too short");
    uint64_t restarts_bytes =
        ((uint64_t)load_u32(block.end - sizeof(uint32_t)) + 1) * sizeof(uint32_t);
    if (restarts_bytes > size)
        return damaged(reader, "a block is shorter than its restarts");
    block.end -= restarts_bytes;
    *ret_entries = block;
    return 0;
}

/* Advances to the next entry. Unless it is the `first`, its key must be greater than the previous
 * one. */
static int next_entry(const index_reader *reader, block_cursor *cursor, bool first) {
    uint64_t shared, unshared, value_size;
    span key;
    if (!take_varint(&cursor->rest, &shared) || !take_varint(&cursor->rest, &unshared) ||
        !take_varint(&cursor->rest, &value_size) || shared > cursor->key_size ||
        !take_bytes(&cursor->rest, unshared, &key) ||
        !take_bytes(&cursor->rest, value_size, &cursor->value))
        return damaged(reader, "an entry does not fit its block");
    if (shared + unshared > KEY_MAX_BYTES || memchr(key.at, '\0', unshared))
        return damaged(reader, "a tensor's name is too long or contains NUL");

    char before[KEY_MAX_BYTES + 1];
    memcpy(before, cursor->key, sizeof(before));
    memcpy(cursor->key + shared, key.at, unshared);
    cursor->key_size = shared + unshared;
    cursor->key[cursor->key_size] = '\0';
    if (!first && strcmp(before, cursor->key) >= 0)
        return damaged(reader, "its tensors are not sorted by name");
    return 0;
}

static int add_entry(const index_reader *reader, const block_cursor *cursor,
                     spl_checkpoint_index *index, size_t *capacity) {
    if (index->count == *capacity) {
        if (index->count >= ENTRIES_MAX)
            return spl_fail(reader->error, SPL_E_LIMIT, "%s has more than %d tensors", reader->path,
                            ENTRIES_MAX);
        size_t grown_capacity = SPL_MAX(256, 2 * *capacity);
        spl_checkpoint_entry *grown =
            reallocarray(index->entries, grown_capacity, sizeof(index->entries[0]));
        if (!grown)
            return spl_fail_memory(reader->error);
        index->entries = grown;
        *capacity = grown_capacity;
    }
    spl_checkpoint_entry entry = {0};
    if (!parse_entry(cursor->value, &entry))
        return damaged(reader, "a tensor's description is cut off");
    if (entry.shard >= index->shard_count)
        return damaged(reader, "a tensor is in a data file that does not exist");
    entry.name = strdup(cursor->key);
    if (!entry.name)
        return spl_fail_memory(reader->error);
    index->entries[index->count++] = entry;
    return 0;
}

/* Reads a data block: the header, if this is the first entry of the file, and tensors. */
static int parse_data_block(const index_reader *reader, block_cursor *cursor,
                            spl_checkpoint_index *index, size_t *capacity) {
    while (cursor->rest.at < cursor->rest.end) {
        bool first = index->shard_count == 0;
        int status = next_entry(reader, cursor, first);
        if (status < 0)
            return status;
        if (first && cursor->key_size > 0)
            return damaged(reader, "its header is missing");
        status = first ? parse_header(reader, cursor->value, &index->shard_count)
                       : add_entry(reader, cursor, index, capacity);
        if (status < 0)
            return status;
    }
    return 0;
}

static int parse_table(const index_reader *reader, spl_checkpoint_index *index) {
    if (span_size(reader->file) < FOOTER_BYTES)
        return damaged(reader, "it is too short");
    span footer = {reader->file.end - FOOTER_BYTES, reader->file.end};
    uint64_t magic, metaindex_offset, metaindex_size;
    memcpy(&magic, footer.end - sizeof(magic), sizeof(magic));
    footer.end -= sizeof(magic);
    if (magic != TABLE_MAGIC)
        return damaged(reader, "it does not end as a table does");
    if (!take_varint(&footer, &metaindex_offset) || !take_varint(&footer, &metaindex_size))
        return damaged(reader, "its footer is wrong");

    block_cursor blocks = {0}, tensors = {0};
    span rest = reader->file;
    int status = open_block(reader, &footer, &rest, &blocks.rest);
    if (status < 0)
        return status;
    rest = (span){reader->file.at, blocks.rest.at};
    size_t capacity = 0;
    for (bool first = true; blocks.rest.at < blocks.rest.end; first = false) {
        if ((status = next_entry(reader, &blocks, first)) < 0 ||
            (status = open_block(reader, &blocks.value, &rest, &tensors.rest)) < 0 ||
            (status = parse_data_block(reader, &tensors, index, &capacity)) < 0)
            return status;
    }
    if (index->shard_count == 0)
        return damaged(reader, "its header is missing");
    return 0;
}

static int compare_places(const void *a, const void *b) {
    const spl_checkpoint_entry *x = *(spl_checkpoint_entry *const *)a;
    const spl_checkpoint_entry *y = *(spl_checkpoint_entry *const *)b;
    if (x->shard != y->shard)
        return x->shard < y->shard ? -1 : 1;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

/* Tensors without data, such as those stored in slices, may lie anywhere. */
static int check_overlaps(const index_reader *reader, const spl_checkpoint_index *index) {
    SPL_CLEANUP(spl_free_p)
    const spl_checkpoint_entry **sorted = calloc(SPL_MAX(index->count, 1), sizeof(*sorted));
    if (!sorted)
        return spl_fail_memory(reader->error);
    size_t count = 0;
    for (size_t i = 0; i < index->count; i++) {
        if (index->entries[i].size_bytes > 0)
            sorted[count++] = &index->entries[i];
    }
    qsort(sorted, count, sizeof(*sorted), compare_places);
    for (size_t i = 1; i < count; i++) {
        const spl_checkpoint_entry *before = sorted[i - 1];
        if (before->shard == sorted[i]->shard &&
            before->size_bytes > sorted[i]->offset - before->offset)
            return damaged(reader, "the data of its tensors overlap");
    }
    return 0;
}

int spl_checkpoint_index_parse(const spl_crc32c_tables *crc, const void *bytes, size_t size,
                               const char *path, spl_checkpoint_index *ret_index,
                               spl_error *ret_error) {
    const uint8_t *file = bytes;
    index_reader reader = {
        .crc = crc, .file = {file, file + size}, .path = path, .error = ret_error};
    spl_checkpoint_index index = {0};
    int status = parse_table(&reader, &index);
    if (status == 0)
        status = check_overlaps(&reader, &index);
    if (status < 0) {
        spl_checkpoint_index_clear(&index);
        return status;
    }
    *ret_index = index;
    return 0;
}

void spl_checkpoint_index_clear(spl_checkpoint_index *index) {
    for (size_t i = 0; i < index->count; i++)
        free(index->entries[i].name);
    free(index->entries);
    *index = (spl_checkpoint_index){0};
}

static int compare_name(const void *name, const void *entry) {
    return strcmp(name, ((const spl_checkpoint_entry *)entry)->name);
}

const spl_checkpoint_entry *spl_checkpoint_index_find(const spl_checkpoint_index *index,
                                                      const char *name) {
    return index->count ? bsearch(name, index->entries, index->count, sizeof(index->entries[0]),
                                  compare_name)
                        : NULL;
}

/* SPDX-License-Identifier: MIT
 *
 * The index of a TensorFlow checkpoint: names, types, shapes and locations of the tensors.
 */
#ifndef SPL_LIB_FORMATS_CHECKPOINT_INDEX_H
#define SPL_LIB_FORMATS_CHECKPOINT_INDEX_H

#include "lib/formats/crc32c.h"
#include "lib/formats/tensor.h"

#define SPL_CHECKPOINT_DTYPE_FLOAT 1

typedef struct spl_checkpoint_entry {
    char *name;
    uint64_t dtype; /* SPL_CHECKPOINT_DTYPE_FLOAT or another value of TensorFlow's DataType */
    unsigned rank;  /* may exceed SPL_TENSOR_RANK_MAX; `shape` then holds the first dimensions */
    size_t shape[SPL_TENSOR_RANK_MAX];
    uint64_t shard, offset, size_bytes; /* location in the data files */
    uint32_t masked_crc32c;
    bool sliced; /* stored in parts, under other keys */
} spl_checkpoint_entry;

typedef struct spl_checkpoint_index {
    unsigned shard_count;
    size_t count;
    spl_checkpoint_entry *entries; /* sorted by name */
} spl_checkpoint_index;

/* Parses the `size` bytes of an index file; `path` is for messages. The caller owns *ret_index
 * (spl_checkpoint_index_clear). */
SPL_WARN_UNUSED int spl_checkpoint_index_parse(const spl_crc32c_tables *crc, const void *bytes,
                                               size_t size, const char *path,
                                               spl_checkpoint_index *ret_index,
                                               spl_error *ret_error);

/* Frees the members of the index. */
void spl_checkpoint_index_clear(spl_checkpoint_index *index);

/* Returns the entry called `name`, or NULL. */
const spl_checkpoint_entry *spl_checkpoint_index_find(const spl_checkpoint_index *index,
                                                      const char *name);

#endif

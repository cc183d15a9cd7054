/* SPDX-License-Identifier: MIT
 *
 * The files of a TensorFlow v1 checkpoint:
 *
 *   checkpoint                    text; names the prefix: model_checkpoint_path: "model"
 *   model.index                   the list of tensors (checkpoint_index.c)
 *   model.data-00000-of-00001     the data of the tensors, shard by shard
 *
 * Only float tensors can be read. Others (a step counter) and unused ones (an optimizer's slots)
 * are ignored.
 */
#include "lib/formats/checkpoint.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MAX_BYTES  ((size_t)1 << 20)
#define INDEX_MAX_BYTES ((size_t)4 << 20)
#define DATA_MAX_BYTES  ((size_t)8 << 30)

struct spl_checkpoint {
    spl_crc32c_tables crc;
    char *prefix;
    spl_checkpoint_index index;
    spl_file_map *shards; /* index.shard_count of them */
};

/* Copies the prefix's name from the text of the file "checkpoint", without its folder: TensorFlow
 * writes the absolute path of the training machine, but the files may have been moved since. */
static int parse_prefix_name(const spl_file_map *text, const char *path, char **ret_name,
                             spl_error *ret_error) {
    static const char key[] = "model_checkpoint_path: \"";
    const char *start = text->data ? memmem(text->data, text->size_bytes, key, strlen(key)) : NULL;
    if (start && start != (const char *)text->data && start[-1] != '\n')
        start = NULL;
    const char *end = NULL;
    if (start) {
        start += strlen(key);
        end = memchr(start, '"', (size_t)((const char *)text->data + text->size_bytes - start));
    }
    if (!end)
        return spl_fail(ret_error, SPL_E_FORMAT, "%s does not name a model_checkpoint_path", path);
    const char *slash = memrchr(start, '/', (size_t)(end - start));
    if (slash)
        start = slash + 1;
    char *name = strndup(start, (size_t)(end - start));
    if (!name)
        return spl_fail_memory(ret_error);
    *ret_name = name;
    return 0;
}

static int is_index(const struct dirent *entry) {
    const char *dot = strrchr(entry->d_name, '.');
    return dot && dot != entry->d_name && strcmp(dot, ".index") == 0;
}

static int find_only_index(const char *folder, char **ret_name, spl_error *ret_error) {
    struct dirent **entries;
    int count = scandir(folder, &entries, is_index, alphasort);
    if (count < 0)
        return spl_fail_errno(ret_error, errno, "cannot read the folder %s", folder);
    char *name = NULL;
    if (count == 1)
        name = strndup(entries[0]->d_name, strlen(entries[0]->d_name) - strlen(".index"));
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
    if (count == 0)
        return spl_fail(ret_error, SPL_E_NOT_FOUND,
                        "%s holds no TensorFlow checkpoint (no file *.index)", folder);
    if (count > 1)
        return spl_fail(
            ret_error, SPL_E_UNSUPPORTED,
            "%s holds %d checkpoints (*.index), and no file \"checkpoint\" that names one", folder,
            count);
    if (!name)
        return spl_fail_memory(ret_error);
    *ret_name = name;
    return 0;
}

/* Sets *ret_prefix to "folder/name". */
static int find_prefix(const char *folder, char **ret_prefix, spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char *path = NULL;
    SPL_CLEANUP(spl_free_p) char *name = NULL;
    if (asprintf(&path, "%s/checkpoint", folder) < 0)
        return spl_fail_memory(ret_error);
    spl_error error;
    spl_file_map text;
    int status = spl_file_map_open(path, TEXT_MAX_BYTES, &text, &error);
    if (status == SPL_E_NOT_FOUND) {
        status = find_only_index(folder, &name, ret_error);
    } else if (status < 0) {
        return spl_fail(ret_error, error.status, "%s", error.message);
    } else {
        status = parse_prefix_name(&text, path, &name, ret_error);
        spl_file_map_close(&text);
    }
    if (status < 0)
        return status;
    if (asprintf(ret_prefix, "%s/%s", folder, name) < 0)
        return spl_fail_memory(ret_error);
    return 0;
}

static int open_index(spl_checkpoint *checkpoint, spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char *path = NULL;
    if (asprintf(&path, "%s.index", checkpoint->prefix) < 0)
        return spl_fail_memory(ret_error);
    spl_file_map map;
    int status = spl_file_map_open(path, INDEX_MAX_BYTES, &map, ret_error);
    if (status < 0)
        return status;
    status = spl_checkpoint_index_parse(&checkpoint->crc, map.data, map.size_bytes, path,
                                        &checkpoint->index, ret_error);
    spl_file_map_close(&map);
    return status;
}

static int open_shards(spl_checkpoint *checkpoint, spl_error *ret_error) {
    unsigned count = checkpoint->index.shard_count;
    checkpoint->shards = calloc(count, sizeof(checkpoint->shards[0]));
    if (!checkpoint->shards)
        return spl_fail_memory(ret_error);
    for (unsigned i = 0; i < count; i++) {
        SPL_CLEANUP(spl_free_p) char *path = NULL;
        if (asprintf(&path, "%s.data-%05u-of-%05u", checkpoint->prefix, i, count) < 0)
            return spl_fail_memory(ret_error);
        int status = spl_file_map_open(path, DATA_MAX_BYTES, &checkpoint->shards[i], ret_error);
        if (status < 0)
            return status;
    }
    return 0;
}

int spl_checkpoint_open(const char *folder, spl_checkpoint **ret_checkpoint, spl_error *ret_error) {
    spl_checkpoint *checkpoint = calloc(1, sizeof(*checkpoint));
    if (!checkpoint)
        return spl_fail_memory(ret_error);
    spl_crc32c_init(&checkpoint->crc);
    int status;
    if ((status = find_prefix(folder, &checkpoint->prefix, ret_error)) < 0 ||
        (status = open_index(checkpoint, ret_error)) < 0 ||
        (status = open_shards(checkpoint, ret_error)) < 0) {
        spl_checkpoint_close(checkpoint);
        return status;
    }
    *ret_checkpoint = checkpoint;
    return 0;
}

void spl_checkpoint_close(spl_checkpoint *checkpoint) {
    if (!checkpoint)
        return;
    for (unsigned i = 0; checkpoint->shards && i < checkpoint->index.shard_count; i++)
        spl_file_map_close(&checkpoint->shards[i]);
    free(checkpoint->shards);
    spl_checkpoint_index_clear(&checkpoint->index);
    free(checkpoint->prefix);
    free(checkpoint);
}

const char *spl_checkpoint_prefix(const spl_checkpoint *checkpoint) {
    return checkpoint->prefix;
}

bool spl_checkpoint_has(const spl_checkpoint *checkpoint, const char *name) {
    return spl_checkpoint_index_find(&checkpoint->index, name) != NULL;
}

int spl_checkpoint_get(const spl_checkpoint *checkpoint, const char *name, spl_tensor *ret_tensor,
                       spl_error *ret_error) {
    const char *prefix = checkpoint->prefix;
    const spl_checkpoint_entry *entry = spl_checkpoint_index_find(&checkpoint->index, name);
    if (!entry)
        return spl_fail(ret_error, SPL_E_FORMAT, "the checkpoint %s has no tensor %s", prefix,
                        name);
    if (entry->dtype != SPL_CHECKPOINT_DTYPE_FLOAT)
        return spl_fail(ret_error, SPL_E_UNSUPPORTED,
                        "the checkpoint %s has %s with data type %llu; only 32-bit floats (1) are "
                        "supported",
                        prefix, name, (unsigned long long)entry->dtype);
    if (entry->sliced)
        return spl_fail(
            ret_error, SPL_E_UNSUPPORTED,
            "the checkpoint %s has %s in slices (a partitioned variable), which are not "
            "supported",
            prefix, name);

    const spl_file_map *shard = &checkpoint->shards[entry->shard];
    size_t bytes;
    if (entry->rank > SPL_TENSOR_RANK_MAX || !spl_tensor_bytes(entry->rank, entry->shape, &bytes) ||
        bytes == 0 || bytes != entry->size_bytes)
        return spl_fail(ret_error, SPL_E_FORMAT,
                        "the checkpoint %s has %llu bytes for %s, not as many as its shape says",
                        prefix, (unsigned long long)entry->size_bytes, name);
    if (entry->offset > shard->size_bytes || bytes > shard->size_bytes - entry->offset)
        return spl_fail(ret_error, SPL_E_FORMAT,
                        "the data of the checkpoint %s are cut off before %s", prefix, name);
    if (entry->offset % _Alignof(float) != 0)
        return spl_fail(ret_error, SPL_E_UNSUPPORTED,
                        "the checkpoint %s has %s at an offset that is not a multiple of 4", prefix,
                        name);
    const void *data = shard->data + entry->offset;
    if (spl_crc32c(&checkpoint->crc, data, bytes) != spl_crc32c_unmask(entry->masked_crc32c))
        return spl_fail(ret_error, SPL_E_CHECKSUM,
                        "the checkpoint %s is damaged: the CRC-32C of %s is wrong", prefix, name);
    spl_tensor tensor = {.data = data, .rank = entry->rank};
    memcpy(tensor.shape, entry->shape, sizeof(tensor.shape));
    *ret_tensor = tensor;
    return 0;
}

/* SPDX-License-Identifier: MIT
 *
 * Safetensors: named tensors in one file, which can be mapped.
 *
 * Format (huggingface/safetensors): the length of a JSON header as 8 little-endian bytes, the
 * header, the data. The header maps each name to {"dtype", "shape", "data_offsets": [begin, end]},
 * with offsets from the start of the data, and "__metadata__" to a map of strings. The reader
 * supports F32 and F16; the writer writes F32.
 */
#ifndef SPL_LIB_FORMATS_SAFETENSORS_H
#define SPL_LIB_FORMATS_SAFETENSORS_H

#include "lib/formats/tensor.h"

#include <jansson.h>

typedef struct spl_safetensors spl_safetensors;

/* Parses the file in the `size` bytes at `bytes`, which must outlive *ret_file. Every tensor must
 * lie within them, and together the tensors must cover the data without gap or overlap. `path` is
 * for messages and must outlive *ret_file. The caller owns *ret_file (spl_safetensors_free). */
SPL_WARN_UNUSED int spl_safetensors_parse(const void *bytes, size_t size, const char *path,
                                          spl_safetensors **ret_file, spl_error *ret_error);

/* Frees; NULL is allowed. */
void spl_safetensors_free(spl_safetensors *file);

/* The tensors of `file`, by their names in it. One thread at a time may get them; MEMORY if one in
 * half precision cannot be expanded. */
spl_tensor_source spl_safetensors_source(spl_safetensors *file);

/* Returns the string `key` of the metadata, or NULL. */
const char *spl_safetensors_metadata(const spl_safetensors *file, const char *key);

typedef struct spl_named_tensor {
    const char *name;
    spl_tensor tensor;
} spl_named_tensor;

/* Writes a file with `count` tensors in this order to `fd`. The data starts at a multiple of 64
 * bytes. `metadata` is an object of strings. `path` is for messages. */
SPL_WARN_UNUSED int spl_safetensors_write(int fd, const char *path, json_t *metadata,
                                          const spl_named_tensor *tensors, size_t count,
                                          spl_error *ret_error);

#endif

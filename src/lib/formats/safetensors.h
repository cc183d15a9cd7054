/* SPDX-License-Identifier: MIT
 *
 * Safetensors: named tensors in one file, ready to be mapped.
 *
 * Format (huggingface/safetensors): 8 bytes little-endian length of a JSON
 * header, the header, the data. The header maps each name to {"dtype", "shape",
 * "data_offsets": [begin, end]}, offsets from the start of the data, and
 * "__metadata__" to a map of strings. We read F32 and F16 and write F32.
 */
#ifndef SPL_LIB_FORMATS_SAFETENSORS_H
#define SPL_LIB_FORMATS_SAFETENSORS_H

#include "lib/formats/tensor.h"

#include <jansson.h>

typedef struct spl_safetensors spl_safetensors;

/* Reads the header of the file whose `size` bytes are at `bytes`; they must outlive *ret_file.
 * Every tensor lies within them, and together they cover the data without gap or overlap. `path` is
 * for messages and must live as long. */
SPL_WARN_UNUSED int spl_safetensors_parse(const void *bytes, size_t size, const char *path,
                                          spl_safetensors **ret_file, spl_error *ret_error);

/* Frees; NULL is allowed. */
void spl_safetensors_free(spl_safetensors *file);

/* The tensors of `file`, by the names they have in it. */
spl_tensor_source spl_safetensors_source(const spl_safetensors *file);

/* The string `key` of the metadata, or NULL. */
const char *spl_safetensors_metadata(const spl_safetensors *file, const char *key);

typedef struct spl_named_tensor {
    const char *name;
    spl_tensor tensor;
} spl_named_tensor;

/* Writes a file with `count` tensors in this order, the data starting at a multiple of 64 bytes, to
 * `fd`. `metadata` is an object of strings. */
SPL_WARN_UNUSED int spl_safetensors_write(int fd, const char *path, json_t *metadata,
                                          const spl_named_tensor *tensors, size_t count,
                                          spl_error *ret_error);

#endif

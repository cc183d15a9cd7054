/* SPDX-License-Identifier: MIT
 *
 * A tensor of 32-bit floats in mapped memory, and the lookup of tensors by name, which is
 * independent of the file format.
 */
#ifndef SPL_LIB_FORMATS_TENSOR_H
#define SPL_LIB_FORMATS_TENSOR_H

#include "base/error.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files hold little-endian floats");

#define SPL_TENSOR_RANK_MAX 4

typedef struct spl_tensor {
    const float *data; /* row-major: the last dimension varies fastest */
    unsigned rank;
    size_t shape[SPL_TENSOR_RANK_MAX];
} spl_tensor;

typedef struct spl_tensor_source {
    const void *from;
    const char *path; /* for messages */
    /* Finds a tensor by its name in spleeterd's own network files. Errors: FORMAT when there is
     * none; others depend on the source. */
    int (*get)(const void *from, const char *name, spl_tensor *ret_tensor, spl_error *ret_error);
} spl_tensor_source;

/* Sets *ret_bytes to the size of a tensor of this shape; returns false on overflow. */
static inline bool spl_tensor_bytes(unsigned rank, const size_t *shape, size_t *ret_bytes) {
    size_t bytes = sizeof(float);
    for (unsigned i = 0; i < rank; i++) {
        if (!spl_mul_size(bytes, shape[i], &bytes))
            return false;
    }
    *ret_bytes = bytes;
    return true;
}

#endif

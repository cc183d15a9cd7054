/* SPDX-License-Identifier: MIT
 *
 * A tensor of 32-bit floats in mapped memory, and "tensor by name": what the
 * reader of a net asks of a file, whichever format that has.
 */
#ifndef SPL_LIB_FORMATS_TENSOR_H
#define SPL_LIB_FORMATS_TENSOR_H

#include "base/error.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files hold little-endian floats");

#define SPL_TENSOR_RANK_MAX 4

typedef struct spl_tensor {
    const float *data; /* row by row: the last dimension varies fastest */
    unsigned rank;
    size_t shape[SPL_TENSOR_RANK_MAX];
} spl_tensor;

typedef struct spl_tensor_source {
    const void *from;
    const char *path; /* for messages */
    /* Finds the tensor that a net file of ours calls `name`. Errors: FORMAT when there is none, and
     * whatever is wrong with it. */
    int (*get)(const void *from, const char *name, spl_tensor *ret_tensor, spl_error *ret_error);
} spl_tensor_source;

/* The number of bytes that a tensor of this shape has; false on overflow. */
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

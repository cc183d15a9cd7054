/* SPDX-License-Identifier: MIT
 *
 * An arena allocator for arrays of floats.
 */
#ifndef SPL_BASE_ARENA_H
#define SPL_BASE_ARENA_H

#include <stddef.h>

/* Allocates consecutive pieces of one block of floats. With a NULL block it only counts. */
typedef struct spl_arena {
    float *block;
    size_t used;
} spl_arena;

/* Returns `floats` floats, aligned to 64 bytes; NULL while only counting. */
float *spl_arena_take(spl_arena *arena, size_t floats);

/* Allocates a zeroed block for an arena, in huge pages where the kernel has them. Pages are
 * committed when first touched. Returns NULL when out of memory. */
float *spl_arena_block(size_t floats);

/* Frees a block of `floats` floats; NULL is allowed. */
void spl_arena_block_free(float *block, size_t floats);

#endif

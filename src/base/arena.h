/* SPDX-License-Identifier: MIT
 *
 * Memory for many arrays of floats at once.
 */
#ifndef SPL_BASE_ARENA_H
#define SPL_BASE_ARENA_H

#include <stddef.h>

/* Hands out pieces of one block of floats; with a NULL block it only counts. */
typedef struct spl_arena {
    float *block;
    size_t used;
} spl_arena;

/* `floats` floats, aligned to 64 bytes; NULL while only counting. */
float *spl_arena_take(spl_arena *arena, size_t floats);

/* A block of zeros for an arena, in huge pages where the kernel has them; memory is taken as it is
 * touched. NULL: there is no more. */
float *spl_arena_block(size_t floats);

/* Gives back a block of `floats`; NULL is allowed. */
void spl_arena_block_free(float *block, size_t floats);

#endif

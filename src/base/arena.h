/* SPDX-License-Identifier: MIT
 *
 * An arena allocator for arrays of floats: one function lists the arrays, and serves to measure and
 * to place them.
 */
#ifndef SPL_BASE_ARENA_H
#define SPL_BASE_ARENA_H

#include "base/error.h"

/* Consecutive pieces of one block of floats. Without a block it only counts. */
typedef struct spl_arena {
    float *block;
    size_t used; /* floats */
} spl_arena;

/* Takes the same pieces from `arena` in each call. */
typedef void (*spl_arena_plan)(void *user, spl_arena *arena);

/* Returns `floats` floats, aligned to 64 bytes; NULL while only counting. */
float *spl_arena_take(spl_arena *arena, size_t floats);

/* Returns the number of floats that `plan` takes. */
size_t spl_arena_measure(spl_arena_plan plan, void *user);

/* Allocates a zeroed block, in huge pages where the kernel has them, and lets `plan` take its
 * pieces from it. Pages are committed when first touched. The caller owns *ret_arena
 * (spl_arena_free). Errors: MEMORY. */
SPL_WARN_UNUSED int spl_arena_new(spl_arena_plan plan, void *user, spl_arena *ret_arena,
                                  spl_error *ret_error);

/* Frees the block; a zeroed arena is allowed. */
void spl_arena_free(spl_arena *arena);

#endif

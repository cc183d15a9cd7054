/* SPDX-License-Identifier: MIT */
#include "base/arena.h"

#include "base/macros.h"

#include <stdint.h>
#include <sys/mman.h>

enum { LINE = 16 /* floats in a cache line */ };

float *spl_arena_take(spl_arena *arena, size_t floats) {
    float *piece = arena->block ? arena->block + arena->used : NULL;
    arena->used += spl_round_up(floats, LINE);
    return piece;
}

static const size_t huge_page_bytes = 2 << 20;

static size_t block_size(size_t floats) {
    return spl_round_up(floats * sizeof(float), huge_page_bytes);
}

static float *allocate_block(size_t floats) {
    const size_t bytes = block_size(floats);
    char *wider = mmap(NULL, bytes + huge_page_bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (wider == MAP_FAILED)
        return NULL;
    const size_t before = -(uintptr_t)wider % huge_page_bytes;
    if (before > 0)
        munmap(wider, before);
    munmap(wider + before + bytes, huge_page_bytes - before);
    madvise(wider + before, bytes, MADV_HUGEPAGE);
    return (float *)(wider + before);
}

size_t spl_arena_measure(spl_arena_plan plan, void *user) {
    spl_arena counter = {0};
    plan(user, &counter);
    return counter.used;
}

int spl_arena_new(spl_arena_plan plan, void *user, spl_arena *ret_arena, spl_error *ret_error) {
    spl_arena arena = {.block = allocate_block(spl_arena_measure(plan, user))};
    if (!arena.block)
        return spl_fail_memory(ret_error);
    plan(user, &arena);
    *ret_arena = arena;
    return 0;
}

void spl_arena_free(spl_arena *arena) {
    if (arena->block)
        munmap(arena->block, block_size(arena->used));
}

/* SPDX-License-Identifier: MIT
 *
 * Small helpers for all modules: ownership, sizes, checked arithmetic.
 */
#ifndef SPL_BASE_MACROS_H
#define SPL_BASE_MACROS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SPL_ARRAY_SIZE(a)       (sizeof(a) / sizeof((a)[0]))
#define SPL_MIN(a, b)           ((a) < (b) ? (a) : (b))
#define SPL_MAX(a, b)           ((a) > (b) ? (a) : (b))
#define SPL_PRINTF(text, first) __attribute__((format(printf, text, first)))

/* Frees a variable when it leaves its scope: SPL_CLEANUP(spl_free_p) char *text = ...; */
#define SPL_CLEANUP(function) __attribute__((cleanup(function)))

static inline void spl_free_p(void *pointer) {
    void **p = pointer;
    free(*p);
}

/* As spl_free_p for a secret text: wipes it first. */
static inline void spl_wipe_p(char **text) {
    if (*text)
        explicit_bzero(*text, strlen(*text));
    free(*text);
}

static inline void spl_close_p(int *fd) {
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* The plural suffix after a number: "1 file", "2 files". */
#define SPL_PLURAL(count) ((count) == 1 ? "" : "s")

/* Returns `pointer` and sets it to NULL, so that a cleanup does not free it. */
#define SPL_STEAL(pointer)                                                                         \
    __extension__({                                                                                \
        __auto_type steal_value_ = (pointer);                                                      \
        (pointer) = NULL;                                                                          \
        steal_value_;                                                                              \
    })

static inline int spl_steal_fd(int *fd) {
    int value = *fd;
    *fd = -1;
    return value;
}

/* *ret = a * b or a + b; returns false on overflow. */
static inline bool spl_mul_size(size_t a, size_t b, size_t *ret) {
    return !__builtin_mul_overflow(a, b, ret);
}

static inline bool spl_add_size(size_t a, size_t b, size_t *ret) {
    return !__builtin_add_overflow(a, b, ret);
}

static inline size_t spl_round_up(size_t n, size_t multiple) {
    return (n + multiple - 1) / multiple * multiple;
}

/* Whether all numbers are finite: infinity and NaN have all bits of the exponent set. */
static inline bool spl_all_finite(const float *numbers, size_t count) {
    uint32_t found = 0;
    for (size_t n = 0; n < count; n++) {
        uint32_t bits;
        memcpy(&bits, &numbers[n], sizeof(bits));
        found |= (bits & 0x7f800000u) == 0x7f800000u;
    }
    return !found;
}

#endif

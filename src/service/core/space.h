/* SPDX-License-Identifier: MIT
 *
 * Disk space of DATA_DIR: one account for everything that is written there in proportion to what
 * clients send or request. A writer holds a grant for the bytes that it will write. Granted bytes
 * count as used until they are written, so concurrent writers cannot go below the minimum together.
 *
 *     spl_space_grant grant = {.space = space, .use = SPL_SPACE_ACCEPT};
 *     spl_space_check(&grant, announced_bytes, &error);     if a size was announced
 *     spl_space_reserve(&grant, bytes, &error);             if the size is known in advance
 *     spl_space_take(&grant, size, &error);                 before each write
 *     spl_space_spend(&grant, size);                        after it
 *     spl_space_release(&grant);                            at the end, in any case
 *
 * A writer that cannot call these functions, such as a helper process, needs a thread that watches
 * the size of its file: it spends what the file has grown by and takes the next piece.
 *
 * The account is thread-safe. A grant may be used by one thread at a time.
 */
#ifndef SPL_SERVICE_CORE_SPACE_H
#define SPL_SERVICE_CORE_SPACE_H

#include "base/error.h"

typedef struct spl_space spl_space;

typedef enum spl_space_use {
    /* New work and reading, such as uploads and copies of stems: SPLEETER_MIN_FREE_DISK_MB stays
     * free. */
    SPL_SPACE_ACCEPT,
    /* Accepted work, such as outputs and copies of inputs: half of that stays free, so a disk on
     * which no upload fits can still finish jobs. */
    SPL_SPACE_FINISH,
} spl_space_use;

/* A writer sets `space` and `use`. A grant that is zeroed or whose `space` is NULL is unlimited. */
typedef struct spl_space_grant {
    spl_space *space;
    spl_space_use use;
    uint64_t left_bytes; /* granted and not written yet */
} spl_space_grant;

/* The account of the file system that contains `folder`. Errors: NOT_FOUND, PERMISSION, MEMORY,
 * IO. */
SPL_WARN_UNUSED int spl_space_open(const char *folder, uint64_t min_free_bytes,
                                   spl_space **ret_space, spl_error *ret_error);
/* No grant may be in use. NULL is allowed. */
void spl_space_close(spl_space *space);

/* New work also leaves this many files (inodes) free, where the file system has a limit: a job
 * makes up to two for each output. */
#define SPL_SPACE_MIN_FILES 512

/* Whether new work does not even fit without regard to grants. Errors: IO. */
SPL_WARN_UNUSED int spl_space_is_full(const spl_space *space, bool *ret_full, spl_error *ret_error);
/* What is free on the disk, without regard to grants. Errors: IO. */
SPL_WARN_UNUSED int spl_space_free_bytes(const spl_space *space, uint64_t *ret_bytes,
                                         spl_error *ret_error);

/* Whether a grant of `bytes` would fit now. Grants nothing, so an announcement does not keep other
 * writers from the disk. Errors: NO_SPACE, IO. */
SPL_WARN_UNUSED int spl_space_check(const spl_space_grant *grant, uint64_t bytes,
                                    spl_error *ret_error);
/* Enlarges the grant to `bytes` that are not written yet; a larger one is left as it is. Errors:
 * NO_SPACE, IO; the grant is unchanged then. */
SPL_WARN_UNUSED int spl_space_reserve(spl_space_grant *grant, uint64_t bytes, spl_error *ret_error);
/* As spl_space_reserve, but takes about 1 MiB at once if there is room for it. For writers whose
 * size is unknown. */
SPL_WARN_UNUSED int spl_space_take(spl_space_grant *grant, uint64_t bytes, spl_error *ret_error);
/* `bytes` of the grant were written. */
void spl_space_spend(spl_space_grant *grant, uint64_t bytes);
/* Returns the rest of the grant. May be called again. */
void spl_space_release(spl_space_grant *grant);

#endif

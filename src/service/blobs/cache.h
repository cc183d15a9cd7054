/* SPDX-License-Identifier: MIT
 *
 * A folder of copies of files that can be fetched again. Bytes count as soon as they arrive, and
 * until the last descriptor of the copy is closed. When the folder exceeds its size limit or the
 * disk is full, the least recently used copies that nobody has open are removed. Thread-safe.
 */
#ifndef SPL_SERVICE_BLOBS_CACHE_H
#define SPL_SERVICE_BLOBS_CACHE_H

#include "service/blobs/blobs.h"

#include <pthread.h>

/* What one reader may have open at once: this part of the cache. */
#define SPL_CACHE_READER_PART 2

typedef struct spl_cache {
    int folder;
    spl_space *space; /* may be NULL */
    uint64_t most_bytes;
    pthread_mutex_t lock; /* protects the members below */
    pthread_cond_t fetched;
    uint64_t bytes; /* of all copies, also of those that are being fetched */
    struct spl_cache_use *uses;
} spl_cache;

/* A copy that is being fetched. */
typedef struct spl_cache_fetch spl_cache_fetch;

/* Takes ownership of the folder's descriptor, and empties the folder. `space` is the account of its
 * disk. */
void spl_cache_open(int folder, uint64_t most_bytes, spl_space *space, spl_cache *ret_cache);
void spl_cache_close(spl_cache *cache);

/* Opens a copy for reading. If it is missing, `fetch` fills a new one; if another thread is already
 * fetching it, the call waits. The descriptor stays valid when the copy is removed.
 *
 * `reader` is the key for which the copy is opened: it may have one copy open, and more up to its
 * part of the limit, as long as all readers together keep the limit. NULL stands for accepted work,
 * which has no limit but that of the disk.
 *
 * Errors also: LIMIT (the reader has too much open), CANCELED (by `wait`, which may be NULL). */
SPL_WARN_UNUSED int
spl_cache_get(spl_cache *cache, const char *name, const char *reader,
              int (*fetch)(void *user, spl_cache_fetch *into, spl_error *ret_error), void *user,
              const spl_blob_wait *wait, int *ret_fd, spl_error *ret_error);
/* For `fetch`: the descriptor of the file, and writing into it. Errors: LIMIT, NO_SPACE, IO. */
int spl_cache_fetch_fd(const spl_cache_fetch *fetch);
SPL_WARN_UNUSED int spl_cache_put(spl_cache_fetch *fetch, const void *data, size_t size,
                                  uint64_t position, spl_error *ret_error);
/* Removes the copy of a file that was deleted or replaced. */
void spl_cache_forget(spl_cache *cache, const char *name);
/* Removes the copies that were not used in the last `unused_s` seconds. */
void spl_cache_sweep(spl_cache *cache, unsigned unused_s);

#endif

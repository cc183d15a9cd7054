/* SPDX-License-Identifier: MIT
 *
 * A folder of files that can be fetched again. Bytes count as soon as they arrive. When the folder
 * exceeds its size limit, the least recently used files are removed. Thread-safe.
 */
#ifndef SPL_SERVICE_BLOBS_CACHE_H
#define SPL_SERVICE_BLOBS_CACHE_H

#include "service/blobs/blobs.h"

#include <pthread.h>

typedef struct spl_cache {
    int folder;
    spl_space *space; /* may be NULL */
    uint64_t most_bytes;
    uint64_t bytes;       /* of the files, and of those that are being fetched */
    pthread_mutex_t lock; /* guards `bytes` */
    pthread_mutex_t fetches_lock;
    pthread_cond_t fetches_changed;
    struct spl_cache_fetch *fetches; /* guarded by fetches_lock; at most one per file */
} spl_cache;

/* A file that is being fetched. */
typedef struct spl_cache_fetch spl_cache_fetch;

/* Takes ownership of the folder's descriptor, and empties the folder. `space` is the account of its
 * disk. */
void spl_cache_open(int folder, uint64_t most_bytes, spl_space *space, spl_cache *ret_cache);
void spl_cache_close(spl_cache *cache);

/* Opens a file for reading. If it is missing, `fetch` fills a new one; if another thread is already
 * fetching it, the call waits. The descriptor stays valid when the file is removed. Errors also:
 * CANCELED (by `wait`, which may be NULL). */
SPL_WARN_UNUSED int
spl_cache_get(spl_cache *cache, const char *name,
              int (*fetch)(void *user, spl_cache_fetch *into, spl_error *ret_error), void *user,
              const spl_blob_wait *wait, int *ret_fd, spl_error *ret_error);
/* For `fetch`: the descriptor of the file, and writing into it. The least recently used files make
 * room, both for the cache's limit and if the disk is full. Errors: NO_SPACE, IO. */
int spl_cache_fetch_fd(const spl_cache_fetch *fetch);
SPL_WARN_UNUSED int spl_cache_put(spl_cache_fetch *fetch, const void *data, size_t size,
                                  uint64_t position, spl_error *ret_error);
/* Removes a file whose original was deleted or replaced. */
void spl_cache_forget(spl_cache *cache, const char *name);
/* Removes the files that were not used in the last `unused_s` seconds. */
void spl_cache_sweep(spl_cache *cache, unsigned unused_s);

#endif

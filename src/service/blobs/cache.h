/* SPDX-License-Identifier: MIT
 *
 * A folder of files that can be had again: when it holds more than it may, those that were used
 * longest ago go. Thread-safe.
 */
#ifndef SPL_SERVICE_BLOBS_CACHE_H
#define SPL_SERVICE_BLOBS_CACHE_H

#include "service/blobs/blobs.h"

#include <pthread.h>

typedef struct spl_cache {
    int folder;
    uint64_t most_bytes, bytes;
    pthread_mutex_t lock; /* of `bytes` */
    pthread_mutex_t fetches_lock;
    pthread_cond_t fetches_changed;
    struct spl_cache_fetch *fetches; /* under fetches_lock; one of a file at a time */
} spl_cache;

/* Takes over the descriptor of the folder, and empties it. */
void spl_cache_open(int folder, uint64_t most_bytes, spl_cache *ret_cache);
void spl_cache_close(spl_cache *cache);

/* Opens the file for reading; when it is not there, `fetch` fills a new one first; one that is
 * being fetched already is waited for. The descriptor stays good also when the file goes. CANCELED:
 * by `wait`, which may be NULL. */
SPL_WARN_UNUSED int spl_cache_get(spl_cache *cache, const char *name,
                                  int (*fetch)(void *user, int fd, spl_error *ret_error),
                                  void *user, const spl_blob_wait *wait, int *ret_fd,
                                  spl_error *ret_error);
/* What the name stands for is gone, or another. */
void spl_cache_forget(spl_cache *cache, const char *name);
/* Forgets what nobody asked for in the last `unused_s` seconds. */
void spl_cache_sweep(spl_cache *cache, unsigned unused_s);

#endif

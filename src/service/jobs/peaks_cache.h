/* SPDX-License-Identifier: MIT
 *
 * A cache of the peaks of whole files, keyed by the SHA-256 of the file. Concurrent requests for a
 * file share one computation, and its result stays cached until newer ones need the memory. A
 * computation is stopped when no client waits for it any more. Thread-safe.
 */
#ifndef SPL_SERVICE_JOBS_PEAKS_CACHE_H
#define SPL_SERVICE_JOBS_PEAKS_CACHE_H

#include "service/core/problem.h"

#include <pthread.h>

/* The minimum and maximum sample of each run of samples, each as a signed byte. */
typedef struct spl_peaks {
    uint64_t samples_per_peak;
    size_t count;
    uint8_t *data; /* 2 * count bytes */
    unsigned rate_hz;
} spl_peaks;

typedef struct spl_peaks_entry spl_peaks_entry;

typedef struct spl_peaks_cache {
    size_t bytes_max;       /* limit for cached entries; entries in use may exceed it */
    pthread_mutex_t lock;   /* protects the members below */
    pthread_cond_t changed; /* an entry became ready or failed */
    spl_peaks_entry *first; /* most recently used first */
    size_t bytes;
} spl_peaks_cache;

/* Computes peaks for the cache. */
typedef struct spl_peaks_maker {
    /* Computes the peaks; the cache takes ownership of ret_peaks->data. Returns a negative status
     * with a problem if it fails or if spl_peaks_unwanted(entry), which it must poll often, is
     * non-zero. */
    int (*make)(void *user, spl_peaks_entry *entry, spl_peaks *ret_peaks, spl_problem *ret_problem);
    /* Non-zero: the caller's client has disconnected. May be NULL. */
    int (*canceled)(void *user);
    void *user;
} spl_peaks_maker;

void spl_peaks_cache_init(spl_peaks_cache *cache, size_t bytes_max);
/* The cache must not be in use by any thread. */
void spl_peaks_cache_destroy(spl_peaks_cache *cache);

/* Finds or computes the peaks. Release *ret_entry with spl_peaks_cache_release. Problems: those of
 * `make`; UNAVAILABLE if the client has disconnected. */
SPL_WARN_UNUSED int spl_peaks_cache_take(spl_peaks_cache *cache, const char *sha256,
                                         const spl_peaks_maker *maker, spl_peaks_entry **ret_entry,
                                         spl_problem *ret_problem);
const spl_peaks *spl_peaks_cache_get(const spl_peaks_entry *entry);
void spl_peaks_cache_release(spl_peaks_cache *cache, spl_peaks_entry *entry);

/* For spl_peaks_maker.make: `user` is the entry that is being computed. Non-zero if all clients
 * that wanted it have disconnected; from then on no other thread can join the computation. */
int spl_peaks_unwanted(void *user);

#endif

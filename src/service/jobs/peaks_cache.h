/* SPDX-License-Identifier: MIT
 *
 * Peaks of whole files, by the SHA-256 of the file. They are computed once for all who ask
 * meanwhile, and kept for those who ask later until newer ones need the memory. A computation that
 * nobody waits for any more is told to stop. Thread-safe.
 */
#ifndef SPL_SERVICE_JOBS_PEAKS_CACHE_H
#define SPL_SERVICE_JOBS_PEAKS_CACHE_H

#include "service/core/problem.h"

#include <pthread.h>

/* The least and the greatest sample of each run of samples, each as a signed byte. */
typedef struct spl_peaks {
    uint64_t samples_per_peak;
    size_t count;
    uint8_t *data; /* 2 * count bytes */
    unsigned rate_hz;
} spl_peaks;

typedef struct spl_peaks_entry spl_peaks_entry;

typedef struct spl_peaks_cache {
    size_t bytes_max;       /* of what is kept, beside what is in use */
    pthread_mutex_t lock;   /* of what follows */
    pthread_cond_t changed; /* an entry is ready or failed */
    spl_peaks_entry *first; /* the one used last comes first */
    size_t bytes;
} spl_peaks_cache;

/* How peaks come to be. */
typedef struct spl_peaks_maker {
    /* Computes them; ret_peaks->data is the cache's. Returns a negative status with a problem when
     * it fails or when `entry` is not wanted any more (spl_peaks_unwanted, to be asked often). */
    int (*make)(void *user, spl_peaks_entry *entry, spl_peaks *ret_peaks, spl_problem *ret_problem);
    /* Whether the caller's client has gone. May be NULL. */
    int (*canceled)(void *user);
    void *user;
} spl_peaks_maker;

void spl_peaks_cache_init(spl_peaks_cache *cache, size_t bytes_max);
/* Nobody may use it. */
void spl_peaks_cache_destroy(spl_peaks_cache *cache);

/* *ret_entry is given back by spl_peaks_cache_release. Problems: those of `make`; UNAVAILABLE when
 * the client has gone. */
SPL_WARN_UNUSED int spl_peaks_cache_take(spl_peaks_cache *cache, const char *sha256,
                                         const spl_peaks_maker *maker, spl_peaks_entry **ret_entry,
                                         spl_problem *ret_problem);
const spl_peaks *spl_peaks_cache_get(const spl_peaks_entry *entry);
void spl_peaks_cache_release(spl_peaks_cache *cache, spl_peaks_entry *entry);

/* spl_decode_options.canceled and the like: `user` is the entry that is being made. Non-zero when
 * all who wanted it have gone; from then on nobody can join. */
int spl_peaks_unwanted(void *user);

#endif

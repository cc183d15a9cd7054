/* SPDX-License-Identifier: MIT
 *
 * A list of entries under one lock. The first thread to request a file's peaks computes them for
 * all threads that request them meanwhile.
 */
#include "service/jobs/peaks_cache.h"

#include "base/clock.h"

#include <string.h>
#include <time.h>

#define POLL_MS 250

struct spl_peaks_entry {
    spl_peaks_entry *next;
    spl_peaks_cache *cache;
    const spl_peaks_maker *maker; /* during the computation */
    char sha256[65];
    bool listed;    /* in the list of the cache */
    bool ready;     /* `peaks` is valid */
    int status;     /* of the maker, after it has ended */
    unsigned users; /* threads that use, await or compute it */
    spl_peaks peaks;
    spl_problem problem;
};

void spl_peaks_cache_init(spl_peaks_cache *cache, size_t bytes_max) {
    *cache = (spl_peaks_cache){.bytes_max = bytes_max};
    pthread_mutex_init(&cache->lock, NULL);
    spl_clock_cond_init(&cache->changed);
}

static void unlist(spl_peaks_entry *entry) {
    spl_peaks_entry **at = &entry->cache->first;
    while (*at && *at != entry)
        at = &(*at)->next;
    if (*at)
        *at = entry->next;
    entry->listed = false;
}

static void list_first(spl_peaks_entry *entry) {
    entry->next = entry->cache->first;
    entry->cache->first = entry;
    entry->listed = true;
}

static void free_entry(spl_peaks_entry *entry) {
    entry->cache->bytes -= 2 * entry->peaks.count;
    free(entry->peaks.data);
    free(entry);
}

void spl_peaks_cache_destroy(spl_peaks_cache *cache) {
    while (cache->first) {
        spl_peaks_entry *entry = cache->first;
        unlist(entry);
        free_entry(entry);
    }
    pthread_cond_destroy(&cache->changed);
    pthread_mutex_destroy(&cache->lock);
}

/* Evicts the least recently used entries that are not in use until the rest fits. */
static void make_room(spl_peaks_cache *cache) {
    while (cache->bytes > cache->bytes_max) {
        spl_peaks_entry *last = NULL;
        for (spl_peaks_entry *entry = cache->first; entry; entry = entry->next)
            last = entry->users == 0 ? entry : last;
        if (!last)
            return;
        unlist(last);
        free_entry(last);
    }
}

static void release(spl_peaks_entry *entry) {
    entry->users--;
    if (entry->users == 0 && !entry->listed)
        free_entry(entry);
    else
        make_room(entry->cache);
}

void spl_peaks_cache_release(spl_peaks_cache *cache, spl_peaks_entry *entry) {
    pthread_mutex_lock(&cache->lock);
    release(entry);
    pthread_mutex_unlock(&cache->lock);
}

const spl_peaks *spl_peaks_cache_get(const spl_peaks_entry *entry) {
    return &entry->peaks;
}

int spl_peaks_unwanted(void *user) {
    spl_peaks_entry *entry = user;
    const spl_peaks_maker *maker = entry->maker;
    if (!maker->canceled || !maker->canceled(maker->user))
        return 0;
    pthread_mutex_lock(&entry->cache->lock);
    const bool alone = entry->users == 1;
    if (alone && entry->listed)
        unlist(entry);
    pthread_mutex_unlock(&entry->cache->lock);
    return alone;
}

static spl_peaks_entry *find(spl_peaks_cache *cache, const char *sha256) {
    for (spl_peaks_entry *entry = cache->first; entry; entry = entry->next) {
        if (strcmp(entry->sha256, sha256) == 0)
            return entry;
    }
    return NULL;
}

static spl_peaks_entry *add(spl_peaks_cache *cache, const char *sha256,
                            const spl_peaks_maker *maker) {
    spl_peaks_entry *entry = calloc(1, sizeof(*entry));
    if (!entry)
        return NULL;
    entry->cache = cache;
    entry->maker = maker;
    entry->users = 1;
    memcpy(entry->sha256, sha256, SPL_MIN(strlen(sha256), sizeof(entry->sha256) - 1));
    list_first(entry);
    return entry;
}

/* Computes the peaks without holding the lock. */
static void make(spl_peaks_cache *cache, spl_peaks_entry *entry) {
    const spl_peaks_maker *maker = entry->maker;
    pthread_mutex_unlock(&cache->lock);
    spl_peaks peaks = {0};
    spl_problem problem = {0};
    const int status = maker->make(maker->user, entry, &peaks, &problem);
    pthread_mutex_lock(&cache->lock);
    entry->status = status;
    entry->ready = status == 0;
    if (entry->ready) {
        entry->peaks = peaks;
        cache->bytes += 2 * peaks.count;
    } else {
        entry->problem = problem;
        if (entry->listed)
            unlist(entry);
    }
    entry->maker = NULL;
    pthread_cond_broadcast(&cache->changed);
}

/* Waits until another thread has computed the peaks. Returns false if the client has
 * disconnected. */
static bool wait_for(spl_peaks_cache *cache, const spl_peaks_entry *entry,
                     const spl_peaks_maker *own) {
    while (!entry->ready && entry->status == 0) {
        const struct timespec next_poll = spl_clock_in(POLL_MS);
        pthread_cond_timedwait(&cache->changed, &cache->lock, &next_poll);
        if (entry->ready || entry->status < 0 || !own->canceled)
            continue;
        pthread_mutex_unlock(&cache->lock);
        const int canceled = own->canceled(own->user);
        pthread_mutex_lock(&cache->lock);
        if (canceled)
            return false;
    }
    return true;
}

int spl_peaks_cache_take(spl_peaks_cache *cache, const char *sha256, const spl_peaks_maker *maker,
                         spl_peaks_entry **ret_entry, spl_problem *ret_problem) {
    int status = 0;
    pthread_mutex_lock(&cache->lock);
    spl_peaks_entry *entry = find(cache, sha256);
    if (entry) {
        entry->users++;
        unlist(entry);
        list_first(entry);
        if (!wait_for(cache, entry, maker))
            status = spl_refuse_disconnected(ret_problem);
    } else {
        entry = add(cache, sha256, maker);
        if (entry)
            make(cache, entry);
        else
            status = spl_refuse_memory(ret_problem);
    }
    if (status == 0 && entry->status < 0) {
        status = entry->status;
        *ret_problem = entry->problem;
    }
    if (status == 0)
        *ret_entry = entry;
    else if (entry)
        release(entry);
    pthread_mutex_unlock(&cache->lock);
    return status;
}

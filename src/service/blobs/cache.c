/* SPDX-License-Identifier: MIT
 *
 * The modification time of a file is the time of its last use.
 */
#include "service/blobs/cache.h"

#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define NEW_SUFFIX ".new"
#define POLL_MS    100

#define PIECE_BYTES ((uint64_t)1 << 20) /* in which fetched bytes are counted */

struct spl_cache_fetch {
    spl_cache *cache;
    const char *name;
    int fd;
    spl_space_grant grant;
    uint64_t counted_bytes; /* part of cache->bytes */
    struct spl_cache_fetch *next;
};

/* Whether the name is one of the cache's: JOB~NAME, possibly with NEW_SUFFIX. */
static bool is_own_name(const char *name) {
    char job[SPL_BLOB_NAME_MAX + 1];
    const char *tilde = strchr(name, '~');
    if (!tilde || (size_t)(tilde - name) >= sizeof(job))
        return false;
    snprintf(job, sizeof(job), "%.*s", (int)(tilde - name), name);
    return spl_blob_check_names(job, tilde + 1, NULL) == 0;
}

/* Calls `visit` for each file of the cache. */
static void visit_files(const spl_cache *cache,
                        void (*visit)(void *user, const char *name, const struct stat *file),
                        void *user) {
    int again = openat(cache->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *listing = again < 0 ? NULL : fdopendir(again);
    if (!listing) {
        spl_close_p(&again);
        return;
    }
    const struct dirent *entry;
    struct stat file;
    while ((entry = readdir(listing))) {
        if (is_own_name(entry->d_name) &&
            fstatat(cache->folder, entry->d_name, &file, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(file.st_mode))
            visit(user, entry->d_name, &file);
    }
    closedir(listing);
}

static void remove_one(void *user, const char *name, const struct stat *file) {
    (void)file;
    const spl_cache *cache = user;
    unlinkat(cache->folder, name, 0);
}

void spl_cache_open(int folder, uint64_t most_bytes, spl_space *space, spl_cache *ret_cache) {
    *ret_cache = (spl_cache){.folder = folder, .space = space, .most_bytes = most_bytes};
    pthread_mutex_init(&ret_cache->lock, NULL);
    pthread_mutex_init(&ret_cache->fetches_lock, NULL);
    spl_clock_cond_init(&ret_cache->fetches_changed);
    visit_files(ret_cache, remove_one, ret_cache);
}

void spl_cache_close(spl_cache *cache) {
    pthread_mutex_destroy(&cache->lock);
    pthread_mutex_destroy(&cache->fetches_lock);
    pthread_cond_destroy(&cache->fetches_changed);
    spl_close_p(&cache->folder);
}

typedef struct oldest_file {
    char name[256];
    struct timespec used;
    uint64_t bytes;
} oldest_file;

static void look_for_oldest(void *user, const char *name, const struct stat *file) {
    oldest_file *oldest = user;
    const struct timespec used = file->st_mtim;
    if (strlen(name) >= sizeof(oldest->name) || strstr(name, NEW_SUFFIX) ||
        (oldest->name[0] &&
         (used.tv_sec > oldest->used.tv_sec ||
          (used.tv_sec == oldest->used.tv_sec && used.tv_nsec >= oldest->used.tv_nsec))))
        return;
    snprintf(oldest->name, sizeof(oldest->name), "%s", name);
    oldest->used = used;
    oldest->bytes = (uint64_t)file->st_size;
}

/* Removes the least recently used file. Returns false if there is none. The caller holds the
 * lock. */
static bool remove_oldest(spl_cache *cache) {
    oldest_file oldest = {0};
    visit_files(cache, look_for_oldest, &oldest);
    if (!oldest.name[0] || unlinkat(cache->folder, oldest.name, 0) < 0)
        return false;
    cache->bytes -= SPL_MIN(oldest.bytes, cache->bytes);
    return true;
}

/* Changes the bytes that a fetch counts for, and keeps the limit. */
static void count(spl_cache_fetch *fetch, uint64_t bytes) {
    spl_cache *cache = fetch->cache;
    pthread_mutex_lock(&cache->lock);
    cache->bytes += bytes;
    cache->bytes -= SPL_MIN(fetch->counted_bytes, cache->bytes);
    fetch->counted_bytes = bytes;
    while (cache->bytes > cache->most_bytes && remove_oldest(cache))
        continue;
    pthread_mutex_unlock(&cache->lock);
}

/* As spl_space_take; removes files until there is room. */
static int take_space(spl_cache_fetch *fetch, size_t size, spl_error *ret_error) {
    spl_cache *cache = fetch->cache;
    for (;;) {
        int status = spl_space_take(&fetch->grant, size, ret_error);
        if (status != SPL_E_NO_SPACE)
            return status;
        pthread_mutex_lock(&cache->lock);
        const bool removed = remove_oldest(cache);
        pthread_mutex_unlock(&cache->lock);
        if (!removed)
            return status;
    }
}

int spl_cache_fetch_fd(const spl_cache_fetch *fetch) {
    return fetch->fd;
}

int spl_cache_put(spl_cache_fetch *fetch, const void *data, size_t size, uint64_t position,
                  spl_error *ret_error) {
    if (position + size > fetch->counted_bytes)
        count(fetch, position + SPL_MAX(size, PIECE_BYTES));
    int status = take_space(fetch, size, ret_error);
    for (size_t done = 0; status == 0 && done < size;) {
        const ssize_t put =
            pwrite(fetch->fd, (const char *)data + done, size - done, (off_t)(position + done));
        if (put < 0)
            status = spl_fail_errno(ret_error, errno, "cannot write a file of the cache");
        else
            done += (size_t)put;
    }
    if (status == 0)
        spl_space_spend(&fetch->grant, size);
    return status;
}

/* Skips entries that are not regular files. Opening a FIFO does not block. */
static int open_cached(const spl_cache *cache, const char *name) {
    struct stat file;
    SPL_CLEANUP(spl_close_p)
    int fd = openat(cache->folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &file) < 0 || !S_ISREG(file.st_mode))
        return -1;
    futimens(fd, NULL);
    return spl_steal_fd(&fd);
}

static int fetch_new(spl_cache_fetch *own,
                     int (*fetch)(void *user, spl_cache_fetch *into, spl_error *ret_error),
                     void *user, int *ret_fd, spl_error *ret_error) {
    const int folder = own->cache->folder;
    char new_name[256];
    snprintf(new_name, sizeof(new_name), "%s" NEW_SUFFIX, own->name);
    SPL_CLEANUP(spl_close_p)
    int fd = openat(folder, new_name, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return spl_fail_errno(ret_error, errno, "cannot make a file in the cache");
    own->fd = fd;
    struct stat file;
    int status = fetch(user, own, ret_error);
    if (status == 0 && (fstat(fd, &file) < 0 || renameat(folder, new_name, folder, own->name) < 0))
        status = spl_fail_errno(ret_error, errno, "cannot keep a file in the cache");
    spl_space_release(&own->grant);
    if (status < 0)
        unlinkat(folder, new_name, 0);
    count(own, status < 0 ? 0 : (uint64_t)file.st_size);
    if (status == 0)
        *ret_fd = spl_steal_fd(&fd);
    return status;
}

static bool is_being_fetched(const spl_cache *cache, const char *name) {
    const struct spl_cache_fetch *fetch = cache->fetches;
    while (fetch && strcmp(fetch->name, name) != 0)
        fetch = fetch->next;
    return fetch;
}

/* Waits until no thread fetches the file. The caller holds fetches_lock. */
static int wait_for_fetch(spl_cache *cache, const char *name, const spl_blob_wait *wait,
                          spl_error *ret_error) {
    while (is_being_fetched(cache, name)) {
        if (spl_blob_wait_canceled(wait))
            return spl_fail(ret_error, SPL_E_CANCELED, "the wait for a file was canceled");
        const struct timespec deadline = spl_clock_in(POLL_MS);
        pthread_cond_timedwait(&cache->fetches_changed, &cache->fetches_lock, &deadline);
    }
    return 0;
}

static void begin_fetch(spl_cache *cache, spl_cache_fetch *fetch) {
    fetch->next = cache->fetches;
    cache->fetches = fetch;
}

static void end_fetch(spl_cache *cache, spl_cache_fetch *fetch) {
    pthread_mutex_lock(&cache->fetches_lock);
    struct spl_cache_fetch **at = &cache->fetches;
    while (*at != fetch)
        at = &(*at)->next;
    *at = fetch->next;
    pthread_cond_broadcast(&cache->fetches_changed);
    pthread_mutex_unlock(&cache->fetches_lock);
}

int spl_cache_get(spl_cache *cache, const char *name,
                  int (*fetch)(void *user, spl_cache_fetch *into, spl_error *ret_error), void *user,
                  const spl_blob_wait *wait, int *ret_fd, spl_error *ret_error) {
    spl_cache_fetch own = {.cache = cache,
                           .name = name,
                           .fd = -1,
                           .grant = {.space = cache->space, .use = SPL_SPACE_FINISH}};
    int fd = -1;
    pthread_mutex_lock(&cache->fetches_lock);
    int status = wait_for_fetch(cache, name, wait, ret_error);
    if (status == 0)
        fd = open_cached(cache, name);
    const bool fetches = status == 0 && fd < 0;
    if (fetches)
        begin_fetch(cache, &own);
    pthread_mutex_unlock(&cache->fetches_lock);
    if (fetches) {
        status = fetch_new(&own, fetch, user, &fd, ret_error);
        end_fetch(cache, &own);
    }
    if (status == 0)
        *ret_fd = fd;
    return status;
}

void spl_cache_forget(spl_cache *cache, const char *name) {
    struct stat file;
    pthread_mutex_lock(&cache->lock);
    if (fstatat(cache->folder, name, &file, AT_SYMLINK_NOFOLLOW) == 0 &&
        unlinkat(cache->folder, name, 0) == 0)
        cache->bytes -= SPL_MIN((uint64_t)file.st_size, cache->bytes);
    pthread_mutex_unlock(&cache->lock);
}

typedef struct sweep {
    spl_cache *cache;
    time_t before;
} sweep;

static void remove_unused(void *user, const char *name, const struct stat *file) {
    const sweep *own = user;
    if (file->st_mtim.tv_sec < own->before)
        spl_cache_forget(own->cache, name);
}

void spl_cache_sweep(spl_cache *cache, unsigned unused_s) {
    sweep own = {cache, time(NULL) - (time_t)unused_s};
    visit_files(cache, remove_unused, &own);
}

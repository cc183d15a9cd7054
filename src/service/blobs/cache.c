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
#define ASK_MS     100

struct spl_cache_fetch {
    const char *name;
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

void spl_cache_open(int folder, uint64_t most_bytes, spl_cache *ret_cache) {
    *ret_cache = (spl_cache){.folder = folder, .most_bytes = most_bytes};
    pthread_mutex_init(&ret_cache->lock, NULL);
    pthread_mutex_init(&ret_cache->fetches_lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&ret_cache->fetches_changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
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

/* Accounts for a new file, and removes the least recently used ones above the limit. */
static void account(spl_cache *cache, uint64_t bytes) {
    pthread_mutex_lock(&cache->lock);
    cache->bytes += bytes;
    while (cache->bytes > cache->most_bytes) {
        oldest_file oldest = {0};
        visit_files(cache, look_for_oldest, &oldest);
        if (!oldest.name[0] || unlinkat(cache->folder, oldest.name, 0) < 0)
            break;
        cache->bytes -= SPL_MIN(oldest.bytes, cache->bytes);
    }
    pthread_mutex_unlock(&cache->lock);
}

static int open_cached(const spl_cache *cache, const char *name) {
    int fd = openat(cache->folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0)
        futimens(fd, NULL);
    return fd;
}

static int fetch_new(spl_cache *cache, const char *name,
                     int (*fetch)(void *user, int fd, spl_error *ret_error), void *user,
                     int *ret_fd, spl_error *ret_error) {
    char new_name[256];
    snprintf(new_name, sizeof(new_name), "%s" NEW_SUFFIX, name);
    SPL_CLEANUP(spl_close_p)
    int fd =
        openat(cache->folder, new_name, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return spl_fail_errno(ret_error, errno, "cannot make a file in the cache");
    struct stat file;
    int status = fetch(user, fd, ret_error);
    if (status == 0 &&
        (fstat(fd, &file) < 0 || renameat(cache->folder, new_name, cache->folder, name) < 0))
        status = spl_fail_errno(ret_error, errno, "cannot keep a file in the cache");
    if (status < 0) {
        unlinkat(cache->folder, new_name, 0);
        return status;
    }
    account(cache, (uint64_t)file.st_size);
    *ret_fd = spl_steal_fd(&fd);
    return 0;
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
        const struct timespec deadline = spl_clock_in(ASK_MS);
        pthread_cond_timedwait(&cache->fetches_changed, &cache->fetches_lock, &deadline);
    }
    return 0;
}

static void begin_fetch(spl_cache *cache, struct spl_cache_fetch *fetch) {
    fetch->next = cache->fetches;
    cache->fetches = fetch;
}

static void end_fetch(spl_cache *cache, struct spl_cache_fetch *fetch) {
    pthread_mutex_lock(&cache->fetches_lock);
    struct spl_cache_fetch **at = &cache->fetches;
    while (*at != fetch)
        at = &(*at)->next;
    *at = fetch->next;
    pthread_cond_broadcast(&cache->fetches_changed);
    pthread_mutex_unlock(&cache->fetches_lock);
}

int spl_cache_get(spl_cache *cache, const char *name,
                  int (*fetch)(void *user, int fd, spl_error *ret_error), void *user,
                  const spl_blob_wait *wait, int *ret_fd, spl_error *ret_error) {
    struct spl_cache_fetch own = {.name = name};
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
        status = fetch_new(cache, name, fetch, user, &fd, ret_error);
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

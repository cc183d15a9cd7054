/* SPDX-License-Identifier: MIT
 *
 * The modification time of a file is the time of its last use. Each descriptor that is given out
 * has a shared lock (flock) on its file, which ends when its last duplicate is closed, whoever
 * closes it: a file that can be locked exclusively is not open.
 */
#include "service/blobs/cache.h"

#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#define NEW_SUFFIX ".new"
#define POLL_MS    100
#define NAME_SIZE  256

#define PIECE_BYTES ((uint64_t)1 << 20) /* in which fetched bytes are counted */

/* A copy that is being fetched, or that was given out and may still be open. */
typedef struct spl_cache_use {
    char name[NAME_SIZE]; /* "": the file was removed while it was open */
    int removed_fd;       /* of that file; else -1 */
    char reader[64];      /* "": accepted work */
    uint64_t bytes;
    bool fetching;
    struct spl_cache_use *next;
} spl_cache_use;

struct spl_cache_fetch {
    spl_cache *cache;
    spl_cache_use *use;
    int fd;
    spl_space_grant grant;
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
    spl_clock_cond_init(&ret_cache->fetched);
    visit_files(ret_cache, remove_one, ret_cache);
}

void spl_cache_close(spl_cache *cache) {
    while (cache->uses) {
        spl_cache_use *use = cache->uses;
        cache->uses = use->next;
        spl_close_p(&use->removed_fd);
        free(use);
    }
    pthread_mutex_destroy(&cache->lock);
    pthread_cond_destroy(&cache->fetched);
    spl_close_p(&cache->folder);
}

/* ------------------------------------------- copies in use; with the lock held ---- */

static spl_cache_use *find_use(const spl_cache *cache, const char *name) {
    spl_cache_use *use = cache->uses;
    while (use && strcmp(use->name, name) != 0)
        use = use->next;
    return use;
}

static spl_cache_use *add_use(spl_cache *cache, const char *name, const char *reader,
                              spl_error *ret_error) {
    spl_cache_use *use = calloc(1, sizeof(*use));
    if (!use) {
        spl_fail_memory(ret_error);
        return NULL;
    }
    use->removed_fd = -1;
    snprintf(use->name, sizeof(use->name), "%s", name);
    snprintf(use->reader, sizeof(use->reader), "%s", reader ? reader : "");
    use->next = cache->uses;
    cache->uses = use;
    return use;
}

static void end_use(spl_cache *cache, spl_cache_use *use) {
    spl_cache_use **at = &cache->uses;
    while (*at != use)
        at = &(*at)->next;
    *at = use->next;
    spl_close_p(&use->removed_fd);
    free(use);
}

static int open_file(const spl_cache *cache, const char *name) {
    return openat(cache->folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

static bool is_locked(int fd) {
    return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

static bool is_open(const spl_cache *cache, const spl_cache_use *use) {
    if (use->removed_fd >= 0)
        return is_locked(use->removed_fd);
    SPL_CLEANUP(spl_close_p) int fd = open_file(cache, use->name);
    return is_locked(fd);
}

static void subtract(spl_cache *cache, uint64_t bytes) {
    cache->bytes -= SPL_MIN(bytes, cache->bytes);
}

/* Ends the uses of files that nobody has open any more. */
static void review_uses(spl_cache *cache) {
    for (spl_cache_use *use = cache->uses, *next; use; use = next) {
        next = use->next;
        if (use->fetching || is_open(cache, use))
            continue;
        if (use->removed_fd >= 0)
            subtract(cache, use->bytes);
        end_use(cache, use);
    }
}

/* Whether the reader may have `bytes` open besides the other copies. */
static bool fits(const spl_cache *cache, const char *name, const char *reader, uint64_t bytes) {
    uint64_t all = 0, own = 0;
    for (const spl_cache_use *use = cache->uses; use; use = use->next) {
        if (!*use->reader || strcmp(use->name, name) == 0)
            continue;
        all += use->bytes;
        own += strcmp(use->reader, reader) == 0 ? use->bytes : 0;
    }
    return own == 0 || (own + bytes <= cache->most_bytes / SPL_CACHE_READER_PART &&
                        all + bytes <= cache->most_bytes);
}

static int check_limit(spl_cache *cache, const char *name, const char *reader, uint64_t bytes,
                       spl_error *ret_error) {
    if (!reader || !*reader || fits(cache, name, reader, bytes))
        return 0;
    review_uses(cache);
    if (fits(cache, name, reader, bytes))
        return 0;
    return spl_fail(ret_error, SPL_E_LIMIT,
                    "too many copies of stored files are being read at once (SPLEETER_CACHE_MB)");
}

/* ---------------------------------------------- making room; with the lock held ---- */

typedef struct oldest_file {
    const spl_cache *cache;
    char name[NAME_SIZE];
    struct timespec used;
    uint64_t bytes;
} oldest_file;

static void look_for_oldest(void *user, const char *name, const struct stat *file) {
    oldest_file *oldest = user;
    const struct timespec used = file->st_mtim;
    if (strlen(name) >= sizeof(oldest->name) || strstr(name, NEW_SUFFIX) ||
        (oldest->name[0] &&
         (used.tv_sec > oldest->used.tv_sec ||
          (used.tv_sec == oldest->used.tv_sec && used.tv_nsec >= oldest->used.tv_nsec))) ||
        find_use(oldest->cache, name))
        return;
    snprintf(oldest->name, sizeof(oldest->name), "%s", name);
    oldest->used = used;
    oldest->bytes = (uint64_t)file->st_size;
}

/* Removes the least recently used file that nobody has open. Returns false if there is none. */
static bool remove_oldest(spl_cache *cache) {
    oldest_file oldest = {.cache = cache};
    const uint64_t bytes = cache->bytes;
    review_uses(cache);
    if (cache->bytes < bytes) /* a removed file was closed */
        return true;
    visit_files(cache, look_for_oldest, &oldest);
    if (!oldest.name[0] || unlinkat(cache->folder, oldest.name, 0) < 0)
        return false;
    subtract(cache, oldest.bytes);
    return true;
}

/* ------------------------------------------------------------------- fetching ---- */

/* Changes the bytes that a fetch counts for, and keeps the limits. The caller holds the lock. */
static int count(spl_cache_fetch *fetch, uint64_t bytes, spl_error *ret_error) {
    spl_cache *cache = fetch->cache;
    spl_cache_use *use = fetch->use;
    if (bytes > use->bytes) {
        int status = check_limit(cache, use->name, use->reader, bytes, ret_error);
        if (status < 0)
            return status;
    }
    cache->bytes += bytes;
    subtract(cache, use->bytes);
    use->bytes = bytes;
    while (cache->bytes > cache->most_bytes && remove_oldest(cache))
        continue;
    return 0;
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
    int status = 0;
    if (position + size > fetch->use->bytes) { /* only this thread changes it */
        pthread_mutex_lock(&fetch->cache->lock);
        status = count(fetch, position + SPL_MAX(size, PIECE_BYTES), ret_error);
        pthread_mutex_unlock(&fetch->cache->lock);
    }
    if (status == 0)
        status = take_space(fetch, size, ret_error);
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

static int fetch_new(spl_cache_fetch *own,
                     int (*fetch)(void *user, spl_cache_fetch *into, spl_error *ret_error),
                     void *user, int *ret_fd, spl_error *ret_error) {
    spl_cache *cache = own->cache;
    char new_name[NAME_SIZE + sizeof(NEW_SUFFIX)];
    snprintf(new_name, sizeof(new_name), "%s" NEW_SUFFIX, own->use->name);
    SPL_CLEANUP(spl_close_p)
    int fd =
        openat(cache->folder, new_name, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return spl_fail_errno(ret_error, errno, "cannot make a file in the cache");
    flock(fd, LOCK_SH | LOCK_NB);
    own->fd = fd;
    struct stat file;
    int status = fetch(user, own, ret_error);
    spl_space_release(&own->grant);
    pthread_mutex_lock(&cache->lock);
    if (status == 0 && fstat(fd, &file) < 0)
        status = spl_fail_errno(ret_error, errno, "cannot keep a file in the cache");
    if (status == 0)
        status = count(own, (uint64_t)file.st_size, ret_error);
    if (status == 0 && renameat(cache->folder, new_name, cache->folder, own->use->name) < 0)
        status = spl_fail_errno(ret_error, errno, "cannot keep a file in the cache");
    if (status < 0) {
        unlinkat(cache->folder, new_name, 0);
        (void)!count(own, 0, NULL);
    }
    pthread_mutex_unlock(&cache->lock);
    if (status == 0)
        *ret_fd = spl_steal_fd(&fd);
    return status;
}

/* -------------------------------------------------------------------- reading ---- */

/* Opens a file of the cache, in the name of a reader. *ret_fd is -1 if it is missing or no regular
 * file; opening a FIFO does not block. The caller holds the lock. */
static int open_cached(spl_cache *cache, const char *name, const char *reader, int *ret_fd,
                       spl_error *ret_error) {
    struct stat file;
    SPL_CLEANUP(spl_close_p)
    int fd = open_file(cache, name);
    *ret_fd = -1;
    if (fd < 0 || fstat(fd, &file) < 0 || !S_ISREG(file.st_mode))
        return 0;
    if (!find_use(cache, name)) {
        int status = check_limit(cache, name, reader, (uint64_t)file.st_size, ret_error);
        if (status < 0)
            return status;
        spl_cache_use *use = add_use(cache, name, reader, ret_error);
        if (!use)
            return SPL_E_MEMORY;
        use->bytes = (uint64_t)file.st_size;
    }
    flock(fd, LOCK_SH | LOCK_NB);
    futimens(fd, NULL);
    *ret_fd = spl_steal_fd(&fd);
    return 0;
}

static bool is_being_fetched(const spl_cache *cache, const char *name) {
    const spl_cache_use *use = find_use(cache, name);
    return use && use->fetching;
}

/* Waits until no thread fetches the file. The caller holds the lock. */
static int wait_for_fetch(spl_cache *cache, const char *name, const spl_blob_wait *wait,
                          spl_error *ret_error) {
    while (is_being_fetched(cache, name)) {
        if (spl_blob_wait_canceled(wait))
            return spl_fail(ret_error, SPL_E_CANCELED, "the wait for a file was canceled");
        const struct timespec deadline = spl_clock_in(POLL_MS);
        pthread_cond_timedwait(&cache->fetched, &cache->lock, &deadline);
    }
    return 0;
}

/* Begins the use of a file that is missing. The caller holds the lock. */
static int begin_fetch(spl_cache *cache, const char *name, const char *reader,
                       spl_cache_use **ret_use, spl_error *ret_error) {
    spl_cache_use *use = find_use(cache, name); /* a file that somebody else removed */
    if (!use)
        use = add_use(cache, name, reader, ret_error);
    if (!use)
        return SPL_E_MEMORY;
    use->fetching = true;
    *ret_use = use;
    return 0;
}

static void end_fetch(spl_cache *cache, spl_cache_use *use, bool kept) {
    pthread_mutex_lock(&cache->lock);
    use->fetching = false;
    if (!kept)
        end_use(cache, use);
    pthread_cond_broadcast(&cache->fetched);
    pthread_mutex_unlock(&cache->lock);
}

int spl_cache_get(spl_cache *cache, const char *name, const char *reader,
                  int (*fetch)(void *user, spl_cache_fetch *into, spl_error *ret_error), void *user,
                  const spl_blob_wait *wait, int *ret_fd, spl_error *ret_error) {
    const spl_space_use purpose = reader ? SPL_SPACE_ACCEPT : SPL_SPACE_FINISH;
    spl_cache_fetch own = {
        .cache = cache, .fd = -1, .grant = {.space = cache->space, .use = purpose}};
    int fd = -1;
    pthread_mutex_lock(&cache->lock);
    int status = wait_for_fetch(cache, name, wait, ret_error);
    if (status == 0)
        status = open_cached(cache, name, reader, &fd, ret_error);
    const bool fetches = status == 0 && fd < 0;
    if (fetches)
        status = begin_fetch(cache, name, reader, &own.use, ret_error);
    pthread_mutex_unlock(&cache->lock);
    if (fetches && status == 0) {
        status = fetch_new(&own, fetch, user, &fd, ret_error);
        end_fetch(cache, own.use, status == 0);
    }
    if (status == 0)
        *ret_fd = fd;
    return status;
}

/* ------------------------------------------------------------------- removing ---- */

/* The caller holds the lock. */
static void remove_file(spl_cache *cache, const char *name) {
    struct stat file;
    SPL_CLEANUP(spl_close_p) int fd = open_file(cache, name);
    spl_cache_use *use = find_use(cache, name);
    if (fstatat(cache->folder, name, &file, AT_SYMLINK_NOFOLLOW) < 0 ||
        unlinkat(cache->folder, name, 0) < 0)
        return;
    if (use && !use->fetching && is_locked(fd)) {
        use->name[0] = '\0';
        use->removed_fd = spl_steal_fd(&fd);
    } else {
        subtract(cache, (uint64_t)file.st_size);
    }
}

void spl_cache_forget(spl_cache *cache, const char *name) {
    pthread_mutex_lock(&cache->lock);
    remove_file(cache, name);
    review_uses(cache);
    pthread_mutex_unlock(&cache->lock);
}

typedef struct sweep {
    spl_cache *cache;
    time_t before;
} sweep;

static void remove_unused(void *user, const char *name, const struct stat *file) {
    const sweep *own = user;
    if (file->st_mtim.tv_sec < own->before && !find_use(own->cache, name))
        remove_file(own->cache, name);
}

void spl_cache_sweep(spl_cache *cache, unsigned unused_s) {
    sweep own = {cache, time(NULL) - (time_t)unused_s};
    pthread_mutex_lock(&cache->lock);
    review_uses(cache);
    visit_files(cache, remove_unused, &own);
    pthread_mutex_unlock(&cache->lock);
}

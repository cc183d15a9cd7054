/* SPDX-License-Identifier: MIT
 *
 * Blobs in a bucket: objects JOB/NAME.
 *
 * An unfinished blob is an unnamed file in DATA_DIR/incoming until commit stores it. Opening a blob
 * fetches the whole object into a cache and checks its SHA-256 before any byte is read, so ranges,
 * archives and repeated reads cost one transfer. The bucket's lifecycle removes objects that a
 * crash leaves behind.
 */
#include "base/clock.h"
#include "service/blobs/cache.h"
#include "service/blobs/s3_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define KEY_SIZE      (2 * SPL_BLOB_NAME_MAX + 2)
#define PROBE_AFTER_S 10.0 /* seconds without an answer before the server is probed */
#define SWEEP_S       60.0
#define UNUSED_S      900 /* unused copies are removed: other machines delete jobs, too */
#define LINK_S        300 /* life of a link, which the client follows at once */

typedef struct s3_blobs {
    spl_blobs base;
    spl_s3_client *client;
    int incoming; /* folder */
    int nothing;  /* an empty file, for outputs that another machine writes */
    spl_cache cache;
    _Atomic double answered_s; /* time of the last answer, by spl_now_s; 0: failed */
    _Atomic double swept_s;
    spl_blobs_s3 options;
} s3_blobs;

static s3_blobs *of(spl_blobs *blobs) {
    return (s3_blobs *)blobs;
}

static int make_key(const char *job, const char *name, char ret_key[KEY_SIZE],
                    spl_error *ret_error) {
    int status = spl_blob_check_names(job, name, ret_error);
    if (status == 0)
        snprintf(ret_key, KEY_SIZE, "%s/%s", job, name);
    return status;
}

/* Records whether the server answered, from the status of a request; returns the status. */
static int note(s3_blobs *own, int status) {
    if (status == 0 || status == SPL_E_NOT_FOUND)
        atomic_store(&own->answered_s, spl_now_s());
    else if (status == SPL_E_IO)
        atomic_store(&own->answered_s, 0);
    return status;
}

/* Makes the file name in the cache. */
static void flatten(const char *key, char ret_name[KEY_SIZE]) {
    snprintf(ret_name, KEY_SIZE, "%s", key);
    *strchr(ret_name, '/') = '~';
}

/* ------------------------------------------------------------ writing ---- */

static int s3_upload(spl_blobs *blobs, spl_blob_writer *ret_writer, spl_error *ret_error) {
    static char something; /* a non-NULL state marks a writer to discard */
    int fd = openat(of(blobs)->incoming, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        return spl_fail_errno(ret_error, errno, "cannot make a blob");
    *ret_writer = (spl_blob_writer){.fd = fd, .state = &something};
    return 0;
}

static int s3_output(spl_blobs *blobs, const char *job, const char *name, int64_t fence,
                     spl_blob_writer *ret_writer, spl_error *ret_error) {
    (void)fence; /* the file has no name, so writers cannot collide */
    int status = spl_blob_check_names(job, name, ret_error);
    return status < 0 ? status : s3_upload(blobs, ret_writer, ret_error);
}

static void s3_discard(spl_blobs *blobs, spl_blob_writer *writer) {
    (void)blobs;
    if (!writer->state)
        return;
    spl_close_p(&writer->fd);
    *writer = (spl_blob_writer){.fd = -1};
}

static int s3_commit(spl_blobs *blobs, spl_blob_writer *writer, const char *job, const char *name,
                     const spl_blob_wait *wait, spl_error *ret_error) {
    s3_blobs *own = of(blobs);
    char key[KEY_SIZE], cached[KEY_SIZE];
    int status = make_key(job, name, key, ret_error);
    if (status == 0) {
        status = note(own, spl_s3_put(own->client, key, writer->fd, wait, ret_error));
        flatten(key, cached);
        spl_cache_forget(&own->cache, cached);
    }
    s3_discard(blobs, writer);
    return status;
}

/* ------------------------------------------------------------ reading ---- */

typedef struct wanted {
    s3_blobs *own;
    const char *key;
    const spl_blob_wait *wait;
} wanted;

static int put(void *user, const void *data, size_t size, uint64_t position, spl_error *ret_error) {
    return spl_cache_put(user, data, size, position, ret_error);
}

static int fetch(void *user, spl_cache_fetch *into, spl_error *ret_error) {
    const wanted *what = user;
    const spl_s3_target target = {spl_cache_fetch_fd(into), put, into};
    return note(what->own,
                spl_s3_get(what->own->client, what->key, &target, what->wait, ret_error));
}

static int s3_open(spl_blobs *blobs, const char *job, const char *name, const char *reader,
                   int64_t fence, const spl_blob_wait *wait, spl_blob *ret_blob,
                   spl_error *ret_error) {
    s3_blobs *own = of(blobs);
    char key[KEY_SIZE], cached[KEY_SIZE];
    int status = make_key(job, name, key, ret_error);
    if (status < 0)
        return status;
    flatten(key, cached);
    wanted what = {own, key, wait};
    SPL_CLEANUP(spl_close_p) int fd = -1;
    status = spl_cache_get(&own->cache, cached, reader, fetch, &what, wait, &fd, ret_error);
    const bool complete = status == 0;
    if (status == SPL_E_NOT_FOUND && fence > 0) {
        fd = fcntl(own->nothing, F_DUPFD_CLOEXEC, 0);
        status = 0;
    }
    if (status < 0)
        return status;
    struct stat file;
    if (fd < 0 || fstat(fd, &file) < 0)
        return spl_fail_errno(ret_error, errno, "cannot open the blob %s of the job %s", name, job);
    *ret_blob =
        (spl_blob){.fd = spl_steal_fd(&fd), .bytes = (uint64_t)file.st_size, .complete = complete};
    return 0;
}

static int s3_link(spl_blobs *blobs, const char *job, const char *name, const char *type,
                   const char *disposition, char **ret_url, spl_error *ret_error) {
    const s3_blobs *own = of(blobs);
    char key[KEY_SIZE];
    if (!*own->options.public_endpoint) {
        *ret_url = NULL;
        return 0;
    }
    int status = make_key(job, name, key, ret_error);
    return status < 0 ? status
                      : spl_s3_presign(own->client, own->options.public_endpoint, key, type,
                                       disposition, LINK_S, ret_url, ret_error);
}

/* ------------------------------------------------- copying, removing ---- */

static int s3_copy(spl_blobs *blobs, const char *from_job, const char *to_job, const char *name,
                   spl_space_grant *grant, const spl_blob_wait *wait, spl_error *ret_error) {
    (void)grant;
    s3_blobs *own = of(blobs);
    char from[KEY_SIZE], to[KEY_SIZE];
    int status = make_key(from_job, name, from, ret_error);
    if (status == 0)
        status = make_key(to_job, name, to, ret_error);
    return status < 0 ? status : note(own, spl_s3_copy(own->client, from, to, wait, ret_error));
}

static int remove_key(s3_blobs *own, const char *key, const spl_blob_wait *wait,
                      spl_error *ret_error) {
    char cached[KEY_SIZE];
    if (strlen(key) >= KEY_SIZE || !strchr(key, '/')) /* a foreign object */
        return 0;
    flatten(key, cached);
    spl_cache_forget(&own->cache, cached);
    return note(own, spl_s3_remove(own->client, key, wait, ret_error));
}

static int s3_remove(spl_blobs *blobs, const char *job, const char *name, const spl_blob_wait *wait,
                     spl_error *ret_error) {
    char key[KEY_SIZE];
    int status = make_key(job, name, key, ret_error);
    return status < 0 ? status : remove_key(of(blobs), key, wait, ret_error);
}

typedef struct removal {
    s3_blobs *own;
    const spl_blob_wait *wait;
    spl_error *ret_error;
} removal;

static int remove_visited(void *user, const char *key) {
    const removal *work = user;
    return remove_key(work->own, key, work->wait, work->ret_error);
}

static int s3_remove_job(spl_blobs *blobs, const char *job, const spl_blob_wait *wait,
                         spl_error *ret_error) {
    s3_blobs *own = of(blobs);
    char prefix[KEY_SIZE];
    int status = spl_blob_check_name(job, ret_error);
    if (status < 0)
        return status;
    snprintf(prefix, sizeof(prefix), "%s/", job);
    removal work = {own, wait, ret_error};
    return note(own, spl_s3_list(own->client, prefix, remove_visited, &work, wait, ret_error));
}

static int s3_quarantine(spl_blobs *blobs, const char *job, spl_error *ret_error) {
    (void)blobs;
    return spl_blob_check_name(job, ret_error);
}

static int s3_review_quarantine(spl_blobs *blobs, int (*judge)(void *user, const char *job),
                                void *user, unsigned keep_s, spl_error *ret_error) {
    (void)blobs, (void)judge, (void)user, (void)keep_s, (void)ret_error;
    return 0;
}

/* ------------------------------------------------------ looking around ---- */

typedef struct job_visitor {
    int (*visit)(void *user, const char *job);
    void *user;
    char last[SPL_BLOB_NAME_MAX + 1];
} job_visitor;

static int visit_key(void *user, const char *key) {
    job_visitor *visitor = user;
    char job[SPL_BLOB_NAME_MAX + 1];
    const size_t length = strcspn(key, "/");
    if (key[length] != '/' || length >= sizeof(job))
        return 0;
    snprintf(job, sizeof(job), "%.*s", (int)length, key);
    if (strcmp(job, visitor->last) == 0)
        return 0;
    memcpy(visitor->last, job, sizeof(job));
    return visitor->visit(visitor->user, job);
}

static int s3_list_jobs(spl_blobs *blobs, int (*visit)(void *user, const char *job), void *user,
                        spl_error *ret_error) {
    job_visitor visitor = {.visit = visit, .user = user};
    return spl_s3_list(of(blobs)->client, "", visit_key, &visitor, NULL, ret_error);
}

static void sweep_now_and_then(s3_blobs *own) {
    const double now_s = spl_now_s();
    double swept_s = atomic_load(&own->swept_s);
    if (now_s - swept_s > SWEEP_S && atomic_compare_exchange_strong(&own->swept_s, &swept_s, now_s))
        spl_cache_sweep(&own->cache, UNUSED_S);
}

static int s3_check(spl_blobs *blobs, const spl_blob_wait *wait, spl_error *ret_error) {
    s3_blobs *own = of(blobs);
    sweep_now_and_then(own);
    if (spl_now_s() - atomic_load(&own->answered_s) <= PROBE_AFTER_S)
        return 0;
    return note(own, spl_s3_probe(own->client, wait, ret_error));
}

/* --------------------------------------------------- opening, closing ---- */

static void s3_close(spl_blobs *blobs) {
    s3_blobs *own = of(blobs);
    spl_s3_client_free(own->client);
    spl_cache_close(&own->cache);
    spl_close_p(&own->incoming);
    spl_close_p(&own->nothing);
    free(own);
}

static const spl_blobs_functions s3_functions = {
    .close = s3_close,
    .upload = s3_upload,
    .output = s3_output,
    .commit = s3_commit,
    .discard = s3_discard,
    .open = s3_open,
    .copy = s3_copy,
    .remove = s3_remove,
    .remove_job = s3_remove_job,
    .quarantine = s3_quarantine,
    .review_quarantine = s3_review_quarantine,
    .list_jobs = s3_list_jobs,
    .check = s3_check,
    .link = s3_link,
};

static int open_folder(const char *data_dir, const char *name, int *ret_fd, spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char *path = NULL;
    if (asprintf(&path, "%s/%s", data_dir, name) < 0)
        return spl_fail_memory(ret_error);
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return spl_fail_errno(ret_error, errno, "cannot make the folder %s", path);
    *ret_fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return *ret_fd < 0 ? spl_fail_errno(ret_error, errno, "cannot open the folder %s", path) : 0;
}

int spl_blobs_open_s3(const spl_blobs_s3 *options, spl_blobs **ret_blobs, spl_error *ret_error) {
    s3_blobs *own = calloc(1, sizeof(*own));
    if (!own)
        return spl_fail_memory(ret_error);
    *own = (s3_blobs){
        .base.functions = &s3_functions, .options = *options, .incoming = -1, .nothing = -1};
    int cache = -1;
    int status = open_folder(options->data_dir, "cache", &cache, ret_error);
    if (status < 0) {
        free(own);
        return status;
    }
    spl_cache_open(cache, options->cache_bytes, options->space, &own->cache);
    status = open_folder(options->data_dir, "incoming", &own->incoming, ret_error);
    if (status == 0) {
        own->nothing = openat(own->incoming, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        if (own->nothing < 0)
            status =
                spl_fail_errno(ret_error, errno, "cannot make an unnamed file (O_TMPFILE) in %s",
                               options->data_dir);
    }
    if (status == 0)
        status = spl_s3_client_new(&own->options, &own->client, ret_error);
    if (status < 0)
        s3_close(&own->base);
    else
        *ret_blobs = &own->base;
    return status;
}

/* SPDX-License-Identifier: MIT
 *
 * Blobs in a directory.
 *
 *     blobs/JOB/NAME               complete
 *     blobs/JOB/NAME.FENCE.part    an output that the worker with this fence is writing
 *     blobs/quarantine/JOB         quarantined; the folder's modification time says since when
 *     incoming/NUMBER              an upload
 *
 * All accesses start at two open folders and use one checked name at a time, without following
 * symbolic links. A blob's content is flushed before the rename that names it, and the folder is
 * flushed after it.
 */
#include "service/blobs/blobs.h"
#include "service/observe/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define RACES_MAX 100 /* retries when another thread creates or removes a folder meanwhile */

typedef struct directory {
    spl_blobs base;
    int jobs, incoming; /* folders */
    atomic_uint_least64_t next_upload;
} directory;

/* The state of a writer besides its descriptor. */
typedef struct unfinished {
    char job[SPL_BLOB_NAME_MAX + 1]; /* "" for an upload */
    int folder;                      /* the one that contains the file */
    char name[NAME_MAX + 1];
} unfinished;

static directory *of(spl_blobs *blobs) {
    return (directory *)blobs;
}

static void make_part_name(const char *name, int64_t fence, char ret_part[NAME_MAX + 1]) {
    snprintf(ret_part, NAME_MAX + 1, "%s.%" PRId64 SPL_BLOB_PART_SUFFIX, name, fence);
}

/* ------------------------------------------------------------ folders ---- */

static int open_folder(int parent, const char *name) {
    return openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Opens a folder, which is created if it is missing, and flushes its name. */
static int make_folder(int parent, const char *name, int *ret_folder, spl_error *ret_error) {
    for (int races = 0;; races++) {
        if (mkdirat(parent, name, 0700) < 0 && errno != EEXIST)
            return spl_fail_errno(ret_error, errno, "cannot make the folder %s", name);
        SPL_CLEANUP(spl_close_p) int folder = open_folder(parent, name);
        if (folder >= 0 && fsync(parent) == 0) {
            *ret_folder = spl_steal_fd(&folder);
            return 0;
        }
        if (folder >= 0 || errno != ENOENT || races == RACES_MAX)
            return spl_fail_errno(ret_error, errno, "cannot open the folder %s", name);
    }
}

static bool is_dots(const char *name) {
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Visits each entry of a folder. Stops at the first nonzero result of `visit` and returns it. */
static int visit_folder(int folder, int (*visit)(void *user, int folder, const char *name),
                        void *user, spl_error *ret_error) {
    int again = open_folder(folder, ".");
    DIR *listing = again < 0 ? NULL : fdopendir(again);
    if (!listing) {
        int number = errno;
        spl_close_p(&again);
        return spl_fail_errno(ret_error, number, "cannot list a folder of blobs");
    }
    int status = 0;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(listing);
        if (!entry) {
            if (errno)
                status = spl_fail_errno(ret_error, errno, "cannot list a folder of blobs");
            break;
        }
        if (!is_dots(entry->d_name) && (status = visit(user, folder, entry->d_name)) != 0)
            break;
    }
    closedir(listing);
    return status;
}

static int unlink_entry(int folder, const char *name, spl_error *ret_error) {
    if (unlinkat(folder, name, 0) < 0 && errno != ENOENT)
        return spl_fail_errno(ret_error, errno, "cannot remove the blob %s", name);
    return 0;
}

/* The entries of a folder that could not be removed, such as folders. */
typedef struct left_entries {
    uint64_t count;
    spl_error first; /* why the first of them is left */
} left_entries;

static int unlink_or_leave(void *user, int folder, const char *name) {
    left_entries *left = user;
    spl_error error;
    if (unlink_entry(folder, name, &error) < 0 && left->count++ == 0)
        left->first = error;
    return 0;
}

/* ---------------------------------------- unfinished files of an earlier process ---- */

#define DIGITS "0123456789"

/* Whether the name is NAME.FENCE.part. */
static bool is_part_name(const char *name) {
    const size_t length = strlen(name), suffix = strlen(SPL_BLOB_PART_SUFFIX);
    if (length <= suffix || strcmp(name + length - suffix, SPL_BLOB_PART_SUFFIX) != 0)
        return false;
    const char *end = name + length - suffix, *fence = end;
    while (fence > name && strchr(DIGITS, fence[-1]))
        fence--;
    char blob[SPL_BLOB_NAME_MAX + 1];
    if (fence == end || fence - 1 <= name || fence[-1] != '.' ||
        (size_t)(fence - 1 - name) >= sizeof(blob))
        return false;
    snprintf(blob, sizeof(blob), "%.*s", (int)(fence - 1 - name), name);
    return spl_blob_check_name(blob, NULL) == 0;
}

static int unlink_part(void *user, int folder, const char *name) {
    return is_part_name(name) ? unlink_or_leave(user, folder, name) : 0;
}

static int unlink_upload(void *user, int folder, const char *name) {
    return name[strspn(name, DIGITS)] == '\0' ? unlink_or_leave(user, folder, name) : 0;
}

/* Removes the parts in a job's folder, and the folder if it is empty then. */
static int clean_job(void *user, int jobs, const char *name) {
    left_entries *left = user;
    if (spl_blob_check_name(name, NULL) < 0 || strcmp(name, SPL_BLOBS_QUARANTINE) == 0)
        return 0; /* such as lost+found */
    SPL_CLEANUP(spl_close_p) int folder = open_folder(jobs, name);
    if (folder < 0 && (errno == ENOTDIR || errno == ELOOP))
        return 0; /* a foreign file */
    spl_error error;
    int status = folder < 0
                     ? spl_fail_errno(&error, errno, "cannot open the folder of the job %s", name)
                     : visit_folder(folder, unlink_part, left, &error);
    if (status < 0 && left->count++ == 0)
        left->first = error;
    unlinkat(jobs, name, AT_REMOVEDIR);
    return 0;
}

/* What cannot be removed stays where it is and must not prevent the start. */
static int clean_up(const directory *own, spl_error *ret_error) {
    left_entries left = {0};
    int status = visit_folder(own->incoming, unlink_upload, &left, ret_error);
    if (status == 0)
        status = visit_folder(own->jobs, clean_job, &left, ret_error);
    if (left.count > 0)
        spl_log(SPL_LOG_WARNING, "blobs.left", SPL_INTEGER("count", left.count),
                SPL_TEXT("error", left.first.message),
                SPL_TEXT("detail",
                         "these entries of DATA_DIR/blobs and DATA_DIR/incoming could not "
                         "be removed; look at them and remove them yourself"));
    return status;
}

/* ------------------------------------------------------------ writing ---- */

/* Creates the file of a writer; takes ownership of *folder. */
static int start_writer(int *folder, const char *job, const char *name, spl_blob_writer *ret_writer,
                        spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) unfinished *state = malloc(sizeof(*state));
    if (!state)
        return spl_fail_memory(ret_error);
    snprintf(state->job, sizeof(state->job), "%s", job);
    snprintf(state->name, sizeof(state->name), "%s", name);
    int fd = openat(*folder, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return spl_fail_errno(ret_error, errno, "cannot make the blob %s", name);
    state->folder = spl_steal_fd(folder);
    *ret_writer = (spl_blob_writer){.fd = fd, .state = SPL_STEAL(state)};
    return 0;
}

static int directory_upload(spl_blobs *blobs, spl_blob_writer *ret_writer, spl_error *ret_error) {
    directory *own = of(blobs);
    SPL_CLEANUP(spl_close_p) int folder = open_folder(own->incoming, ".");
    if (folder < 0)
        return spl_fail_errno(ret_error, errno, "cannot open the folder of uploads");
    char name[32];
    snprintf(name, sizeof(name), "%" PRIu64, (uint64_t)atomic_fetch_add(&own->next_upload, 1));
    return start_writer(&folder, "", name, ret_writer, ret_error);
}

static int directory_output(spl_blobs *blobs, const char *job, const char *name, int64_t fence,
                            spl_blob_writer *ret_writer, spl_error *ret_error) {
    int status = spl_blob_check_names(job, name, ret_error);
    if (status < 0)
        return status;
    char part[NAME_MAX + 1];
    make_part_name(name, fence, part);
    for (int races = 0;; races++) {
        SPL_CLEANUP(spl_close_p) int folder = -1;
        status = make_folder(of(blobs)->jobs, job, &folder, ret_error);
        if (status == 0)
            status = start_writer(&folder, job, part, ret_writer, ret_error);
        if (status != SPL_E_NOT_FOUND || races == RACES_MAX)
            return status;
    }
}

static void free_writer(spl_blob_writer *writer) {
    unfinished *state = writer->state;
    spl_close_p(&writer->fd);
    close(state->folder);
    free(state);
    *writer = (spl_blob_writer){.fd = -1};
}

static void directory_discard(spl_blobs *blobs, spl_blob_writer *writer) {
    const unfinished *state = writer->state;
    if (!state)
        return;
    unlinkat(state->folder, state->name, 0);
    if (state->job[0])
        unlinkat(of(blobs)->jobs, state->job, AT_REMOVEDIR); /* succeeds if it is empty */
    free_writer(writer);
}

/* Moves a flushed file into `folder` under its final name. */
static int move_into(const unfinished *state, int folder, const char *job, const char *name,
                     spl_error *ret_error) {
    if (renameat(state->folder, state->name, folder, name) < 0)
        return spl_fail_errno(ret_error, errno, "cannot name the blob %s of the job %s", name, job);
    if (fsync(folder) < 0) {
        int number = errno;
        unlinkat(folder, name, 0);
        return spl_fail_errno(ret_error, number, "cannot flush the folder of the job %s", job);
    }
    return 0;
}

static int commit_upload(directory *own, const unfinished *state, const char *job, const char *name,
                         spl_error *ret_error) {
    for (int races = 0;; races++) {
        SPL_CLEANUP(spl_close_p) int folder = -1;
        int status = make_folder(own->jobs, job, &folder, ret_error);
        if (status == 0)
            status = move_into(state, folder, job, name, ret_error);
        if (status != SPL_E_NOT_FOUND || races == RACES_MAX)
            return status;
    }
}

static int directory_commit(spl_blobs *blobs, spl_blob_writer *writer, const char *job,
                            const char *name, const spl_blob_wait *wait, spl_error *ret_error) {
    (void)wait;
    directory *own = of(blobs);
    const unfinished *state = writer->state;
    int status = spl_blob_check_names(job, name, ret_error);
    if (status == 0 && fsync(writer->fd) < 0)
        status =
            spl_fail_errno(ret_error, errno, "cannot flush the blob %s of the job %s", name, job);
    if (status == 0)
        status = state->job[0] ? move_into(state, state->folder, job, name, ret_error)
                               : commit_upload(own, state, job, name, ret_error);
    if (status == 0)
        free_writer(writer);
    else
        directory_discard(blobs, writer);
    return status;
}

/* ------------------------------------------------------------ reading ---- */

static int open_file(int folder, const char *name) {
    return openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

static int open_job(spl_blobs *blobs, const char *job, int *ret_folder, spl_error *ret_error) {
    int folder = open_folder(of(blobs)->jobs, job);
    if (folder < 0)
        return spl_fail_errno(ret_error, errno, "cannot open the blobs of the job %s", job);
    *ret_folder = folder;
    return 0;
}

static int directory_open(spl_blobs *blobs, const char *job, const char *name, const char *reader,
                          int64_t fence, const spl_blob_wait *wait, spl_blob *ret_blob,
                          spl_error *ret_error) {
    (void)reader; /* there is no copy */
    (void)wait;
    int status = spl_blob_check_names(job, name, ret_error);
    SPL_CLEANUP(spl_close_p) int folder = -1;
    if (status == 0)
        status = open_job(blobs, job, &folder, ret_error);
    if (status < 0)
        return status;
    bool complete = true;
    SPL_CLEANUP(spl_close_p) int fd = open_file(folder, name);
    if (fd < 0 && errno == ENOENT && fence > 0) {
        char part[NAME_MAX + 1];
        make_part_name(name, fence, part);
        fd = open_file(folder, part);
        complete = fd < 0;
        if (fd < 0 && errno == ENOENT) /* it may have been completed meanwhile */
            fd = open_file(folder, name);
    }
    struct stat file;
    if (fd < 0 || fstat(fd, &file) < 0)
        return spl_fail_errno(ret_error, errno, "cannot open the blob %s of the job %s", name, job);
    if (!S_ISREG(file.st_mode))
        return spl_fail(ret_error, SPL_E_IO, "the blob %s of the job %s is not a file", name, job);
    *ret_blob =
        (spl_blob){.fd = spl_steal_fd(&fd), .bytes = (uint64_t)file.st_size, .complete = complete};
    return 0;
}

/* ------------------------------------------------- copying, removing ---- */

/* For file systems without hard links. */
static int copy_content(spl_blobs *blobs, const char *from_job, const char *to_job,
                        const char *name, spl_space_grant *grant, spl_error *ret_error) {
    spl_blob blob;
    int status = directory_open(blobs, from_job, name, NULL, 0, NULL, &blob, ret_error);
    if (status < 0)
        return status;
    SPL_CLEANUP(spl_close_p) int from = blob.fd;
    status = grant ? spl_space_reserve(grant, blob.bytes, ret_error) : 0;
    if (status < 0)
        return status;
    spl_blob_writer writer = {.fd = -1};
    status = directory_upload(blobs, &writer, ret_error);
    if (status < 0)
        return status;
    ssize_t copied;
    do {
        copied = copy_file_range(from, NULL, writer.fd, NULL, SSIZE_MAX & ~0xfff, 0);
    } while (copied > 0);
    if (copied < 0) {
        status = spl_fail_errno(ret_error, errno, "cannot copy the blob %s of the job %s", name,
                                from_job);
        directory_discard(blobs, &writer);
        return status;
    }
    if (grant)
        spl_space_spend(grant, blob.bytes);
    return directory_commit(blobs, &writer, to_job, name, NULL, ret_error);
}

static int directory_copy(spl_blobs *blobs, const char *from_job, const char *to_job,
                          const char *name, spl_space_grant *grant, const spl_blob_wait *wait,
                          spl_error *ret_error) {
    (void)wait;
    int status = spl_blob_check_names(from_job, name, ret_error);
    if (status == 0)
        status = spl_blob_check_name(to_job, ret_error);
    SPL_CLEANUP(spl_close_p) int from = -1;
    SPL_CLEANUP(spl_close_p) int to = -1;
    if (status == 0)
        status = open_job(blobs, from_job, &from, ret_error);
    if (status == 0)
        status = make_folder(of(blobs)->jobs, to_job, &to, ret_error);
    if (status < 0)
        return status;
    if (linkat(from, name, to, name, 0) == 0) {
        if (fsync(to) == 0)
            return 0;
        status = spl_fail_errno(ret_error, errno, "cannot flush the folder of the job %s", to_job);
        unlinkat(to, name, 0);
    } else if (errno == EPERM || errno == EMLINK || errno == EOPNOTSUPP) {
        status = copy_content(blobs, from_job, to_job, name, grant, ret_error);
    } else {
        status = spl_fail_errno(ret_error, errno, "cannot link the blob %s of the job %s", name,
                                from_job);
    }
    if (status < 0)
        unlinkat(of(blobs)->jobs, to_job, AT_REMOVEDIR); /* succeeds if it is empty */
    return status;
}

static int directory_remove(spl_blobs *blobs, const char *job, const char *name,
                            const spl_blob_wait *wait, spl_error *ret_error) {
    (void)wait;
    int status = spl_blob_check_names(job, name, ret_error);
    SPL_CLEANUP(spl_close_p) int folder = -1;
    if (status == 0)
        status = open_job(blobs, job, &folder, ret_error);
    if (status < 0)
        return status == SPL_E_NOT_FOUND ? 0 : status;
    status = unlink_entry(folder, name, ret_error);
    if (status == 0 && fsync(folder) < 0)
        status = spl_fail_errno(ret_error, errno, "cannot flush the folder of the job %s", job);
    return status;
}

/* Removes a job's folder and its content from the folder `jobs`. */
static int remove_from(int jobs, const char *job, spl_error *ret_error) {
    int status = spl_blob_check_name(job, ret_error);
    for (int races = 0; status == 0; races++) {
        SPL_CLEANUP(spl_close_p) int folder = open_folder(jobs, job);
        if (folder < 0)
            status = spl_fail_errno(ret_error, errno, "cannot open the blobs of the job %s", job);
        left_entries left = {0};
        if (status == 0)
            status = visit_folder(folder, unlink_or_leave, &left, ret_error);
        if (status == 0 && left.count > 0)
            status = spl_fail(ret_error, left.first.status, "%s", left.first.message);
        if (status == 0 && unlinkat(jobs, job, AT_REMOVEDIR) == 0)
            break;
        if (status == 0 && (errno != ENOTEMPTY || races == RACES_MAX))
            status =
                spl_fail_errno(ret_error, errno, "cannot remove the folder of the job %s", job);
    }
    if (status == SPL_E_NOT_FOUND)
        return 0;
    if (status == 0 && fsync(jobs) < 0)
        status = spl_fail_errno(ret_error, errno, "cannot flush the folder of all jobs");
    return status;
}

static int directory_remove_job(spl_blobs *blobs, const char *job, const spl_blob_wait *wait,
                                spl_error *ret_error) {
    (void)wait;
    return remove_from(of(blobs)->jobs, job, ret_error);
}

/* ------------------------------------------------------------ quarantine ---- */

/* Moves a job's folder, and flushes both parent folders. */
static int move_job(int from, int to, const char *job, spl_error *ret_error) {
    if (renameat(from, job, to, job) < 0 || fsync(to) < 0 || fsync(from) < 0)
        return spl_fail_errno(ret_error, errno, "cannot move the blobs of the job %s", job);
    return 0;
}

static int directory_quarantine(spl_blobs *blobs, const char *job, spl_error *ret_error) {
    const int jobs = of(blobs)->jobs;
    SPL_CLEANUP(spl_close_p) int quarantine = -1;
    int status = spl_blob_check_name(job, ret_error);
    if (status == 0)
        status = make_folder(jobs, SPL_BLOBS_QUARANTINE, &quarantine, ret_error);
    if (status == 0)
        status = move_job(jobs, quarantine, job, ret_error);
    if (status == 0 && utimensat(quarantine, job, NULL, AT_SYMLINK_NOFOLLOW) < 0)
        status = spl_fail_errno(ret_error, errno, "cannot date the blobs of the job %s", job);
    return status;
}

typedef struct review {
    int jobs;
    int (*judge)(void *user, const char *job);
    void *user;
    time_t before; /* jobs quarantined earlier are removed */
    int failed;    /* the first failure, reported in *ret_error */
    spl_error *ret_error;
} review;

static int review_job(void *user, int quarantine, const char *job) {
    review *own = user;
    struct stat folder;
    spl_error error;
    int status = 0;
    if (spl_blob_check_name(job, NULL) < 0 ||
        fstatat(quarantine, job, &folder, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(folder.st_mode))
        return 0;
    const int answer = own->judge(own->user, job);
    if (answer > 0)
        status = move_job(quarantine, own->jobs, job, &error);
    else if (answer == 0 && folder.st_mtim.tv_sec < own->before)
        status = remove_from(quarantine, job, &error);
    if (status < 0 && own->failed == 0) {
        own->failed = status;
        if (own->ret_error)
            *own->ret_error = error;
    }
    return 0;
}

static int directory_review_quarantine(spl_blobs *blobs, int (*judge)(void *user, const char *job),
                                       void *user, unsigned keep_s, spl_error *ret_error) {
    const int jobs = of(blobs)->jobs;
    SPL_CLEANUP(spl_close_p) int quarantine = open_folder(jobs, SPL_BLOBS_QUARANTINE);
    if (quarantine < 0 && errno == ENOENT)
        return 0;
    if (quarantine < 0)
        return spl_fail_errno(ret_error, errno, "cannot open the folder " SPL_BLOBS_QUARANTINE);
    review own = {jobs, judge, user, time(NULL) - (time_t)keep_s, 0, ret_error};
    int status = visit_folder(quarantine, review_job, &own, ret_error);
    unlinkat(jobs, SPL_BLOBS_QUARANTINE, AT_REMOVEDIR); /* succeeds if it is empty */
    return status < 0 ? status : own.failed;
}

/* ------------------------------------------------------ looking around ---- */

typedef struct job_visitor {
    int (*visit)(void *user, const char *job);
    void *user;
} job_visitor;

static int visit_job(void *user, int folder, const char *name) {
    (void)folder;
    const job_visitor *visitor = user;
    if (spl_blob_check_name(name, NULL) < 0 || strcmp(name, SPL_BLOBS_QUARANTINE) == 0)
        return 0;
    return visitor->visit(visitor->user, name);
}

static int directory_list_jobs(spl_blobs *blobs, int (*visit)(void *user, const char *job),
                               void *user, spl_error *ret_error) {
    job_visitor visitor = {.visit = visit, .user = user};
    return visit_folder(of(blobs)->jobs, visit_job, &visitor, ret_error);
}

static int directory_check(spl_blobs *blobs, const spl_blob_wait *wait, spl_error *ret_error) {
    (void)wait;
    struct stat folder;
    if (fstat(of(blobs)->jobs, &folder) < 0)
        return spl_fail_errno(ret_error, errno, "cannot read the folder of the blobs");
    return 0;
}

static int directory_link(spl_blobs *blobs, const char *job, const char *name, const char *type,
                          const char *disposition, char **ret_url, spl_error *ret_error) {
    (void)blobs, (void)job, (void)name, (void)type, (void)disposition, (void)ret_error;
    *ret_url = NULL;
    return 0;
}

/* --------------------------------------------------- opening, closing ---- */

static void directory_close(spl_blobs *blobs) {
    directory *own = of(blobs);
    spl_close_p(&own->jobs);
    spl_close_p(&own->incoming);
    free(own);
}

static const spl_blobs_functions directory_functions = {
    .close = directory_close,
    .upload = directory_upload,
    .output = directory_output,
    .commit = directory_commit,
    .discard = directory_discard,
    .open = directory_open,
    .copy = directory_copy,
    .remove = directory_remove,
    .remove_job = directory_remove_job,
    .quarantine = directory_quarantine,
    .review_quarantine = directory_review_quarantine,
    .list_jobs = directory_list_jobs,
    .check = directory_check,
    .link = directory_link,
};

int spl_blobs_open_directory(const char *data_dir, spl_blobs **ret_blobs, spl_error *ret_error) {
    SPL_CLEANUP(spl_close_p) int data = open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (data < 0)
        return spl_fail_errno(ret_error, errno, "cannot open the folder %s", data_dir);
    directory *own = malloc(sizeof(*own));
    if (!own)
        return spl_fail_memory(ret_error);
    *own = (directory){.base.functions = &directory_functions, .jobs = -1, .incoming = -1};
    int status = make_folder(data, "blobs", &own->jobs, ret_error);
    if (status == 0)
        status = make_folder(data, "incoming", &own->incoming, ret_error);
    if (status == 0)
        status = clean_up(own, ret_error);
    if (status < 0) {
        directory_close(&own->base);
        return status;
    }
    *ret_blobs = &own->base;
    return 0;
}

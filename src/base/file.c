/* SPDX-License-Identifier: MIT
 *
 * Files: reading and mapping with a size limit, and atomic writing (write to a temporary file,
 * flush, rename).
 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>

/* The path of an open file for linkat. */
#define PROC_LINK      "/proc/self/fd/%d"
#define PROC_LINK_SIZE 32

/* ---- Who may change a file ---- */

static bool is_ours(const struct stat *status) {
    return status->st_uid == 0 || status->st_uid == geteuid();
}

static int refuse_owner(const char *path, uid_t owner, spl_error *ret_error) {
    /* Root usually meets the files of a service that runs as another user. A file of root's would
     * then keep the service from starting. */
    if (geteuid() == 0)
        return spl_fail(ret_error, SPL_E_PERMISSION,
                        "%s belongs to user %u, who could change it; run spleeterd as that user: "
                        "sudo -u '#%u'; only if the service runs as root, check it, then run: "
                        "chown 0 %s",
                        path, (unsigned)owner, (unsigned)owner, path);
    return spl_fail(ret_error, SPL_E_PERMISSION,
                    "%s belongs to user %u, who could change it; check it, then run: chown %u %s",
                    path, (unsigned)owner, (unsigned)geteuid(), path);
}

/* Whether this process has the group. More groups than fit count as none. */
static bool has_group(gid_t group) {
    gid_t groups[256];
    const int count = getgroups(SPL_ARRAY_SIZE(groups), groups);
    for (int i = 0; i < count; i++) {
        if (groups[i] == group)
            return true;
    }
    return group == getegid();
}

/* The length of "FOLDER/" in `path`; 0 if it has none. */
static int folder_length(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? (int)(slash - path + 1) : 0;
}

/* Whether the file's group may replace it anyway: it is a group of ours that may write to the
 * folder. Kubernetes makes all files of such a folder open to the group. */
static bool is_folders_group(const char *path, gid_t group) {
    SPL_CLEANUP(spl_free_p) char *folder = NULL;
    struct stat status;
    return asprintf(&folder, "%.*s.", folder_length(path), path) >= 0 &&
           stat(folder, &status) == 0 && status.st_gid == group && status.st_mode & S_IWGRP &&
           spl_folder_check(folder, NULL) == 0;
}

/* The permissions that a file gives to others than its owner and its folder's group. */
static mode_t mode_for_others(const char *path, const struct stat *status) {
    const mode_t mode = status->st_mode & (S_IRWXG | S_IRWXO);
    return mode & S_IRWXG && is_folders_group(path, status->st_gid) ? mode & S_IRWXO : mode;
}

static int check_trust(const char *path, const struct stat *status, spl_file_trust trust,
                       spl_error *ret_error) {
    if (trust == SPL_FILE_ANYBODYS)
        return 0;
    if (!is_ours(status))
        return refuse_owner(path, status->st_uid, ret_error);
    const mode_t mode = mode_for_others(path, status);
    if (trust == SPL_FILE_PRIVATE && mode)
        return spl_fail(ret_error, SPL_E_PERMISSION,
                        "%s is open to others; run: chmod 600 %s (and replace it, if others may "
                        "have read it)",
                        path, path);
    if (mode & (S_IWGRP | S_IWOTH))
        return spl_fail(ret_error, SPL_E_PERMISSION,
                        "others may write %s; check it, then run: chmod go-w %s", path, path);
    return 0;
}

int spl_folder_check(const char *path, spl_error *ret_error) {
    struct stat status;
    if (stat(path, &status) < 0)
        return spl_fail_errno(ret_error, errno, "cannot use the folder %s", path);
    if (!is_ours(&status))
        return refuse_owner(path, status.st_uid, ret_error);
    if (status.st_mode & S_IWOTH || (status.st_mode & S_IWGRP && !has_group(status.st_gid)))
        return spl_fail(ret_error, SPL_E_PERMISSION,
                        "others may write to the folder %s; check what it holds, then run: "
                        "chmod go-w %s",
                        path, path);
    return 0;
}

/* ---- Reading ---- */

static int open_regular(const char *path, spl_file_trust trust, int *ret_fd,
                        struct stat *ret_status, spl_error *ret_error) {
    /* Opening a FIFO would wait for a writer, and a terminal could become the controlling one. */
    SPL_CLEANUP(spl_close_p) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return spl_fail_errno(ret_error, errno, "cannot open %s", path);
    if (fstat(fd, ret_status) < 0)
        return spl_fail_errno(ret_error, errno, "cannot read %s", path);
    if (!S_ISREG(ret_status->st_mode))
        return spl_fail(ret_error, SPL_E_FORMAT, "%s is not a regular file", path);
    const int status = check_trust(path, ret_status, trust, ret_error);
    if (status == 0)
        *ret_fd = spl_steal_fd(&fd);
    return status;
}

int spl_file_open(const char *path, spl_file_trust trust, int *ret_fd, spl_error *ret_error) {
    struct stat status;
    return open_regular(path, trust, ret_fd, &status, ret_error);
}

static int refuse_size(const char *path, size_t cap_bytes, spl_error *ret_error) {
    return spl_fail(ret_error, SPL_E_LIMIT, "%s has more than the %zu bytes allowed", path,
                    cap_bytes);
}

int spl_file_read(const char *path, spl_file_trust trust, size_t cap_bytes,
                  spl_file_content *ret_content, spl_error *ret_error) {
    SPL_CLEANUP(spl_close_p) int fd = -1;
    SPL_CLEANUP(spl_file_content_free) spl_file_content content = {0};
    struct stat found;
    const int status = open_regular(path, trust, &fd, &found, ret_error);
    if (status < 0)
        return status;
    if ((uint64_t)found.st_size > cap_bytes)
        return refuse_size(path, cap_bytes, ret_error);
    /* The NUL's byte also shows whether the file has grown. */
    const size_t capacity = (size_t)found.st_size + 1;
    if (!(content.text = malloc(capacity)))
        return spl_fail_memory(ret_error);
    while (content.size_bytes < capacity) {
        const ssize_t got =
            read(fd, content.text + content.size_bytes, capacity - content.size_bytes);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return spl_fail_errno(ret_error, errno, "cannot read %s", path);
        if (got == 0)
            break;
        content.size_bytes += (size_t)got;
    }
    if (content.size_bytes == capacity)
        return spl_fail(ret_error, SPL_E_IO, "%s grows while it is read; try again", path);
    content.text[content.size_bytes] = '\0';
    content.shared = found.st_uid == geteuid() && mode_for_others(path, &found) != 0;
    *ret_content = content;
    content = (spl_file_content){0};
    return 0;
}

void spl_file_content_free(spl_file_content *content) {
    if (content->text)
        explicit_bzero(content->text, content->size_bytes);
    free(content->text);
    *content = (spl_file_content){0};
}

int spl_file_map_open(const char *path, size_t cap_bytes, spl_file_map *ret_map,
                      spl_error *ret_error) {
    SPL_CLEANUP(spl_close_p) int fd = -1;
    struct stat found;
    const int status = open_regular(path, SPL_FILE_ANYBODYS, &fd, &found, ret_error);
    if (status < 0)
        return status;
    if ((uint64_t)found.st_size > cap_bytes)
        return refuse_size(path, cap_bytes, ret_error);
    const size_t size = (size_t)found.st_size;
    void *data = NULL;
    if (size > 0) {
        data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED)
            return spl_fail_errno(ret_error, errno, "cannot map %s", path);
    }
    *ret_map = (spl_file_map){.data = data, .size_bytes = size};
    return 0;
}

void spl_file_map_close(spl_file_map *map) {
    if (map->data)
        munmap((void *)(uintptr_t)map->data, map->size_bytes);
    *map = (spl_file_map){0};
}

int spl_write_all(int fd, const void *data, size_t size, const char *name, spl_error *ret_error) {
    const char *bytes = data;
    while (size > 0) {
        ssize_t written = write(fd, bytes, size);
        if (written < 0) {
            if (errno == EINTR)
                continue;
            return spl_fail_errno(ret_error, errno, "cannot write %s", name);
        }
        bytes += written;
        size -= (size_t)written;
    }
    return 0;
}

int spl_make_folders(const char *path, spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char *copy = strdup(path);
    if (!copy)
        return spl_fail_memory(ret_error);
    for (char *end = copy + 1;; end++) {
        if (*end != '/' && *end != '\0')
            continue;
        char kept = *end;
        *end = '\0';
        if (mkdir(copy, 0777) < 0) {
            int mkdir_errno = errno;
            struct stat status;
            if (stat(copy, &status) < 0)
                return spl_fail_errno(ret_error, mkdir_errno, "cannot make the folder %s", copy);
            if (!S_ISDIR(status.st_mode))
                return spl_fail(ret_error, SPL_E_EXISTS,
                                "cannot make the folder %s: a file of that name exists", copy);
        }
        if (kept == '\0')
            return 0;
        *end = kept;
    }
}

void spl_program_folder(char ret_folder[PATH_MAX]) {
    char path[PATH_MAX]; /* GCC's warnings take a parameter for null under UBSan */
    const ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
    path[SPL_MAX(length, 0)] = '\0';
    char *slash = strrchr(path, '/');
    if (slash)
        *slash = '\0';
    memcpy(ret_folder, path, sizeof(path));
}

/* Opens an unnamed file in the folder of `path`; returns -1 if the file system does not support
 * them or /proc is missing. */
static int open_unnamed(const char *path) {
    SPL_CLEANUP(spl_free_p) char *folder = NULL;
    if (asprintf(&folder, "%.*s.", folder_length(path), path) < 0)
        return -1;
    SPL_CLEANUP(spl_close_p) int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
    char link[PROC_LINK_SIZE];
    snprintf(link, sizeof(link), PROC_LINK, fd);
    return fd >= 0 && access(link, F_OK) == 0 ? spl_steal_fd(&fd) : -1;
}

static int open_named(const char *path, char **ret_temporary) {
    const int folder = folder_length(path);
    SPL_CLEANUP(spl_free_p) char *temporary = NULL;
    if (asprintf(&temporary, "%.*s.%.64s.XXXXXX.part", folder, path, path + folder) < 0)
        return -1;
    int fd = mkostemps(temporary, (int)strlen(".part"), O_CLOEXEC);
    if (fd < 0)
        return -1;
    mode_t mask = umask(0);
    umask(mask);
    fchmod(fd, 0666 & ~mask);
    *ret_temporary = SPL_STEAL(temporary);
    return fd;
}

int spl_output_file_open(const char *path, spl_output_file *ret_file, spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char *final = strdup(path);
    if (!final)
        return spl_fail_memory(ret_error);
    spl_output_file file = {.fd = open_unnamed(path)};
    if (file.fd < 0)
        file.fd = open_named(path, &file.temporary);
    if (file.fd < 0)
        return spl_fail_errno(ret_error, errno, "cannot write %s", path);
    file.path = SPL_STEAL(final);
    *ret_file = file;
    return 0;
}

/* Links an unnamed file to a temporary name in the folder of its final path. */
static int name_file(spl_output_file *file) {
    if (file->temporary)
        return 0;
    uint64_t random;
    if (getrandom(&random, sizeof(random), 0) != sizeof(random))
        return -errno;
    const int folder = folder_length(file->path);
    SPL_CLEANUP(spl_free_p) char *temporary = NULL;
    char link[PROC_LINK_SIZE];
    snprintf(link, sizeof(link), PROC_LINK, file->fd);
    if (asprintf(&temporary, "%.*s.%.64s.%016" PRIx64 ".part", folder, file->path,
                 file->path + folder, random) < 0)
        return -ENOMEM;
    if (linkat(AT_FDCWD, link, AT_FDCWD, temporary, AT_SYMLINK_FOLLOW) < 0)
        return -errno;
    file->temporary = SPL_STEAL(temporary);
    return 0;
}

static int flush_folder_at(const char *folder) {
    SPL_CLEANUP(spl_close_p) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

int spl_folder_flush(const char *folder, spl_error *ret_error) {
    const int failed = flush_folder_at(folder);
    return failed < 0 ? spl_fail_errno(ret_error, -failed, "cannot flush the folder %s", folder)
                      : 0;
}

static int flush_file(spl_output_file *file) {
    return fsync(file->fd) < 0 ? -errno : 0;
}

static int close_file(spl_output_file *file) {
    return close(spl_steal_fd(&file->fd)) < 0 ? -errno : 0;
}

static int move_file(spl_output_file *file) {
    if (rename(file->temporary, file->path) < 0)
        return -errno;
    free(SPL_STEAL(file->temporary));
    return 0;
}

static int flush_folder(spl_output_file *file) {
    SPL_CLEANUP(spl_free_p) char *folder = NULL;
    if (asprintf(&folder, "%.*s.", folder_length(file->path), file->path) < 0)
        return -ENOMEM;
    return flush_folder_at(folder);
}

int spl_output_files_commit(spl_output_file *const *files, size_t count, spl_error *ret_error) {
    /* Each step runs for all files before the next. Most failures then happen before any file has
     * its final name, and temporary names exist for as short as possible. */
    int (*const steps[])(spl_output_file * file) = {flush_file, name_file, close_file, move_file,
                                                    flush_folder};
    int status = 0;
    for (size_t step = 0; status == 0 && step < SPL_ARRAY_SIZE(steps); step++) {
        for (size_t i = 0; status == 0 && i < count; i++) {
            const int failed = steps[step](files[i]);
            if (failed < 0)
                status = spl_fail_errno(ret_error, -failed, "cannot write %s", files[i]->path);
        }
    }
    for (size_t i = 0; i < count; i++)
        spl_output_file_discard(files[i]);
    return status;
}

int spl_output_file_commit(spl_output_file *file, spl_error *ret_error) {
    return spl_output_files_commit(&file, 1, ret_error);
}

void spl_output_file_discard(spl_output_file *file) {
    if (file->fd >= 0)
        close(file->fd);
    if (file->temporary) {
        unlink(file->temporary);
        free(file->temporary);
    }
    free(file->path);
    *file = (spl_output_file)SPL_OUTPUT_FILE_INIT;
}

/* SPDX-License-Identifier: MIT
 *
 * Files: mapping with a size limit, and atomic writing (write to a temporary file, flush, rename).
 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>

/* The path of an open file for linkat. */
#define PROC_LINK      "/proc/self/fd/%d"
#define PROC_LINK_SIZE 32

int spl_file_map_open(const char *path, size_t cap_bytes, spl_file_map *ret_map,
                      spl_error *ret_error) {
    SPL_CLEANUP(spl_close_p) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return spl_fail_errno(ret_error, errno, "cannot open %s", path);
    struct stat status;
    if (fstat(fd, &status) < 0)
        return spl_fail_errno(ret_error, errno, "cannot read %s", path);
    if (!S_ISREG(status.st_mode))
        return spl_fail(ret_error, SPL_E_FORMAT, "%s is not a regular file", path);
    size_t size = (size_t)status.st_size;
    if (size > cap_bytes)
        return spl_fail(ret_error, SPL_E_LIMIT, "%s has %zu bytes, more than the %zu allowed", path,
                        size, cap_bytes);
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
                return spl_fail(ret_error, SPL_E_IO,
                                "cannot make the folder %s: a file of that name exists", copy);
        }
        if (kept == '\0')
            return 0;
        *end = kept;
    }
}

int spl_sha256_hex(const void *data, size_t size, char ret_hex[65], spl_error *ret_error) {
    unsigned char digest[SHA256_DIGEST_LENGTH];
    if (!SHA256(data, size, digest))
        return spl_fail_memory(ret_error);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(ret_hex + 2 * i, 3, "%02x", digest[i]);
    return 0;
}

/* The length of "FOLDER/" in `path`; 0 if it has none. */
static int folder_length(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? (int)(slash - path + 1) : 0;
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

static int flush_folder_of(const char *path) {
    SPL_CLEANUP(spl_free_p) char *folder = NULL;
    if (asprintf(&folder, "%.*s.", folder_length(path), path) < 0)
        return -ENOMEM;
    SPL_CLEANUP(spl_close_p) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
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
    return flush_folder_of(file->path);
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

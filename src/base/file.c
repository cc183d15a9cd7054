/* SPDX-License-Identifier: MIT
 *
 * Files: mapped with a cap, and written aside, flushed, renamed.
 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

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

int spl_output_file_open(const char *path, spl_output_file *ret_file, spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char *final = strdup(path);
    SPL_CLEANUP(spl_free_p) char *temporary = NULL;
    const char *slash = strrchr(path, '/');
    int folder_length = slash ? (int)(slash - path + 1) : 0;
    if (!final || asprintf(&temporary, "%.*s.%.64s.XXXXXX.part", folder_length, path,
                           path + folder_length) < 0) {
        return spl_fail_memory(ret_error);
    }
    int fd = mkostemps(temporary, (int)strlen(".part"), O_CLOEXEC);
    if (fd < 0)
        return spl_fail_errno(ret_error, errno, "cannot write %s", path);
    mode_t mask = umask(0);
    umask(mask);
    fchmod(fd, 0666 & ~mask);
    *ret_file =
        (spl_output_file){.fd = fd, .path = SPL_STEAL(final), .temporary = SPL_STEAL(temporary)};
    return 0;
}

static int flush_folder_of(const char *path) {
    SPL_CLEANUP(spl_free_p) char *folder = strdup(path);
    if (!folder)
        return -ENOMEM;
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = '\0';
    SPL_CLEANUP(spl_close_p)
    int fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        return -errno;
    return 0;
}

int spl_output_file_commit(spl_output_file *file, spl_error *ret_error) {
    int failed = 0;
    if (fsync(file->fd) < 0)
        failed = errno;
    if (close(spl_steal_fd(&file->fd)) < 0 && !failed)
        failed = errno;
    if (!failed && rename(file->temporary, file->path) < 0)
        failed = errno;
    if (failed) {
        int status = spl_fail_errno(ret_error, failed, "cannot write %s", file->path);
        spl_output_file_discard(file);
        return status;
    }
    free(SPL_STEAL(file->temporary));
    int flushed = flush_folder_of(file->path);
    int status = flushed < 0 ? spl_fail_errno(ret_error, -flushed, "cannot flush the folder of %s",
                                              file->path)
                             : 0;
    spl_output_file_discard(file);
    return status;
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

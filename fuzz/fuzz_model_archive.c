/* SPDX-License-Identifier: MIT
 *
 * Fuzzes the tar.gz of a release with arbitrary bytes. Only checkpoint files may be extracted, and
 * only as regular files in the folder. The first byte selects whether the rest is the whole file or
 * a tar that the harness compresses, because mutations do not survive gzip's checksum.
 */
#include "app/download/unpack.h"
#include "base/file.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Writes `size` bytes to `fd` as a gzip file. */
static int write_gzip(int fd, const uint8_t *data, size_t size) {
    struct archive *gzip = archive_write_new();
    struct archive_entry *entry = archive_entry_new();
    archive_write_add_filter_gzip(gzip);
    archive_write_set_format_raw(gzip);
    archive_entry_set_filetype(entry, AE_IFREG);
    const bool written = archive_write_open_fd(gzip, fd) == ARCHIVE_OK &&
                         archive_write_header(gzip, entry) == ARCHIVE_OK &&
                         archive_write_data(gzip, data, size) == (la_ssize_t)size &&
                         archive_write_close(gzip) == ARCHIVE_OK;
    archive_entry_free(entry);
    archive_write_free(gzip);
    return written ? 0 : -1;
}

/* Empties `folder`; traps on anything but a regular file of a checkpoint. */
static void empty_folder(const char *folder) {
    struct dirent **entries;
    const int count = scandir(folder, &entries, NULL, NULL);
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        char path[512];
        snprintf(path, sizeof(path), "%s/%s", folder, name);
        if (name[0] != '.' && (entries[i]->d_type != DT_REG || unlink(path) < 0 ||
                               (strcmp(name, "checkpoint") != 0 && !strstr(name, ".index") &&
                                !strstr(name, ".data-"))))
            __builtin_trap();
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    char folder[] = "/tmp/spleeterd-fuzz.XXXXXX";
    SPL_CLEANUP(spl_close_p) int fd = memfd_create("archive", MFD_CLOEXEC);
    if (fd < 0 || !mkdtemp(folder))
        return 0;
    const int written = data[0] % 2 ? write_gzip(fd, data + 1, size - 1)
                                    : spl_write_all(fd, data + 1, size - 1, "an archive", NULL);
    spl_error error = {0};
    if (written == 0 && lseek(fd, 0, SEEK_SET) == 0) {
        const int status = spl_archive_unpack(fd, "input", folder, &error);
        if (status < 0 && (error.status != status || !error.message[0]))
            __builtin_trap();
    }
    empty_folder(folder);
    if (rmdir(folder) < 0)
        __builtin_trap();
    return 0;
}

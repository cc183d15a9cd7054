/* SPDX-License-Identifier: MIT
 *
 * libarchive, restricted to gzip and tar, reads the archive; the files are created here.
 */
#include "app/download/unpack.h"

#include "base/file.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define READ_BYTES         ((size_t)1 << 16)
#define MEMBERS_MAX        64
#define NAME_MAX_BYTES     100
#define UNPACKED_MAX_BYTES ((int64_t)2 << 30)

static void archive_free_p(struct archive **archive) {
    archive_read_free(*archive);
}

static int fail_archive(struct archive *archive, const char *name, spl_error *ret_error) {
    const char *reason = archive_error_string(archive);
    return spl_fail(ret_error, archive_errno(archive) == ENOMEM ? SPL_E_MEMORY : SPL_E_FORMAT,
                    "%s is damaged: %s", name, reason ? reason : "it ends too early");
}

static bool is_checkpoint_file(const char *file) {
    const size_t length = strlen(file);
    const char *end = strrchr(file, '.');
    return length <= NAME_MAX_BYTES && file[0] != '.' && !strchr(file, '/') &&
           (strcmp(file, "checkpoint") == 0 ||
            (end && (strcmp(end, ".index") == 0 || strncmp(end, ".data-", strlen(".data-")) == 0)));
}

static int check_size(struct archive *archive, const char *name, int64_t member_bytes,
                      spl_error *ret_error) {
    if (member_bytes > UNPACKED_MAX_BYTES - archive_filter_bytes(archive, 0))
        return spl_fail(ret_error, SPL_E_LIMIT, "%s unpacks to more than %d GiB", name,
                        (int)(UNPACKED_MAX_BYTES >> 30));
    return 0;
}

/* Rejects sparse files: the archive does not contain the bytes of holes, so check_size() would not
 * count them. */
static int copy_member(struct archive *archive, const char *name, int fd, spl_error *ret_error) {
    for (la_int64_t done = 0;;) {
        const void *bytes;
        size_t size;
        la_int64_t offset;
        const int code = archive_read_data_block(archive, &bytes, &size, &offset);
        if (code != ARCHIVE_OK && code != ARCHIVE_EOF)
            return fail_archive(archive, name, ret_error);
        if (offset != done)
            return spl_fail(ret_error, SPL_E_FORMAT, "%s holds a sparse file", name);
        if (code == ARCHIVE_EOF)
            return 0;
        int status = check_size(archive, name, 0, ret_error);
        if (status == 0)
            status = spl_write_all(fd, bytes, size, "an unpacked model", ret_error);
        if (status < 0)
            return status;
        done += (la_int64_t)size;
    }
}

static int unpack_member(struct archive *archive, struct archive_entry *entry, const char *name,
                         int folder_fd, spl_error *ret_error) {
    int status = check_size(archive, name, archive_entry_size(entry), ret_error);
    const char *file = archive_entry_pathname(entry);
    if (file && strncmp(file, "./", 2) == 0)
        file += 2;
    if (status < 0 || !file || !is_checkpoint_file(file))
        return status;
    if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry))
        return spl_fail(ret_error, SPL_E_FORMAT, "%s: %s is not a regular file", name, file);
    SPL_CLEANUP(spl_close_p)
    int fd = openat(folder_fd, file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST)
        return spl_fail(ret_error, SPL_E_FORMAT, "%s holds %s twice", name, file);
    if (fd < 0)
        return spl_fail_errno(ret_error, errno, "cannot unpack %s", name);
    return copy_member(archive, name, fd, ret_error);
}

int spl_archive_unpack(int fd, const char *name, const char *folder, spl_error *ret_error) {
    SPL_CLEANUP(spl_close_p) int folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder_fd < 0)
        return spl_fail_errno(ret_error, errno, "cannot open the folder %s", folder);
    SPL_CLEANUP(archive_free_p) struct archive *archive = archive_read_new();
    if (!archive)
        return spl_fail_memory(ret_error);
    if (archive_read_support_filter_gzip(archive) != ARCHIVE_OK ||
        archive_read_support_format_tar(archive) != ARCHIVE_OK ||
        archive_read_open_fd(archive, fd, READ_BYTES) != ARCHIVE_OK)
        return fail_archive(archive, name, ret_error);
    for (unsigned members = 0; members < MEMBERS_MAX; members++) {
        struct archive_entry *entry;
        const int code = archive_read_next_header(archive, &entry);
        if (code == ARCHIVE_EOF)
            return 0;
        if (code != ARCHIVE_OK && code != ARCHIVE_WARN)
            return fail_archive(archive, name, ret_error);
        int status = unpack_member(archive, entry, name, folder_fd, ret_error);
        if (status < 0)
            return status;
    }
    return spl_fail(ret_error, SPL_E_LIMIT, "%s has more than %d members", name, MEMBERS_MAX);
}

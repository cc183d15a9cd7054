/* SPDX-License-Identifier: MIT
 *
 * libarchive pushes and HTTP pulls: each read makes libarchive write pieces into a buffer until
 * there is something to return.
 */
#include "service/http/routes/zip_stream.h"

#include "base/file.h"

#include <archive.h>
#include <archive_entry.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#define PIECE_BYTES ((size_t)64 << 10)

typedef struct zip_entry {
    char *name;
    int fd;
    uint64_t bytes;
    time_t modified;
} zip_entry;

struct spl_zip {
    struct archive *archive;
    zip_entry *entries;
    size_t count;
    size_t current;   /* the entry being written */
    bool started;     /* its header is written */
    uint64_t written; /* bytes of its content */
    bool ended;
    char *ready; /* bytes not yet read */
    size_t ready_size, ready_capacity, given;
    char piece[PIECE_BYTES];
};

static la_ssize_t take_ready(struct archive *archive, void *user, const void *data, size_t size) {
    spl_zip *zip = user;
    if (size > zip->ready_capacity - zip->ready_size) {
        const size_t capacity = zip->ready_size + size + PIECE_BYTES;
        char *larger = realloc(zip->ready, capacity);
        if (!larger) {
            archive_set_error(archive, ARCHIVE_FATAL, "out of memory");
            return -1;
        }
        zip->ready = larger;
        zip->ready_capacity = capacity;
    }
    memcpy(zip->ready + zip->ready_size, data, size);
    zip->ready_size += size;
    return (la_ssize_t)size;
}

/* Opens an archive whose bytes go to `take`. NULL: memory ran out. */
static struct archive *open_archive(archive_write_callback *take, void *user) {
    struct archive *archive = archive_write_new();
    if (archive && archive_write_set_format_zip(archive) == ARCHIVE_OK &&
        archive_write_zip_set_compression_store(archive) == ARCHIVE_OK &&
        archive_write_set_bytes_per_block(archive, 0) == ARCHIVE_OK &&
        archive_write_open(archive, user, NULL, take, NULL) == ARCHIVE_OK)
        return archive;
    archive_write_free(archive);
    return NULL;
}

int spl_zip_new(spl_zip **ret_zip, spl_error *ret_error) {
    spl_zip *zip = calloc(1, sizeof(*zip));
    if (!zip)
        return spl_fail_memory(ret_error);
    zip->archive = open_archive(take_ready, zip);
    if (!zip->archive) {
        spl_zip_free(zip);
        return spl_fail_memory(ret_error);
    }
    *ret_zip = zip;
    return 0;
}

int spl_zip_add_file(spl_zip *zip, const char *name, int fd, spl_error *ret_error) {
    struct stat stat;
    zip_entry *longer = reallocarray(zip->entries, zip->count + 1, sizeof(*longer));
    char *copy = strdup(name);
    if (longer)
        zip->entries = longer;
    int status = 0;
    if (!longer || !copy)
        status = spl_fail_memory(ret_error);
    else if (fstat(fd, &stat) < 0)
        status = spl_fail(ret_error, SPL_E_IO, "cannot look at %s", name);
    if (status < 0) {
        free(copy);
        close(fd);
        return status;
    }
    zip->entries[zip->count++] = (zip_entry){
        .name = copy, .fd = fd, .bytes = (uint64_t)stat.st_size, .modified = stat.st_mtime};
    return 0;
}

int spl_zip_add_text(spl_zip *zip, const char *name, const char *text, spl_error *ret_error) {
    int fd = memfd_create(name, MFD_CLOEXEC);
    if (fd < 0)
        return spl_fail(ret_error, SPL_E_IO, "cannot make a file in memory for %s", name);
    int status = spl_write_all(fd, text, strlen(text), name, ret_error);
    if (status < 0) {
        close(fd);
        return status;
    }
    return spl_zip_add_file(zip, name, fd, ret_error);
}

static bool write_header(struct archive *archive, const zip_entry *entry) {
    struct archive_entry *header = archive_entry_new();
    if (!header)
        return false;
    archive_entry_set_pathname(header, entry->name);
    archive_entry_set_filetype(header, AE_IFREG);
    archive_entry_set_perm(header, 0644);
    archive_entry_set_size(header, (la_int64_t)entry->bytes);
    archive_entry_set_mtime(header, entry->modified, 0);
    const bool good = archive_write_header(archive, header) == ARCHIVE_OK;
    archive_entry_free(header);
    return good;
}

static la_ssize_t count_bytes(struct archive *archive, void *user, const void *data, size_t size) {
    (void)archive;
    (void)data;
    *(uint64_t *)user += size;
    return (la_ssize_t)size;
}

/* Writes everything but the contents of the files, and only counts it. */
uint64_t spl_zip_size(const spl_zip *zip) {
    uint64_t bytes = 0, contents = 0;
    struct archive *archive = open_archive(count_bytes, &bytes);
    bool good = archive != NULL;
    for (size_t i = 0; i < zip->count && good; i++) {
        good = write_header(archive, &zip->entries[i]) &&
               archive_write_finish_entry(archive) == ARCHIVE_OK;
        contents += zip->entries[i].bytes;
    }
    good = good && archive_write_close(archive) == ARCHIVE_OK;
    archive_write_free(archive);
    bytes += contents;
    return good && bytes < UINT32_MAX ? bytes : SPL_ZIP_SIZE_UNKNOWN;
}

static bool start_entry(spl_zip *zip, const zip_entry *entry) {
    zip->started = write_header(zip->archive, entry);
    zip->written = 0;
    return zip->started;
}

static bool write_piece(spl_zip *zip, const zip_entry *entry) {
    const uint64_t left = entry->bytes - zip->written;
    if (left == 0) {
        zip->started = false;
        zip->current++;
        return archive_write_finish_entry(zip->archive) == ARCHIVE_OK;
    }
    const ssize_t got =
        pread(entry->fd, zip->piece, SPL_MIN(left, PIECE_BYTES), (off_t)zip->written);
    if (got <= 0 || archive_write_data(zip->archive, zip->piece, (size_t)got) != got)
        return false;
    zip->written += (uint64_t)got;
    return true;
}

static bool step(spl_zip *zip) {
    if (zip->current == zip->count) {
        zip->ended = true;
        return archive_write_close(zip->archive) == ARCHIVE_OK;
    }
    const zip_entry *entry = &zip->entries[zip->current];
    return zip->started ? write_piece(zip, entry) : start_entry(zip, entry);
}

ssize_t spl_zip_read(spl_zip *zip, void *buffer, size_t capacity) {
    while (zip->given == zip->ready_size) {
        if (zip->ended)
            return 0;
        zip->given = zip->ready_size = 0;
        if (!step(zip))
            return SPL_E_IO;
    }
    const size_t size = SPL_MIN(capacity, zip->ready_size - zip->given);
    memcpy(buffer, zip->ready + zip->given, size);
    zip->given += size;
    return (ssize_t)size;
}

void spl_zip_free(spl_zip *zip) {
    if (!zip)
        return;
    archive_write_free(zip->archive);
    for (size_t i = 0; i < zip->count; i++) {
        free(zip->entries[i].name);
        close(zip->entries[i].fd);
    }
    free(zip->entries);
    free(zip->ready);
    free(zip);
}

/* SPDX-License-Identifier: MIT
 *
 * libarchive pushes and HTTP pulls: each read makes libarchive write pieces into a buffer until
 * there is something to return.
 */
#include "service/http/routes/zip_stream.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define PIECE_BYTES ((size_t)64 << 10)

typedef struct zip_entry {
    char *name;
    char *text; /* the content; NULL: it is in a file */
    uint64_t bytes;
} zip_entry;

struct spl_zip {
    spl_zip_open *open;
    void *user;
    struct archive *archive;
    zip_entry *entries;
    size_t count;
    size_t current;   /* the entry being written */
    bool started;     /* its header is written */
    int fd;           /* its file; -1: none is open */
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

int spl_zip_new(spl_zip_open *open, void *user, spl_zip **ret_zip, spl_error *ret_error) {
    spl_zip *zip = calloc(1, sizeof(*zip));
    if (!zip)
        return spl_fail_memory(ret_error);
    zip->open = open;
    zip->user = user;
    zip->fd = -1;
    zip->archive = open_archive(take_ready, zip);
    if (!zip->archive) {
        spl_zip_free(zip);
        return spl_fail_memory(ret_error);
    }
    *ret_zip = zip;
    return 0;
}

/* `text` is NULL for a file. */
static int add_entry(spl_zip *zip, const char *name, const char *text, uint64_t bytes,
                     spl_error *ret_error) {
    zip_entry *longer = reallocarray(zip->entries, zip->count + 1, sizeof(*longer));
    if (!longer)
        return spl_fail_memory(ret_error);
    zip->entries = longer;
    zip_entry *entry = &longer[zip->count];
    *entry = (zip_entry){.name = strdup(name), .text = text ? strdup(text) : NULL, .bytes = bytes};
    zip->count++;
    return entry->name && (entry->text || !text) ? 0 : spl_fail_memory(ret_error);
}

int spl_zip_add_file(spl_zip *zip, const char *name, uint64_t bytes, spl_error *ret_error) {
    return add_entry(zip, name, NULL, bytes, ret_error);
}

int spl_zip_add_text(spl_zip *zip, const char *name, const char *text, spl_error *ret_error) {
    return add_entry(zip, name, text, strlen(text), ret_error);
}

static bool write_header(struct archive *archive, const zip_entry *entry, time_t modified) {
    struct archive_entry *header = archive_entry_new();
    if (!header)
        return false;
    archive_entry_set_pathname(header, entry->name);
    archive_entry_set_filetype(header, AE_IFREG);
    archive_entry_set_perm(header, 0644);
    archive_entry_set_size(header, (la_int64_t)entry->bytes);
    archive_entry_set_mtime(header, modified, 0);
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
        good = write_header(archive, &zip->entries[i], 0) &&
               archive_write_finish_entry(archive) == ARCHIVE_OK;
        contents += zip->entries[i].bytes;
    }
    good = good && archive_write_close(archive) == ARCHIVE_OK;
    archive_write_free(archive);
    bytes += contents;
    return good && bytes < UINT32_MAX ? bytes : SPL_ZIP_SIZE_UNKNOWN;
}

static int fail_writing(spl_zip *zip, spl_error *ret_error) {
    const char *reason = archive_error_string(zip->archive);
    return spl_fail(ret_error, SPL_E_MEMORY, "cannot write the archive: %s",
                    reason ? reason : "out of memory");
}

static int open_file(spl_zip *zip, const zip_entry *entry, time_t *ret_modified,
                     spl_error *ret_error) {
    struct stat file;
    int status = zip->open(zip->user, entry->name, &zip->fd, ret_error);
    if (status < 0)
        return status;
    if (fstat(zip->fd, &file) < 0)
        return spl_fail_errno(ret_error, errno, "cannot look at %s", entry->name);
    if (file.st_size < 0 || (uint64_t)file.st_size != entry->bytes)
        return spl_fail(ret_error, SPL_E_IO, "%s has %jd bytes, not %" PRIu64, entry->name,
                        (intmax_t)file.st_size, entry->bytes);
    *ret_modified = file.st_mtime;
    return 0;
}

static int start_entry(spl_zip *zip, const zip_entry *entry, spl_error *ret_error) {
    time_t modified = time(NULL);
    const int status = entry->text ? 0 : open_file(zip, entry, &modified, ret_error);
    if (status < 0)
        return status;
    zip->written = 0;
    zip->started = write_header(zip->archive, entry, modified);
    return zip->started ? 0 : fail_writing(zip, ret_error);
}

static int end_entry(spl_zip *zip, spl_error *ret_error) {
    spl_close_p(&zip->fd);
    zip->started = false;
    zip->current++;
    return archive_write_finish_entry(zip->archive) == ARCHIVE_OK ? 0
                                                                  : fail_writing(zip, ret_error);
}

static int write_piece(spl_zip *zip, const zip_entry *entry, spl_error *ret_error) {
    const size_t size = (size_t)SPL_MIN(entry->bytes - zip->written, (uint64_t)PIECE_BYTES);
    const char *piece = entry->text ? entry->text + zip->written : zip->piece;
    const ssize_t got =
        entry->text ? (ssize_t)size : pread(zip->fd, zip->piece, size, (off_t)zip->written);
    if (got < 0)
        return spl_fail_errno(ret_error, errno, "cannot read %s", entry->name);
    if (got == 0)
        return spl_fail(ret_error, SPL_E_IO, "%s ends after %" PRIu64 " of %" PRIu64 " bytes",
                        entry->name, zip->written, entry->bytes);
    if (archive_write_data(zip->archive, piece, (size_t)got) != got)
        return fail_writing(zip, ret_error);
    zip->written += (uint64_t)got;
    return 0;
}

static int step(spl_zip *zip, spl_error *ret_error) {
    if (zip->current == zip->count) {
        zip->ended = true;
        return archive_write_close(zip->archive) == ARCHIVE_OK ? 0 : fail_writing(zip, ret_error);
    }
    const zip_entry *entry = &zip->entries[zip->current];
    if (!zip->started)
        return start_entry(zip, entry, ret_error);
    return zip->written == entry->bytes ? end_entry(zip, ret_error)
                                        : write_piece(zip, entry, ret_error);
}

ssize_t spl_zip_read(spl_zip *zip, void *buffer, size_t capacity, spl_error *ret_error) {
    while (zip->given == zip->ready_size) {
        if (zip->ended)
            return 0;
        zip->given = zip->ready_size = 0;
        const int status = step(zip, ret_error);
        if (status < 0)
            return status;
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
        free(zip->entries[i].text);
    }
    spl_close_p(&zip->fd);
    free(zip->entries);
    free(zip->ready);
    free(zip);
}

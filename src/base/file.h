/* SPDX-License-Identifier: MIT
 *
 * Files: mapped or read whole with a cap, and written so that they appear whole or not at all.
 */
#ifndef SPL_BASE_FILE_H
#define SPL_BASE_FILE_H

#include "base/error.h"

/* A read-only mapping of a regular file. */
typedef struct spl_file_map {
    const uint8_t *data; /* NULL for an empty file */
    size_t size_bytes;
} spl_file_map;

/* Maps the regular file at `path`; a file larger than `cap_bytes` is refused (LIMIT).
 * The file must not shrink while it is mapped. */
SPL_WARN_UNUSED int spl_file_map_open(const char *path, size_t cap_bytes, spl_file_map *ret_map,
                                      spl_error *ret_error);

/* Unmaps; a zeroed map is allowed. */
void spl_file_map_close(spl_file_map *map);

/* Writes all `size` bytes to `fd`, however often the kernel takes only a part. `name` is for the
 * message. */
SPL_WARN_UNUSED int spl_write_all(int fd, const void *data, size_t size, const char *name,
                                  spl_error *ret_error);

/* Makes the folder `path` and those above it that do not exist (mode 0777 less umask). */
SPL_WARN_UNUSED int spl_make_folders(const char *path, spl_error *ret_error);

/* The SHA-256 of `size` bytes as 64 hex digits and a NUL. Errors: MEMORY. */
SPL_WARN_UNUSED int spl_sha256_hex(const void *data, size_t size, char ret_hex[65],
                                   spl_error *ret_error);

/* A file that is being written in the folder of its final place. It has no name meanwhile, so that
 * nothing is left of it however the program ends; where the file system knows no such files it is a
 * hidden one that ends in ".part". */
typedef struct spl_output_file {
    int fd;          /* open for reading and writing; owned by this struct */
    char *path;      /* where it will be */
    char *temporary; /* where it is now; NULL: it has no name */
} spl_output_file;

#define SPL_OUTPUT_FILE_INIT                                                                       \
    { .fd = -1 }

/* Starts a file that will stand at `path`; its folder must exist. */
SPL_WARN_UNUSED int spl_output_file_open(const char *path, spl_output_file *ret_file,
                                         spl_error *ret_error);

/* Flushes the files to the disk, then gives all of them their names (replacing what stood there),
 * flushes the folders, closes. When a file cannot be flushed or linked, nothing is left of any and
 * what stood at their paths is untouched. */
SPL_WARN_UNUSED int spl_output_files_commit(spl_output_file *const *files, size_t count,
                                            spl_error *ret_error);

/* The same for one file. */
SPL_WARN_UNUSED int spl_output_file_commit(spl_output_file *file, spl_error *ret_error);

/* Closes the file and removes it unless it was committed. Safe on a struct that is initialised,
 * committed or discarded. */
void spl_output_file_discard(spl_output_file *file);

#endif

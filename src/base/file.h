/* SPDX-License-Identifier: MIT
 *
 * Files: reading and mapping with a size limit, checks of owner and mode, and atomic writing.
 */
#ifndef SPL_BASE_FILE_H
#define SPL_BASE_FILE_H

#include "base/error.h"

#include <limits.h>

/* Who may have written a file that is opened. */
typedef enum spl_file_trust {
    SPL_FILE_ANYBODYS, /* anybody: its content is validated or harmless */
    /* Only root and this process's user: one of them owns it, and nobody else has write access,
     * except the folder's group by the rule of spl_folder_check. */
    SPL_FILE_TRUSTED,
    SPL_FILE_PRIVATE, /* as SPL_FILE_TRUSTED, and nobody else has read access */
} spl_file_trust;

/* Opens a regular file for reading. Never blocks, whatever `path` names. Errors: FORMAT (not a
 * regular file), PERMISSION (as `trust`, with the remedy in the message). */
SPL_WARN_UNUSED int spl_file_open(const char *path, spl_file_trust trust, int *ret_fd,
                                  spl_error *ret_error);

/* Checks that nobody but root, this process's user and its groups may create or replace files in
 * the folder `path`. Groups are allowed because Kubernetes gives volumes to the group of a pod
 * (fsGroup). Errors: PERMISSION, with the remedy in the message; NOT_FOUND, IO. */
SPL_WARN_UNUSED int spl_folder_check(const char *path, spl_error *ret_error);

typedef struct spl_file_content {
    char *text; /* `size_bytes` bytes and a NUL; owned by this struct */
    size_t size_bytes;
    bool shared; /* this process's user owns the file; others than the folder's group may read it */
} spl_file_content;

/* Reads a whole file. It may be truncated meanwhile, which would kill a process that has mapped it.
 * The caller owns *ret_content (spl_file_content_free). Errors: as for spl_file_open; LIMIT if the
 * file has more than `cap_bytes`, IO also if it grows. */
SPL_WARN_UNUSED int spl_file_read(const char *path, spl_file_trust trust, size_t cap_bytes,
                                  spl_file_content *ret_content, spl_error *ret_error);
/* Wipes and frees the text; a zeroed content is allowed. */
void spl_file_content_free(spl_file_content *content);

/* A read-only mapping of a regular file. */
typedef struct spl_file_map {
    const uint8_t *data; /* NULL for an empty file */
    size_t size_bytes;
} spl_file_map;

/* Maps the regular file at `path`, for large files that are replaced but never rewritten: the file
 * must not shrink while it is mapped. Errors: LIMIT if it is larger than `cap_bytes`. */
SPL_WARN_UNUSED int spl_file_map_open(const char *path, size_t cap_bytes, spl_file_map *ret_map,
                                      spl_error *ret_error);

/* Unmaps; a zeroed map is allowed. */
void spl_file_map_close(spl_file_map *map);

/* Writes all `size` bytes to `fd`, with as many calls of write as it takes. `name` is for the
 * message. */
SPL_WARN_UNUSED int spl_write_all(int fd, const void *data, size_t size, const char *name,
                                  spl_error *ret_error);

/* Creates the folder `path` and its missing parents (mode 0777 less umask). Errors: EXISTS (one of
 * them is a file), PERMISSION, NO_SPACE, IO, MEMORY. */
SPL_WARN_UNUSED int spl_make_folders(const char *path, spl_error *ret_error);

/* Makes the entries of `folder` durable: what was created, renamed or removed in it. Errors: as for
 * spl_fail_errno. */
SPL_WARN_UNUSED int spl_folder_flush(const char *folder, spl_error *ret_error);

/* The folder of this program's executable; "" if it cannot be determined. */
void spl_program_folder(char ret_folder[PATH_MAX]);

/* A file that is being written, in the folder of its final path. It has no name until it is
 * committed, so nothing is left of it if the program dies. On file systems without unnamed files it
 * is a hidden file that ends in ".part". */
typedef struct spl_output_file {
    int fd;          /* open for reading and writing; owned by this struct */
    char *path;      /* the final path */
    char *temporary; /* the current path; NULL: it has no name */
} spl_output_file;

#define SPL_OUTPUT_FILE_INIT                                                                       \
    { .fd = -1 }

/* Creates a file that a commit will place at `path`, whose folder must exist. */
SPL_WARN_UNUSED int spl_output_file_open(const char *path, spl_output_file *ret_file,
                                         spl_error *ret_error);

/* Flushes the files to disk, gives each its name (replacing existing files), flushes the folders,
 * and closes the files. If a file cannot be flushed or linked, none of them remains and existing
 * files at their paths are untouched. */
SPL_WARN_UNUSED int spl_output_files_commit(spl_output_file *const *files, size_t count,
                                            spl_error *ret_error);

/* As spl_output_files_commit, for one file. */
SPL_WARN_UNUSED int spl_output_file_commit(spl_output_file *file, spl_error *ret_error);

/* Closes the file and removes it unless it was committed. Safe on an initialised, committed or
 * discarded struct. */
void spl_output_file_discard(spl_output_file *file);

#endif

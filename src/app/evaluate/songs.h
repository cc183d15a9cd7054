/* SPDX-License-Identifier: MIT
 *
 * Finds songs with known true stems: in a tree of folders, or as stem.mp4 files.
 */
#ifndef SPL_APP_EVALUATE_SONGS_H
#define SPL_APP_EVALUATE_SONGS_H

#include "base/error.h"

/* A stem and its file. */
typedef struct spl_stem_file {
    char *name; /* "vocals" */
    char *path;
    unsigned track; /* as in spl_decode_options */
} spl_stem_file;

/* The stems of a folder, sorted by name. */
typedef struct spl_stem_files {
    spl_stem_file *files;
    unsigned count;
    char *mixture; /* path of the file named "mixture"; NULL: none */
} spl_stem_files;

typedef struct spl_song {
    char *name; /* path relative to the searched folder, without .stem.mp4 */
    spl_stem_files truth;
} spl_song;

typedef struct spl_songs {
    spl_song *songs; /* sorted by path */
    size_t count;
} spl_songs;

/* Finds all songs at and below `path`: folders with two or more stems, such as vocals.wav and
 * drums.flac, and files *.stem.mp4, whose five audio tracks are mixture, drums, bass, other and
 * vocals, as in MUSDB18. Errors: NOT_FOUND (also when there is no song), FORMAT (duplicate stem),
 * PERMISSION, IO, MEMORY. */
SPL_WARN_UNUSED int spl_songs_find(const char *path, spl_songs *ret_songs, spl_error *ret_error);

void spl_songs_clear(spl_songs *songs);

/* Lists the stems in the folder `path`; there may be none. Errors: as above. */
SPL_WARN_UNUSED int spl_stem_files_list(const char *path, spl_stem_files *ret_files,
                                        spl_error *ret_error);

void spl_stem_files_clear(spl_stem_files *stems);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Searches a tree of folders for songs.
 */
#include "app/evaluate/songs.h"

#include "app/audio/extensions.h"
#include "app/audio/walk.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MIXTURE   "mixture"
#define STEM_MP4  ".stem.mp4"
#define STEMS_MIN 2 /* for a folder to count as a song */
#define STEMS_MAX 64

/* The audio tracks of a stem.mp4 after the mixture. */
static const char *const mp4_stems[] = {"drums", "bass", "other", "vocals"};

static bool ends_with(const char *text, const char *end) {
    const size_t length = strlen(text), end_length = strlen(end);
    return length > end_length && strcmp(text + length - end_length, end) == 0;
}

/* The length of the stem's name within the file name; 0: not an audio file, or a stem.mp4. */
static size_t stem_length(const char *file) {
    return spl_name_is_audio(file) && !ends_with(file, STEM_MP4) ? spl_name_stem_length(file) : 0;
}

static int add_stem(spl_stem_files *stems, const char *name, size_t length, const char *path,
                    unsigned track, spl_error *ret_error) {
    for (unsigned i = 0; i < stems->count; i++) {
        const char *other = stems->files[i].name;
        if (strlen(other) == length && strncmp(other, name, length) == 0)
            return spl_fail(ret_error, SPL_E_FORMAT, "%s and %s are the same stem",
                            stems->files[i].path, path);
    }
    if (stems->count == STEMS_MAX)
        return spl_fail(ret_error, SPL_E_LIMIT, "more than %d stems beside %s", STEMS_MAX, path);
    spl_stem_file *longer = reallocarray(stems->files, stems->count + 1, sizeof(*stems->files));
    if (!longer)
        return spl_fail_memory(ret_error);
    stems->files = longer;
    spl_stem_file *stem = &longer[stems->count++];
    *stem = (spl_stem_file){strndup(name, length), strdup(path), track};
    return stem->name && stem->path ? 0 : spl_fail_memory(ret_error);
}

static int add_file(spl_stem_files *stems, const char *folder, const char *file,
                    spl_error *ret_error) {
    const size_t length = stem_length(file);
    if (length == 0)
        return 0;
    SPL_CLEANUP(spl_free_p) char *path = NULL;
    if (asprintf(&path, "%s/%s", folder, file) < 0)
        return spl_fail_memory(ret_error);
    if (length != strlen(MIXTURE) || strncmp(file, MIXTURE, length) != 0)
        return add_stem(stems, file, length, path, 0, ret_error);
    free(stems->mixture);
    stems->mixture = SPL_STEAL(path);
    return 0;
}

int spl_stem_files_list(const char *path, spl_stem_files *ret_files, spl_error *ret_error) {
    struct dirent **entries;
    const int count = scandir(path, &entries, NULL, alphasort);
    if (count < 0)
        return spl_fail_errno(ret_error, errno, "cannot read the folder %s", path);
    SPL_CLEANUP(spl_stem_files_clear) spl_stem_files stems = {0};
    int status = 0;
    for (int i = 0; i < count; i++) {
        if (status == 0)
            status = add_file(&stems, path, entries[i]->d_name, ret_error);
        free(entries[i]);
    }
    free(entries);
    if (status == 0) {
        *ret_files = stems;
        stems = (spl_stem_files){0};
    }
    return status;
}

void spl_stem_files_clear(spl_stem_files *stems) {
    for (unsigned i = 0; i < stems->count; i++) {
        free(stems->files[i].name);
        free(stems->files[i].path);
    }
    free(stems->files);
    free(stems->mixture);
    *stems = (spl_stem_files){0};
}

static int list_tracks(const char *path, spl_stem_files *stems, spl_error *ret_error) {
    stems->mixture = strdup(path);
    int status = stems->mixture ? 0 : spl_fail_memory(ret_error);
    for (unsigned i = 0; status == 0 && i < SPL_ARRAY_SIZE(mp4_stems); i++)
        status = add_stem(stems, mp4_stems[i], strlen(mp4_stems[i]), path, i + 2, ret_error);
    return status;
}

/* The song's name: the rest of `path` after its root, or its last part. */
static char *make_name(const char *path, size_t root_length) {
    const char *slash = strrchr(path, '/');
    const char *name = path[root_length] == '/' ? path + root_length + 1
                       : slash && slash[1]      ? slash + 1
                                                : path;
    const size_t length = strlen(name);
    return strndup(name, ends_with(name, STEM_MP4) ? length - strlen(STEM_MP4) : length);
}

static int add_song(spl_songs *songs, const char *path, size_t root_length, spl_stem_files *truth,
                    spl_error *ret_error) {
    spl_song *longer = reallocarray(songs->songs, songs->count + 1, sizeof(*songs->songs));
    if (!longer)
        return spl_fail_memory(ret_error);
    songs->songs = longer;
    spl_song *song = &longer[songs->count++];
    *song = (spl_song){.name = make_name(path, root_length), .truth = *truth};
    *truth = (spl_stem_files){0};
    return song->name ? 0 : spl_fail_memory(ret_error);
}

/* spl_walk_visit */
static int visit_entry(void *user, const FTSENT *entry, size_t root_length, spl_error *ret_error) {
    spl_songs *songs = user;
    SPL_CLEANUP(spl_stem_files_clear) spl_stem_files truth = {0};
    int status = 0;
    if (entry->fts_info == FTS_D)
        status = spl_stem_files_list(entry->fts_path, &truth, ret_error);
    else if (entry->fts_info == FTS_F && spl_name_is_audio(entry->fts_name) &&
             ends_with(entry->fts_name, STEM_MP4))
        status = list_tracks(entry->fts_path, &truth, ret_error);
    else if (entry->fts_info == FTS_NS || entry->fts_info == FTS_DNR)
        status = spl_fail_errno(ret_error, entry->fts_errno, "cannot read %s", entry->fts_path);
    if (status == 0 && truth.count >= STEMS_MIN)
        status = add_song(songs, entry->fts_path, root_length, &truth, ret_error);
    return status;
}

int spl_songs_find(const char *path, spl_songs *ret_songs, spl_error *ret_error) {
    SPL_CLEANUP(spl_songs_clear) spl_songs songs = {0};
    int status = spl_walk(path, visit_entry, &songs, ret_error);
    if (status < 0)
        return status;
    if (songs.count == 0)
        return spl_fail(ret_error, SPL_E_NOT_FOUND,
                        "there is no song in %s: neither a folder with stems, such as vocals.wav "
                        "and drums.wav, nor a file *" STEM_MP4,
                        path);
    *ret_songs = songs;
    songs = (spl_songs){0};
    return 0;
}

void spl_songs_clear(spl_songs *songs) {
    for (size_t i = 0; i < songs->count; i++) {
        free(songs->songs[i].name);
        spl_stem_files_clear(&songs->songs[i].truth);
    }
    free(songs->songs);
    *songs = (spl_songs){0};
}

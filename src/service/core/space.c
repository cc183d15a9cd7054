/* SPDX-License-Identifier: MIT
 *
 * A writer spends after it has written, so a byte that is counted twice for a moment is one that is
 * both granted and used. The account errs on the safe side.
 */
#include "service/core/space.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/statvfs.h>

#define PIECE_BYTES ((uint64_t)1 << 20)

struct spl_space {
    int folder;
    uint64_t min_free_bytes;
    pthread_mutex_t lock;
    uint64_t granted_bytes; /* the sum of all grants; guarded by `lock` */
};

int spl_space_open(const char *folder, uint64_t min_free_bytes, spl_space **ret_space,
                   spl_error *ret_error) {
    SPL_CLEANUP(spl_close_p) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return spl_fail_errno(ret_error, errno, "cannot open the folder %s", folder);
    spl_space *space = malloc(sizeof(*space));
    if (!space)
        return spl_fail_memory(ret_error);
    *space = (spl_space){.folder = spl_steal_fd(&fd), .min_free_bytes = min_free_bytes};
    pthread_mutex_init(&space->lock, NULL);
    *ret_space = space;
    return 0;
}

void spl_space_close(spl_space *space) {
    if (!space)
        return;
    pthread_mutex_destroy(&space->lock);
    spl_close_p(&space->folder);
    free(space);
}

/* *ret_files: how many files can be made; UINT64_MAX: no limit. */
static int measure(const spl_space *space, uint64_t *ret_bytes, uint64_t *ret_files,
                   spl_error *ret_error) {
    struct statvfs disk;
    if (fstatvfs(space->folder, &disk) < 0)
        return spl_fail_errno(ret_error, errno, "cannot see how full the disk of the data is");
    *ret_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
    *ret_files = disk.f_files ? disk.f_favail : UINT64_MAX;
    return 0;
}

int spl_space_free_bytes(const spl_space *space, uint64_t *ret_bytes, spl_error *ret_error) {
    uint64_t files = 0;
    return measure(space, ret_bytes, &files, ret_error);
}

int spl_space_is_full(const spl_space *space, bool *ret_full, spl_error *ret_error) {
    uint64_t bytes = 0, files = 0;
    int status = measure(space, &bytes, &files, ret_error);
    if (status == 0)
        *ret_full = bytes < space->min_free_bytes || files < SPL_SPACE_MIN_FILES;
    return status;
}

/* Finds what the grant may have in all, which must be `least` bytes at least. The caller holds the
 * lock. */
static int find_room(const spl_space_grant *grant, uint64_t least, uint64_t *ret_bytes,
                     spl_error *ret_error) {
    const spl_space *space = grant->space;
    const uint64_t divisor = grant->use == SPL_SPACE_FINISH ? 2 : 1;
    uint64_t room = 0, files = 0;
    int status = measure(space, &room, &files, ret_error);
    if (status < 0)
        return status;
    if (grant->use == SPL_SPACE_ACCEPT && files < SPL_SPACE_MIN_FILES)
        return spl_fail(ret_error, SPL_E_NO_SPACE, "the disk has fewer than %d inodes left",
                        SPL_SPACE_MIN_FILES);
    room -= SPL_MIN(room, space->min_free_bytes / divisor);
    room -= SPL_MIN(room, space->granted_bytes - grant->left_bytes);
    if (room < least)
        return spl_fail(ret_error, SPL_E_NO_SPACE,
                        "the disk would have less than SPLEETER_MIN_FREE_DISK_MB left");
    *ret_bytes = room;
    return 0;
}

/* Enlarges the grant to `least` bytes, or to `best` if they fit. */
static int enlarge(spl_space_grant *grant, uint64_t least, uint64_t best, spl_error *ret_error) {
    spl_space *space = grant->space;
    if (!space || grant->left_bytes >= least)
        return 0;
    pthread_mutex_lock(&space->lock);
    uint64_t room;
    int status = find_room(grant, least, &room, ret_error);
    if (status == 0) {
        const uint64_t bytes = SPL_MIN(best, room);
        space->granted_bytes += bytes - grant->left_bytes;
        grant->left_bytes = bytes;
    }
    pthread_mutex_unlock(&space->lock);
    return status;
}

int spl_space_check(const spl_space_grant *grant, uint64_t bytes, spl_error *ret_error) {
    spl_space *space = grant->space;
    if (!space)
        return 0;
    uint64_t room;
    pthread_mutex_lock(&space->lock);
    int status = find_room(grant, bytes, &room, ret_error);
    pthread_mutex_unlock(&space->lock);
    return status;
}

int spl_space_reserve(spl_space_grant *grant, uint64_t bytes, spl_error *ret_error) {
    return enlarge(grant, bytes, bytes, ret_error);
}

int spl_space_take(spl_space_grant *grant, uint64_t bytes, spl_error *ret_error) {
    return enlarge(grant, bytes, SPL_MAX(bytes, PIECE_BYTES), ret_error);
}

void spl_space_spend(spl_space_grant *grant, uint64_t bytes) {
    spl_space *space = grant->space;
    const uint64_t spent = SPL_MIN(bytes, grant->left_bytes);
    if (!space || spent == 0)
        return;
    pthread_mutex_lock(&space->lock);
    space->granted_bytes -= spent;
    pthread_mutex_unlock(&space->lock);
    grant->left_bytes -= spent;
}

void spl_space_release(spl_space_grant *grant) {
    spl_space_spend(grant, grant->left_bytes);
}

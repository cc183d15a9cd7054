/* SPDX-License-Identifier: MIT
 *
 * A disk for SQLite that fails, is slow, or loses unflushed data.
 */
#include "faulty_vfs.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct faulty_file {
    sqlite3_file base;
    const char *path; /* valid while the file is open */
    sqlite3_file *real;
} faulty_file;

static sqlite3_vfs *usual;
static atomic_int until_failure = -1; /* -1: no failure is scheduled */
static atomic_bool failing, has_failed, stays_failing, keeps_durable;
static atomic_int failure_code;
static atomic_uint flush_delay_ms;

void faulty_vfs_fail(int number, int code, bool stays) {
    failure_code = code;
    stays_failing = stays;
    has_failed = failing = false;
    until_failure = number;
}

bool faulty_vfs_heal(void) {
    until_failure = -1;
    failing = false;
    return has_failed;
}

void faulty_vfs_delay_flushes(unsigned ms) {
    flush_delay_ms = ms;
}

void faulty_vfs_keep_durable(void) {
    keeps_durable = true;
}

static bool fails(void) {
    if (failing)
        return true;
    if (until_failure < 0 || atomic_fetch_sub(&until_failure, 1) != 0)
        return false;
    failing = stays_failing;
    has_failed = true;
    return true;
}

static void copy_file(const char *from, const char *to) {
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    char block[65536];
    for (ssize_t size; (size = read(in, block, sizeof(block))) > 0;) {
        if (write(out, block, (size_t)size) != size)
            abort();
    }
    close(in);
    close(out);
}

static void keep_durable(const char *path) {
    char copy[512], durable[512];
    snprintf(copy, sizeof(copy), "%s.copy", path);
    snprintf(durable, sizeof(durable), "%s.durable", path);
    copy_file(path, copy);
    rename(copy, durable);
}

void faulty_vfs_lose_power(const char *path) {
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        char file[512], durable[520];
        snprintf(file, sizeof(file), "%s%s", path, suffixes[i]);
        snprintf(durable, sizeof(durable), "%s.durable", file);
        unlink(file);
        if (access(durable, F_OK) == 0)
            copy_file(durable, file);
    }
}

#define REAL(file) (((faulty_file *)(file))->real)

static int file_close(sqlite3_file *file) {
    return REAL(file)->pMethods->xClose(REAL(file));
}

static int file_read(sqlite3_file *file, void *data, int size, sqlite3_int64 offset) {
    return REAL(file)->pMethods->xRead(REAL(file), data, size, offset);
}

static int file_write(sqlite3_file *file, const void *data, int size, sqlite3_int64 offset) {
    return fails() ? failure_code : REAL(file)->pMethods->xWrite(REAL(file), data, size, offset);
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size) {
    return fails() ? failure_code : REAL(file)->pMethods->xTruncate(REAL(file), size);
}

static int file_sync(sqlite3_file *file, int flags) {
    usleep(flush_delay_ms * 1000);
    if (fails())
        return failure_code;
    int status = REAL(file)->pMethods->xSync(REAL(file), flags);
    if (status == SQLITE_OK && keeps_durable)
        keep_durable(((faulty_file *)file)->path);
    return status;
}

static int file_size(sqlite3_file *file, sqlite3_int64 *size) {
    return REAL(file)->pMethods->xFileSize(REAL(file), size);
}

static int file_lock(sqlite3_file *file, int level) {
    return REAL(file)->pMethods->xLock(REAL(file), level);
}

static int file_unlock(sqlite3_file *file, int level) {
    return REAL(file)->pMethods->xUnlock(REAL(file), level);
}

static int file_is_reserved(sqlite3_file *file, int *reserved) {
    return REAL(file)->pMethods->xCheckReservedLock(REAL(file), reserved);
}

static int file_control(sqlite3_file *file, int operation, void *argument) {
    return REAL(file)->pMethods->xFileControl(REAL(file), operation, argument);
}

static int file_sector_size(sqlite3_file *file) {
    return REAL(file)->pMethods->xSectorSize(REAL(file));
}

static int file_device(sqlite3_file *file) {
    return REAL(file)->pMethods->xDeviceCharacteristics(REAL(file));
}

static int file_shm_map(sqlite3_file *file, int page, int size, int extend,
                        void volatile **memory) {
    return REAL(file)->pMethods->xShmMap(REAL(file), page, size, extend, memory);
}

static int file_shm_lock(sqlite3_file *file, int offset, int count, int flags) {
    return REAL(file)->pMethods->xShmLock(REAL(file), offset, count, flags);
}

static void file_shm_barrier(sqlite3_file *file) {
    REAL(file)->pMethods->xShmBarrier(REAL(file));
}

static int file_shm_unmap(sqlite3_file *file, int remove) {
    return REAL(file)->pMethods->xShmUnmap(REAL(file), remove);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_is_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_device,
    .xShmMap = file_shm_map,
    .xShmLock = file_shm_lock,
    .xShmBarrier = file_shm_barrier,
    .xShmUnmap = file_shm_unmap,
};

static int disk_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags,
                     int *ret_flags) {
    (void)vfs;
    faulty_file *own = (faulty_file *)file;
    *own = (faulty_file){.path = path, .real = (sqlite3_file *)(own + 1)};
    if (fails())
        return SQLITE_CANTOPEN;
    int status = usual->xOpen(usual, path, own->real, flags, ret_flags);
    own->base.pMethods = own->real->pMethods ? &methods : NULL;
    return status;
}

static int disk_delete(sqlite3_vfs *vfs, const char *path, int flush_folder) {
    (void)vfs;
    if (fails())
        return SQLITE_IOERR_DELETE;
    char durable[512];
    snprintf(durable, sizeof(durable), "%s.durable", path);
    unlink(durable);
    return usual->xDelete(usual, path, flush_folder);
}

void faulty_vfs_install(void) {
    static sqlite3_vfs faulty;
    usual = sqlite3_vfs_find(NULL);
    faulty = *usual;
    faulty.zName = "faulty";
    faulty.szOsFile = (int)sizeof(faulty_file) + usual->szOsFile;
    faulty.xOpen = disk_open;
    faulty.xDelete = disk_delete;
    sqlite3_vfs_register(&faulty, 1);
}

/* SPDX-License-Identifier: MIT
 *
 * A temporary folder for a test.
 */
#include "folder.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static unsigned counted;
static const char *counted_suffix;

void folder_make(char *ret_path, size_t size) {
    const char *temporary = getenv("TMPDIR");
    const char *parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm"
                         : temporary                   ? temporary
                                                       : "/tmp";
    snprintf(ret_path, size, "%s/spleeterd-test.XXXXXX", parent);
    if (!mkdtemp(ret_path))
        abort();
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place) {
    (void)status, (void)kind, (void)place;
    return remove(path);
}

void folder_remove(const char *path) {
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static int count_one(const char *path, const struct stat *status, int kind, struct FTW *place) {
    (void)status, (void)place;
    const size_t length = strlen(path), suffix = strlen(counted_suffix);
    counted +=
        kind != FTW_D && length >= suffix && strcmp(path + length - suffix, counted_suffix) == 0;
    return 0;
}

unsigned folder_count(const char *path, const char *suffix) {
    counted = 0;
    counted_suffix = suffix;
    nftw(path, count_one, 16, FTW_PHYS);
    return counted;
}

/* SPDX-License-Identifier: MIT */
#include "app/audio/walk.h"

#include <errno.h>
#include <string.h>

static int compare_entries(const FTSENT **a, const FTSENT **b) {
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static void fts_close_p(FTS **walk) {
    if (*walk)
        fts_close(*walk);
}

int spl_walk(const char *folder, spl_walk_visit visit, void *user, spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char *root = strdup(folder);
    if (!root)
        return spl_fail_memory(ret_error);
    size_t length = strlen(root);
    while (length > 1 && root[length - 1] == '/')
        root[--length] = '\0';
    char *roots[] = {root, NULL};
    SPL_CLEANUP(fts_close_p)
    FTS *walk = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, compare_entries);
    if (!walk)
        return spl_fail_errno(ret_error, errno, "cannot read the folder %s", folder);
    for (FTSENT *entry; (entry = fts_read(walk));) {
        const int status = visit(user, entry, length, ret_error);
        if (status < 0)
            return status;
        if (status == SPL_WALK_SKIP)
            fts_set(walk, entry, FTS_SKIP);
    }
    if (errno) /* fts_read sets it to 0 at the end */
        return spl_fail_errno(ret_error, errno, "cannot read the folder %s", folder);
    return 0;
}

/* SPDX-License-Identifier: MIT
 *
 * Code that all implementations of blobs share.
 */
#include "service/blobs/blobs.h"

#include <string.h>

int spl_blob_check_name(const char *name, spl_error *ret_error) {
    const size_t length = strlen(name), suffix = strlen(SPL_BLOB_PART_SUFFIX);
    if (length == 0 || length > SPL_BLOB_NAME_MAX || name[0] == '.' ||
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") !=
            length ||
        (length > suffix && strcmp(name + length - suffix, SPL_BLOB_PART_SUFFIX) == 0))
        return spl_fail(ret_error, SPL_E_ARGUMENT, "'%.100s' is no name of a blob", name);
    return 0;
}

int spl_blob_check_names(const char *job, const char *name, spl_error *ret_error) {
    int status = spl_blob_check_name(job, ret_error);
    return status < 0 ? status : spl_blob_check_name(name, ret_error);
}

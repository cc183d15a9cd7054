/* SPDX-License-Identifier: MIT
 *
 * Error messages and status texts.
 */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

SPL_API const char *spl_status_text(spl_status status) {
    switch (status) {
    case SPL_OK:
        return "success";
    case SPL_E_ARGUMENT:
        return "invalid argument";
    case SPL_E_MEMORY:
        return "out of memory";
    case SPL_E_IO:
        return "input/output error";
    case SPL_E_NOT_FOUND:
        return "not found";
    case SPL_E_FORMAT:
        return "damaged or unexpected data";
    case SPL_E_UNSUPPORTED:
        return "not supported";
    case SPL_E_CHECKSUM:
        return "checksum mismatch";
    case SPL_E_CANCELED:
        return "canceled";
    case SPL_E_LIMIT:
        return "limit exceeded";
    case SPL_E_PERMISSION:
        return "permission denied";
    case SPL_E_HELPER:
        return "codec helper failed";
    case SPL_E_NO_SPACE:
        return "disk full";
    case SPL_E_BUDGET:
        return "too much memory or time";
    case SPL_E_SAMPLE:
        return "sample out of range";
    case SPL_E_EXHAUSTED:
        return "too many open files or processes";
    case SPL_E_EXISTS:
        return "exists already";
    }
    return "unknown status";
}

static int fail_va(spl_error *error, spl_status status, const char *suffix, const char *format,
                   va_list arguments) {
    if (!error)
        return status;
    spl_error failed = {.status = status};
    int length = vsnprintf(failed.message, sizeof(failed.message), format, arguments);
    if (suffix && length >= 0 && (size_t)length < sizeof(failed.message))
        snprintf(failed.message + length, sizeof(failed.message) - (size_t)length, ": %s", suffix);
    *error = failed;
    return status;
}

int spl_fail(spl_error *error, spl_status status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fail_va(error, status, NULL, format, arguments);
    va_end(arguments);
    return status;
}

/* What to do about an error of the system, as the end of its message. */
static const char *advice_for(int error_number) {
    switch (error_number) {
    case EMFILE:
        return "; raise the limit of open files (ulimit -n, LimitNOFILE=)";
    case ENFILE:
        return "; raise the limit of open files of the machine (sysctl fs.file-max)";
    case EAGAIN:
        return "; raise the limit of processes and threads (ulimit -u, TasksMax=, pids.max)";
    default:
        return "";
    }
}

int spl_fail_errno(spl_error *error, int error_number, const char *format, ...) {
    spl_status status = SPL_E_IO;
    if (error_number == EMFILE || error_number == ENFILE || error_number == EAGAIN)
        status = SPL_E_EXHAUSTED;
    else if (error_number == ENOENT || error_number == ENOTDIR)
        status = SPL_E_NOT_FOUND;
    else if (error_number == EEXIST || error_number == ENOTEMPTY)
        status = SPL_E_EXISTS;
    else if (error_number == EACCES || error_number == EPERM || error_number == EROFS)
        status = SPL_E_PERMISSION;
    else if (error_number == ENOMEM)
        status = SPL_E_MEMORY;
    else if (error_number == ENOSPC || error_number == EDQUOT)
        status = SPL_E_NO_SPACE;

    char text[128], suffix[256];
    snprintf(suffix, sizeof(suffix), "%s%s", strerror_r(error_number, text, sizeof(text)),
             advice_for(error_number));
    va_list arguments;
    va_start(arguments, format);
    fail_va(error, status, suffix, format, arguments);
    va_end(arguments);
    return status;
}

bool spl_status_is_transient(int status) {
    return status == SPL_E_MEMORY || status == SPL_E_IO || status == SPL_E_EXHAUSTED;
}

int spl_reserved_check(const uint64_t *reserved, size_t count, const char *name,
                       spl_error *ret_error) {
    for (size_t i = 0; i < count; i++)
        if (reserved[i] != 0)
            return spl_fail(ret_error, SPL_E_ARGUMENT,
                            "a reserved field of %s is not zero; zero the struct, or use a newer "
                            "libspleeter",
                            name);
    return 0;
}

int spl_fail_memory(spl_error *error) {
    return spl_fail(error, SPL_E_MEMORY, "out of memory");
}

/* SPDX-License-Identifier: MIT
 *
 * Error reporting: return spl_fail(error, SPL_E_..., "...", ...).
 */
#ifndef SPL_BASE_ERROR_H
#define SPL_BASE_ERROR_H

#include "base/macros.h"

#include <spleeter/error.h>

/* Writes status and message to *error unless it is NULL. Truncates a message that is too long.
 * Returns `status`. */
int spl_fail(spl_error *error, spl_status status, const char *format, ...) SPL_PRINTF(3, 4);

/* As spl_fail, with ": " and strerror(error_number) appended to the message. The status is derived
 * from the number: NOT_FOUND, EXISTS, PERMISSION, MEMORY, NO_SPACE, EXHAUSTED or IO. EAGAIN counts
 * as EXHAUSTED, so do not pass the error of a call that would block. */
int spl_fail_errno(spl_error *error, int error_number, const char *format, ...) SPL_PRINTF(3, 4);

/* Whether a failure is a state of this process or machine, which says nothing about the files that
 * were used: MEMORY, IO and EXHAUSTED. */
bool spl_status_is_transient(int status);

/* Succeeds if the `count` reserved fields of the public struct `name` are zero. */
SPL_WARN_UNUSED int spl_reserved_check(const uint64_t *reserved, size_t count, const char *name,
                                       spl_error *ret_error);

/* Reports that memory ran out. Returns SPL_E_MEMORY. */
int spl_fail_memory(spl_error *error);

#endif

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
 * from the number: NOT_FOUND, PERMISSION, MEMORY, NO_SPACE or IO. */
int spl_fail_errno(spl_error *error, int error_number, const char *format, ...) SPL_PRINTF(3, 4);

/* Reports that memory ran out. Returns SPL_E_MEMORY. */
int spl_fail_memory(spl_error *error);

#endif

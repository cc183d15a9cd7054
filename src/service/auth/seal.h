/* SPDX-License-Identifier: MIT
 *
 * Seals of texts that the service gives to clients and receives back: HMAC-SHA256 in base64url.
 */
#ifndef SPL_SERVICE_AUTH_SEAL_H
#define SPL_SERVICE_AUTH_SEAL_H

#include "base/error.h"

#define SPL_SEAL_CHARS 43

/* Seals the first `length` bytes of `text`. Errors: MEMORY. */
SPL_WARN_UNUSED int spl_seal_make(const uint8_t key[32], const char *text, size_t length,
                                  char ret_seal[SPL_SEAL_CHARS + 1], spl_error *ret_error);
/* Whether `seal` is the seal of that text; compares in constant time. */
bool spl_seal_holds(const uint8_t key[32], const char *text, size_t length, const char *seal);

#endif

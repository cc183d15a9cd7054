/* SPDX-License-Identifier: MIT
 *
 * Base64 (RFC 4648), by OpenSSL: strict when it decodes, so that one value has one text.
 */
#ifndef SPL_SERVICE_AUTH_BASE64_H
#define SPL_SERVICE_AUTH_BASE64_H

#include "base/error.h"

/* Characters and NUL of the text of `size` bytes. */
#define SPL_BASE64_SIZE(size) (((size) + 2) / 3 * 4 + 1)

void spl_base64_encode(const uint8_t *data, size_t size, char *ret_text);

#define SPL_BASE64URL_DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

/* With '-' and '_', and without padding. */
void spl_base64url_encode(const uint8_t *data, size_t size, char *ret_text);

/* Decodes a padded text; false when it is no such text, or has more than `cap` bytes, at most
 * SPL_BASE64_DECODE_MAX_BYTES. */
#define SPL_BASE64_DECODE_MAX_BYTES 64
bool spl_base64_decode(const char *text, size_t cap, uint8_t *ret_data, size_t *ret_size);

#endif

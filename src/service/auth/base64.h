/* SPDX-License-Identifier: MIT
 *
 * Base64 (RFC 4648), by OpenSSL. Decoding is strict, so that each value has exactly one text.
 */
#ifndef SPL_SERVICE_AUTH_BASE64_H
#define SPL_SERVICE_AUTH_BASE64_H

#include "base/error.h"

/* Size of the padded text of `size` bytes, with its NUL. */
#define SPL_BASE64_SIZE(size) (((size) + 2) / 3 * 4 + 1)

void spl_base64_encode(const uint8_t *data, size_t size, char *ret_text);

#define SPL_BASE64URL_DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

/* Base64url: with '-' and '_', without padding. `ret_text` needs SPL_BASE64_SIZE(size) bytes all
 * the same. */
void spl_base64url_encode(const uint8_t *data, size_t size, char *ret_text);

/* Decodes a padded text. Returns false when the text is invalid or has more than `cap` bytes; `cap`
 * is at most SPL_BASE64_DECODE_MAX_BYTES. */
#define SPL_BASE64_DECODE_MAX_BYTES 64
bool spl_base64_decode(const char *text, size_t cap, uint8_t *ret_data, size_t *ret_size);

#endif

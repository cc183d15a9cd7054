/* SPDX-License-Identifier: MIT
 *
 * Base64 by OpenSSL, which decodes leniently: a text is accepted only if encoding its bytes gives
 * the same text.
 */
#include "service/auth/base64.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

void spl_base64_encode(const uint8_t *data, size_t size, char *ret_text) {
    EVP_EncodeBlock((unsigned char *)ret_text, data, (int)size);
}

void spl_base64url_encode(const uint8_t *data, size_t size, char *ret_text) {
    spl_base64_encode(data, size, ret_text);
    for (char *c = ret_text; *c; c++) {
        if (*c == '+')
            *c = '-';
        else if (*c == '/')
            *c = '_';
        else if (*c == '=')
            *c = '\0';
    }
}

bool spl_base64_decode(const char *text, size_t cap, uint8_t *ret_data, size_t *ret_size) {
    assert(cap <= SPL_BASE64_DECODE_MAX_BYTES);
    uint8_t data[SPL_BASE64_DECODE_MAX_BYTES + 3];
    char again[SPL_BASE64_SIZE(sizeof(data))];
    const size_t length = strlen(text);
    if (length % 4 || length / 4 * 3 > sizeof(data))
        return false;
    const int decoded = EVP_DecodeBlock(data, (const unsigned char *)text, (int)length);
    if (decoded < 0)
        return false;
    size_t size = (size_t)decoded;
    for (size_t i = length; i > 0 && i + 2 > length && text[i - 1] == '='; i--)
        size--;
    if (size > cap)
        return false;
    spl_base64_encode(data, size, again);
    const bool same = strcmp(again, text) == 0;
    if (same) {
        memcpy(ret_data, data, size);
        *ret_size = size;
    }
    OPENSSL_cleanse(data, sizeof(data));
    OPENSSL_cleanse(again, sizeof(again));
    return same;
}

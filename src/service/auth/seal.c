/* SPDX-License-Identifier: MIT
 *
 * Seals, by OpenSSL.
 */
#include "service/auth/seal.h"

#include "service/auth/base64.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#define MAC_SIZE 32

int spl_seal_make(const uint8_t key[32], const char *text, size_t length,
                  char ret_seal[SPL_SEAL_CHARS + 1], spl_error *ret_error) {
    uint8_t mac[MAC_SIZE];
    char padded[SPL_BASE64_SIZE(MAC_SIZE)];
    unsigned size = sizeof(mac);
    if (!HMAC(EVP_sha256(), key, 32, (const unsigned char *)text, length, mac, &size))
        return spl_fail_memory(ret_error);
    spl_base64url_encode(mac, sizeof(mac), padded);
    memcpy(ret_seal, padded, SPL_SEAL_CHARS + 1);
    return 0;
}

bool spl_seal_holds(const uint8_t key[32], const char *text, size_t length, const char *seal) {
    char right[SPL_SEAL_CHARS + 1];
    return strlen(seal) == SPL_SEAL_CHARS && spl_seal_make(key, text, length, right, NULL) == 0 &&
           CRYPTO_memcmp(seal, right, SPL_SEAL_CHARS) == 0;
}

/* SPDX-License-Identifier: MIT
 *
 * "EXPIRES.SCOPES.CREDENTIAL.ID.SEAL": none but the id can hold a dot.
 */
#include "service/auth/sessions.h"

#include "service/auth/base64.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#define SEAL_BYTES 32
#define SEAL_CHARS 43

static bool make_seal(const uint8_t key[32], const char *text, size_t length,
                      char ret_seal[SPL_BASE64_SIZE(SEAL_BYTES)]) {
    uint8_t mac[SEAL_BYTES];
    unsigned size = sizeof(mac);
    if (!HMAC(EVP_sha256(), key, 32, (const unsigned char *)text, length, mac, &size))
        return false;
    spl_base64url_encode(mac, sizeof(mac), ret_seal);
    return true;
}

int spl_sessions_seal(const uint8_t key[32], const spl_principal *principal, char ret_text[256],
                      spl_error *ret_error) {
    char seal[SPL_BASE64_SIZE(SEAL_BYTES)];
    const int length = snprintf(ret_text, 256, "%" PRId64 ".%u.%s.%s", principal->expires_s,
                                principal->scopes, principal->credential, principal->id);
    if (!make_seal(key, ret_text, (size_t)length, seal))
        return spl_fail_memory(ret_error);
    snprintf(ret_text + length, 256 - (size_t)length, ".%s", seal);
    return 0;
}

bool spl_sessions_open(const uint8_t key[32], const char *text, int64_t now_s,
                       spl_principal *ret_principal) {
    char right[SPL_BASE64_SIZE(SEAL_BYTES)];
    const char *seal = strrchr(text, '.');
    if (!seal || strlen(seal + 1) != SEAL_CHARS ||
        !make_seal(key, text, (size_t)(seal - text), right) ||
        CRYPTO_memcmp(seal + 1, right, SEAL_CHARS) != 0)
        return false;
    /* From here on it is our own text. */
    spl_principal principal = {0};
    char *rest;
    principal.expires_s = strtoll(text, &rest, 10);
    principal.scopes = (unsigned)strtoul(rest + 1, &rest, 10);
    const char *credential = rest + 1;
    const char *id = strchr(credential, '.') + 1;
    snprintf(principal.credential, sizeof(principal.credential), "%.*s", (int)(id - 1 - credential),
             credential);
    snprintf(principal.id, sizeof(principal.id), "%.*s", (int)(seal - id), id);
    *ret_principal = principal;
    return principal.expires_s > now_s;
}

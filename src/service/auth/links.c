/* SPDX-License-Identifier: MIT
 *
 * Signed links: HMAC-SHA256 over "EXPIRES\nPATH", in base64url.
 */
#include "service/auth/links.h"

#include "service/auth/base64.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#define MAC_SIZE        32
#define SIGNATURE_CHARS 43

static int make_signature(const uint8_t key[32], const char *path, int64_t expires_s,
                          char ret_signature[SPL_BASE64_SIZE(MAC_SIZE)]) {
    SPL_CLEANUP(spl_free_p) char *message = NULL;
    const int length = asprintf(&message, "%" PRId64 "\n%s", expires_s, path);
    uint8_t mac[MAC_SIZE];
    unsigned mac_size = sizeof(mac);
    if (length < 0) {
        message = NULL;
        return SPL_E_MEMORY;
    }
    if (!HMAC(EVP_sha256(), key, 32, (unsigned char *)message, (size_t)length, mac, &mac_size))
        return SPL_E_MEMORY;
    spl_base64url_encode(mac, sizeof(mac), ret_signature);
    return 0;
}

int spl_links_sign(const uint8_t key[32], const char *path, int64_t expires_s, char ret_query[128],
                   spl_error *ret_error) {
    char signature[SPL_BASE64_SIZE(MAC_SIZE)];
    if (make_signature(key, path, expires_s, signature) < 0)
        return spl_fail_memory(ret_error);
    snprintf(ret_query, 128, "expires=%" PRId64 "&signature=%s", expires_s, signature);
    return 0;
}

/* Decimal without sign, blanks or zeros in front, so that a link has one spelling. */
static bool parse_expires(const char *text, int64_t *ret_s) {
    const size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 12 || text[digits] || text[0] == '0')
        return false;
    *ret_s = strtoll(text, NULL, 10);
    return true;
}

bool spl_links_valid(const uint8_t key[32], const char *path, const char *expires,
                     const char *signature, int64_t now_s, int64_t max_s) {
    int64_t expires_s;
    char right[SPL_BASE64_SIZE(MAC_SIZE)];
    if (!expires || !signature || !parse_expires(expires, &expires_s) ||
        strlen(signature) != SIGNATURE_CHARS || make_signature(key, path, expires_s, right) < 0) {
        return false;
    }
    return CRYPTO_memcmp(signature, right, SIGNATURE_CHARS) == 0 && expires_s > now_s &&
           expires_s - now_s <= max_s;
}

/* SPDX-License-Identifier: MIT
 *
 * Standard Webhooks: signing makes one signature, and verification accepts any of several.
 */
#include "service/auth/webhook_signature.h"

#include "service/auth/auth.h"
#include "service/auth/base64.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#define SECRET_PREFIX "whsec_"
#define KEY_MIN_BYTES 16
#define KEY_MAX_BYTES 64
#define ID_MAX_LENGTH 200

int spl_webhook_secret(const uint8_t secret[32], const char *owner, char ret_secret[64],
                       spl_error *ret_error) {
    char purpose[128];
    uint8_t key[32];
    char text[SPL_BASE64_SIZE(sizeof(key))];
    snprintf(purpose, sizeof(purpose), "webhooks %s", owner);
    const int status = spl_secret_derive(secret, purpose, key, ret_error);
    if (status < 0)
        return status;
    spl_base64_encode(key, sizeof(key), text);
    snprintf(ret_secret, 64, SECRET_PREFIX "%s", text);
    OPENSSL_cleanse(key, sizeof(key));
    OPENSSL_cleanse(text, sizeof(text));
    return 0;
}

int spl_webhook_sign(const char *secret, const char *id, int64_t timestamp_s, const char *payload,
                     size_t size, char ret_signature[SPL_WEBHOOK_SIGNATURE_SIZE]) {
    if (strncmp(secret, SECRET_PREFIX, strlen(SECRET_PREFIX)) == 0)
        secret += strlen(SECRET_PREFIX);
    uint8_t key[KEY_MAX_BYTES];
    size_t key_size;
    if (!spl_base64_decode(secret, sizeof(key), key, &key_size) || key_size < KEY_MIN_BYTES)
        return SPL_E_ARGUMENT;
    if (!*id || strlen(id) > ID_MAX_LENGTH || strchr(id, '.'))
        return SPL_E_ARGUMENT;

    char head[ID_MAX_LENGTH + 32];
    const int head_size = snprintf(head, sizeof(head), "%s.%" PRId64 ".", id, timestamp_s);
    uint8_t mac[32];
    size_t mac_size = 0;
    SPL_CLEANUP(spl_free_p) uint8_t *message = malloc((size_t)head_size + size);
    if (message) {
        memcpy(message, head, (size_t)head_size);
        memcpy(message + head_size, payload, size);
        unsigned length = sizeof(mac);
        if (HMAC(EVP_sha256(), key, (int)key_size, message, (size_t)head_size + size, mac, &length))
            mac_size = length;
    }
    OPENSSL_cleanse(key, sizeof(key));
    if (mac_size != sizeof(mac))
        return SPL_E_MEMORY;
    memcpy(ret_signature, "v1,", 3);
    spl_base64_encode(mac, sizeof(mac), ret_signature + 3);
    return 0;
}

static bool parse_timestamp(const char *text, int64_t *ret_s) {
    const size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 12 || text[digits])
        return false;
    *ret_s = strtoll(text, NULL, 10);
    return true;
}

/* Whether one of the space-separated signatures is `right`. */
static bool any_is(const char *signatures, const char *right) {
    const size_t length = strlen(right);
    bool found = false;
    while (*signatures) {
        const size_t next = strcspn(signatures, " ");
        found |= next == length && CRYPTO_memcmp(signatures, right, length) == 0;
        signatures += next;
        signatures += strspn(signatures, " ");
    }
    return found;
}

int spl_webhook_verify(const char *secret, const char *id, const char *timestamp,
                       const char *signatures, const char *payload, size_t size, int64_t now_s,
                       spl_error *ret_error) {
    int64_t timestamp_s;
    if (!id || !*id || !timestamp || !signatures || !*signatures)
        return spl_fail(ret_error, SPL_E_FORMAT,
                        "webhook-id, webhook-timestamp or webhook-signature is missing");
    if (!parse_timestamp(timestamp, &timestamp_s) || strchr(id, '.') || strlen(id) > ID_MAX_LENGTH)
        return spl_fail(ret_error, SPL_E_FORMAT, "webhook-id or webhook-timestamp is malformed");
    char right[SPL_WEBHOOK_SIGNATURE_SIZE];
    const int status = spl_webhook_sign(secret, id, timestamp_s, payload, size, right);
    if (status == SPL_E_MEMORY)
        return spl_fail_memory(ret_error);
    if (status < 0)
        return spl_fail(ret_error, SPL_E_ARGUMENT,
                        "the secret is not whsec_ and base64 of %d to %d bytes", KEY_MIN_BYTES,
                        KEY_MAX_BYTES);
    if (!any_is(signatures, right))
        return spl_fail(ret_error, SPL_E_PERMISSION, "the signature is wrong");
    if (timestamp_s < now_s - SPL_WEBHOOK_TOLERANCE_S ||
        timestamp_s > now_s + SPL_WEBHOOK_TOLERANCE_S)
        return spl_fail(ret_error, SPL_E_LIMIT,
                        "the timestamp is more than %d s away from this clock",
                        SPL_WEBHOOK_TOLERANCE_S);
    return 0;
}

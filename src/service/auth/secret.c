/* SPDX-License-Identifier: MIT
 *
 * The service's secret, and the keys derived from it by HKDF-SHA256 (RFC 5869). The purpose is the
 * info; there is no salt because the secret is random.
 */
#include "base/file.h"
#include "service/auth/auth.h"
#include "service/auth/private_file.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#define SECRET_NAME "secret"
#define SECRET_SIZE 32

static int read_secret(const char *path, uint8_t ret_secret[SECRET_SIZE], spl_error *ret_error) {
    SPL_CLEANUP(spl_file_content_free) spl_file_content content = {0};
    const int status = spl_file_read(path, SPL_FILE_PRIVATE, SECRET_SIZE, &content, ret_error);
    if (status == 0 && content.size_bytes == SECRET_SIZE)
        memcpy(ret_secret, content.text, SECRET_SIZE);
    else if (status == 0 || status == SPL_E_LIMIT)
        return spl_fail(ret_error, SPL_E_FORMAT,
                        "%s does not have the %d bytes of a secret; restore it from the backup",
                        path, SECRET_SIZE);
    return status;
}

int spl_secret_check(const char *data_dir, spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char *path = NULL;
    uint8_t secret[SECRET_SIZE];
    spl_error reason;
    if (asprintf(&path, "%s/" SECRET_NAME, data_dir) < 0)
        return spl_fail_memory(ret_error);
    const int status = read_secret(path, secret, &reason);
    OPENSSL_cleanse(secret, sizeof(secret));
    return status == 0 || status == SPL_E_NOT_FOUND
               ? 0
               : spl_fail(ret_error, (spl_status)status, "%s", reason.message);
}

int spl_secret_open(const char *data_dir, uint8_t ret_secret[32], spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char *path = NULL;
    SPL_CLEANUP(spl_close_p) int lock = -1;
    if (asprintf(&path, "%s/" SECRET_NAME, data_dir) < 0)
        return spl_fail_memory(ret_error);
    int status = spl_private_lock(data_dir, &lock, ret_error);
    if (status == 0)
        status = read_secret(path, ret_secret, ret_error);
    if (status != SPL_E_NOT_FOUND)
        return status;

    uint8_t secret[SECRET_SIZE];
    if (RAND_bytes(secret, sizeof(secret)) != 1)
        return spl_fail(ret_error, SPL_E_IO, "OpenSSL has no random bytes");
    status = spl_private_write(data_dir, SECRET_NAME, secret, sizeof(secret), ret_error);
    if (status == 0)
        memcpy(ret_secret, secret, sizeof(secret));
    OPENSSL_cleanse(secret, sizeof(secret));
    return status;
}

int spl_secret_from_text(const char *text, uint8_t ret_secret[32], spl_error *ret_error) {
    unsigned size = SECRET_SIZE;
    if (EVP_Digest(text, strlen(text), ret_secret, &size, EVP_sha256(), NULL) != 1)
        return spl_fail(ret_error, SPL_E_MEMORY, "OpenSSL could not derive a key");
    return 0;
}

static void kdf_free_p(EVP_KDF **kdf) {
    EVP_KDF_free(*kdf);
}

static void context_free_p(EVP_KDF_CTX **context) {
    EVP_KDF_CTX_free(*context);
}

int spl_secret_derive(const uint8_t secret[32], const char *purpose, uint8_t ret_key[32],
                      spl_error *ret_error) {
    char digest[] = "SHA256";
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)secret,
                                          SECRET_SIZE),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)purpose,
                                          strlen(purpose)),
        OSSL_PARAM_construct_end(),
    };
    SPL_CLEANUP(kdf_free_p) EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    SPL_CLEANUP(context_free_p) EVP_KDF_CTX *context = EVP_KDF_CTX_new(kdf);
    uint8_t key[32];
    if (!context || EVP_KDF_derive(context, key, sizeof(key), parameters) != 1)
        return spl_fail(ret_error, SPL_E_MEMORY, "OpenSSL could not derive a key");
    memcpy(ret_key, key, sizeof(key));
    OPENSSL_cleanse(key, sizeof(key));
    return 0;
}

/* SPDX-License-Identifier: MIT
 *
 * SHA-256 by OpenSSL.
 */
#include "base/digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#define BLOCK_BYTES ((size_t)1 << 18)

void spl_hex(const void *bytes, size_t size, char *ret_hex) {
    const uint8_t *byte = bytes;
    for (size_t i = 0; i < size; i++)
        snprintf(ret_hex + 2 * i, 3, "%02x", byte[i]);
}

int spl_sha256_hex(const void *data, size_t size, char ret_hex[65], spl_error *ret_error) {
    uint8_t digest[SHA256_DIGEST_LENGTH];
    if (!SHA256(data, size, digest))
        return spl_fail_memory(ret_error);
    spl_hex(digest, sizeof(digest), ret_hex);
    return 0;
}

struct spl_digest {
    EVP_MD_CTX *context;
};

int spl_digest_new(spl_digest **ret_digest, spl_error *ret_error) {
    spl_digest *digest = calloc(1, sizeof(*digest));
    if (digest)
        digest->context = EVP_MD_CTX_new();
    if (!digest || !digest->context || !EVP_DigestInit_ex(digest->context, EVP_sha256(), NULL)) {
        spl_digest_free(digest);
        return spl_fail_memory(ret_error);
    }
    *ret_digest = digest;
    return 0;
}

int spl_digest_add(spl_digest *digest, const void *data, size_t size, spl_error *ret_error) {
    return EVP_DigestUpdate(digest->context, data, size) ? 0 : spl_fail_memory(ret_error);
}

int spl_digest_add_text(spl_digest *digest, const char *text, spl_error *ret_error) {
    const char *added = text ? text : "";
    return spl_digest_add(digest, added, strlen(added) + 1, ret_error);
}

int spl_digest_finish(spl_digest *digest, char ret_hex[65], spl_error *ret_error) {
    unsigned char bytes[SHA256_DIGEST_LENGTH];
    if (!EVP_DigestFinal_ex(digest->context, bytes, NULL))
        return spl_fail_memory(ret_error);
    spl_hex(bytes, sizeof(bytes), ret_hex);
    return 0;
}

void spl_digest_free(spl_digest *digest) {
    if (!digest)
        return;
    EVP_MD_CTX_free(digest->context);
    free(digest);
}

int spl_digest_file(const spl_digest_source *source, char ret_hex[65], spl_error *ret_error) {
    SPL_CLEANUP(spl_digest_free_p) spl_digest *digest = NULL;
    SPL_CLEANUP(spl_free_p) uint8_t *block = malloc(BLOCK_BYTES);
    if (!block)
        return spl_fail_memory(ret_error);
    int status = spl_digest_new(&digest, ret_error);
    for (uint64_t done = 0; status == 0 && done < source->bytes;) {
        if (source->canceled && source->canceled(source->user))
            return spl_fail(ret_error, SPL_E_CANCELED, "reading %s was canceled", source->name);
        const size_t wanted = SPL_MIN(source->bytes - done, BLOCK_BYTES);
        const ssize_t got = pread(source->fd, block, wanted, (off_t)(source->start + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return spl_fail_errno(ret_error, got < 0 ? errno : EIO, "cannot read %s", source->name);
        status = spl_digest_add(digest, block, (size_t)got, ret_error);
        done += (uint64_t)got;
    }
    return status < 0 ? status : spl_digest_finish(digest, ret_hex, ret_error);
}

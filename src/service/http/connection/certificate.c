/* SPDX-License-Identifier: MIT
 *
 * A loaded pair is kept until the end, since a handshake may still use it. The files are read again
 * when they changed, and after a failure.
 */
#include "service/http/connection/certificate.h"

#include "base/clock.h"
#include "base/file.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

#define PEM_MAX_BYTES ((size_t)1 << 20)
#define CHAIN_MAX     16
#define RETRY_S       3 /* after a failure; its cause may lie outside the files */

typedef struct pair {
    struct pair *older;
    gnutls_pcert_st chain[CHAIN_MAX];
    unsigned length;
    gnutls_privkey_t key;
} pair;

/* Identifies the version of a file, to detect its replacement and a change of its mode. */
typedef struct stamp {
    dev_t device;
    ino_t inode;
    off_t size_bytes;
    struct timespec modified, changed;
} stamp;

struct spl_certificate {
    const char *chain_path, *key_path;
    stamp stamps[2]; /* at the last attempt */
    double retry_s;  /* by spl_now_s; 0: the last attempt succeeded */
    pair *_Atomic newest;
};

static spl_certificate *_Atomic served;

static void free_pair(pair *freed) {
    for (unsigned i = 0; i < freed->length; i++)
        gnutls_pcert_deinit(&freed->chain[i]);
    if (freed->key)
        gnutls_privkey_deinit(freed->key);
    free(freed);
}

static int fail_gnutls(const char *path, int code, spl_error *ret_error) {
    return spl_fail(ret_error, code == GNUTLS_E_MEMORY_ERROR ? SPL_E_MEMORY : SPL_E_FORMAT,
                    "%s: %s", path, gnutls_strerror(code));
}

static int import_chain(const char *path, const gnutls_datum_t *pem, pair *into,
                        spl_error *ret_error) {
    unsigned length = CHAIN_MAX;
    const int code =
        gnutls_pcert_list_import_x509_raw(into->chain, &length, pem, GNUTLS_X509_FMT_PEM, 0);
    if (code < 0)
        return fail_gnutls(path, code, ret_error);
    into->length = length;
    return 0;
}

static int import_key(const char *path, const gnutls_datum_t *pem, pair *into,
                      spl_error *ret_error) {
    int code = gnutls_privkey_init(&into->key);
    if (code == 0)
        code = gnutls_privkey_import_x509_raw(into->key, pem, GNUTLS_X509_FMT_PEM, NULL, 0);
    return code < 0 ? fail_gnutls(path, code, ret_error) : 0;
}

/* Fails if key and chain do not belong together. */
static int check_pair(const spl_certificate *certificate, const gnutls_datum_t *chain,
                      const gnutls_datum_t *key, spl_error *ret_error) {
    gnutls_certificate_credentials_t credentials;
    int code = gnutls_certificate_allocate_credentials(&credentials);
    if (code < 0)
        return fail_gnutls(certificate->chain_path, code, ret_error);
    code = gnutls_certificate_set_x509_key_mem(credentials, chain, key, GNUTLS_X509_FMT_PEM);
    gnutls_certificate_free_credentials(credentials);
    return code < 0 ? fail_gnutls(certificate->key_path, code, ret_error) : 0;
}

static gnutls_datum_t to_datum(const spl_file_content *file) {
    return (gnutls_datum_t){(unsigned char *)file->text, (unsigned)file->size_bytes};
}

static int read_pair(const spl_certificate *certificate, pair **ret_pair, spl_error *ret_error) {
    SPL_CLEANUP(spl_file_content_free) spl_file_content chain_file = {0};
    SPL_CLEANUP(spl_file_content_free) spl_file_content key_file = {0};
    int status = spl_file_read(certificate->chain_path, SPL_FILE_TRUSTED, PEM_MAX_BYTES,
                               &chain_file, ret_error);
    if (status == 0)
        status = spl_file_read(certificate->key_path, SPL_FILE_TRUSTED, PEM_MAX_BYTES, &key_file,
                               ret_error);
    if (status < 0)
        return status;
    const gnutls_datum_t chain = to_datum(&chain_file), key = to_datum(&key_file);
    pair *made = calloc(1, sizeof(*made));
    if (!made)
        return spl_fail_memory(ret_error);
    status = import_chain(certificate->chain_path, &chain, made, ret_error);
    if (status == 0)
        status = import_key(certificate->key_path, &key, made, ret_error);
    if (status == 0)
        status = check_pair(certificate, &chain, &key, ret_error);
    if (status < 0)
        free_pair(made);
    else
        *ret_pair = made;
    return status;
}

static stamp stamp_of(const char *path) {
    struct stat status;
    stamp found;
    memset(&found, 0, sizeof(found)); /* also the padding, for memcmp */
    if (stat(path, &status) == 0) {
        found.device = status.st_dev;
        found.inode = status.st_ino;
        found.size_bytes = status.st_size;
        found.modified = status.st_mtim;
        found.changed = status.st_ctim;
    }
    return found;
}

int spl_certificate_refresh(spl_certificate *certificate, bool now, bool *ret_changed,
                            spl_error *ret_error) {
    const stamp found[2] = {stamp_of(certificate->chain_path), stamp_of(certificate->key_path)};
    const bool retries = certificate->retry_s > 0 && spl_now_s() >= certificate->retry_s;
    *ret_changed = false;
    if (!now && !retries && memcmp(found, certificate->stamps, sizeof(found)) == 0)
        return 0;
    memcpy(certificate->stamps, found, sizeof(found));
    pair *read;
    const int status = read_pair(certificate, &read, ret_error);
    certificate->retry_s = status < 0 ? spl_now_s() + RETRY_S : 0;
    if (status < 0)
        return status;
    read->older = atomic_load(&certificate->newest);
    atomic_store(&certificate->newest, read);
    *ret_changed = true;
    return 0;
}

int spl_certificate_open(const char *chain_path, const char *key_path,
                         spl_certificate **ret_certificate, spl_error *ret_error) {
    spl_certificate *certificate = calloc(1, sizeof(*certificate));
    if (!certificate)
        return spl_fail_memory(ret_error);
    certificate->chain_path = chain_path;
    certificate->key_path = key_path;
    pair *first;
    certificate->stamps[0] = stamp_of(chain_path);
    certificate->stamps[1] = stamp_of(key_path);
    const int status = read_pair(certificate, &first, ret_error);
    if (status < 0) {
        free(certificate);
        return status;
    }
    atomic_store(&certificate->newest, first);
    atomic_store(&served, certificate);
    *ret_certificate = certificate;
    return 0;
}

void spl_certificate_free(spl_certificate *certificate) {
    if (!certificate)
        return;
    atomic_store(&served, NULL);
    for (pair *next = atomic_load(&certificate->newest); next;) {
        pair *freed = next;
        next = next->older;
        free_pair(freed);
    }
    free(certificate);
}

int spl_certificate_retrieve(gnutls_session_t session, const gnutls_datum_t *names, int name_count,
                             const gnutls_pk_algorithm_t *algorithms, int algorithm_count,
                             gnutls_pcert_st **ret_chain, unsigned *ret_length,
                             gnutls_privkey_t *ret_key) {
    (void)session, (void)names, (void)name_count, (void)algorithms, (void)algorithm_count;
    spl_certificate *certificate = atomic_load(&served);
    pair *shown = certificate ? atomic_load(&certificate->newest) : NULL;
    if (!shown)
        return -1;
    *ret_chain = shown->chain;
    *ret_length = shown->length;
    *ret_key = shown->key;
    return 0;
}

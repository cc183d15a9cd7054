/* SPDX-License-Identifier: MIT
 *
 * The server's certificate, which can be replaced while connections are open.
 */
#ifndef SPL_SERVICE_HTTP_CONNECTION_CERTIFICATE_H
#define SPL_SERVICE_HTTP_CONNECTION_CERTIFICATE_H

#include "base/error.h"

#include <gnutls/abstract.h>

typedef struct spl_certificate spl_certificate;

/* Reads the chain and its key from PEM files. The paths must outlive the object. There can be only
 * one per process, because libmicrohttpd passes no user pointer to the callback. Errors: those of
 * reading, FORMAT (also when chain and key do not match), MEMORY. */
SPL_WARN_UNUSED int spl_certificate_open(const char *chain_path, const char *key_path,
                                         spl_certificate **ret_certificate, spl_error *ret_error);
/* Reads the files again if they changed since the last attempt, if that failed a few seconds ago,
 * or if `now` is true. On failure the old pair stays in use, for example while the new key is still
 * missing. Not thread-safe, but handshakes may run meanwhile. */
SPL_WARN_UNUSED int spl_certificate_refresh(spl_certificate *certificate, bool now,
                                            bool *ret_changed, spl_error *ret_error);
/* No handshake may be in progress. NULL is allowed. */
void spl_certificate_free(spl_certificate *certificate);

/* gnutls_certificate_retrieve_function2, for MHD_OPTION_HTTPS_CERT_CALLBACK. */
int spl_certificate_retrieve(gnutls_session_t session, const gnutls_datum_t *names, int name_count,
                             const gnutls_pk_algorithm_t *algorithms, int algorithm_count,
                             gnutls_pcert_st **ret_chain, unsigned *ret_length,
                             gnutls_privkey_t *ret_key);

#endif

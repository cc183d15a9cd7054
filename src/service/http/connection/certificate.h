/* SPDX-License-Identifier: MIT
 *
 * The certificate that the service shows, and what replaces it while connections go on.
 */
#ifndef SPL_SERVICE_HTTP_CONNECTION_CERTIFICATE_H
#define SPL_SERVICE_HTTP_CONNECTION_CERTIFICATE_H

#include "base/error.h"

#include <gnutls/abstract.h>

typedef struct spl_certificate spl_certificate;

/* Reads chain and key, PEM files, which must belong together. The paths must outlive it. There is
 * one for each process, because libmicrohttpd tells the callback nothing but the connection.
 * Errors: those of reading, FORMAT, MEMORY. */
SPL_WARN_UNUSED int spl_certificate_open(const char *chain_path, const char *key_path,
                                         spl_certificate **ret_certificate, spl_error *ret_error);
/* Reads the files anew when they are others than at the last try; on failure, such as a chain whose
 * key is still to come, the old ones stay. Not thread-safe; handshakes may go on meanwhile. */
SPL_WARN_UNUSED int spl_certificate_refresh(spl_certificate *certificate, bool *ret_changed,
                                            spl_error *ret_error);
/* No handshake may go on. NULL is allowed. */
void spl_certificate_free(spl_certificate *certificate);

/* gnutls_certificate_retrieve_function2, for MHD_OPTION_HTTPS_CERT_CALLBACK. */
int spl_certificate_retrieve(gnutls_session_t session, const gnutls_datum_t *names, int name_count,
                             const gnutls_pk_algorithm_t *algorithms, int algorithm_count,
                             gnutls_pcert_st **ret_chain, unsigned *ret_length,
                             gnutls_privkey_t *ret_key);

#endif

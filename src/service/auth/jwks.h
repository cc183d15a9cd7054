/* SPDX-License-Identifier: MIT
 *
 * The public keys that tokens are signed with (JWK set, RFC 7517), and where they come from: one
 * URL that the operator set, asked at most once a minute whatever tokens come.
 */
#ifndef SPL_SERVICE_AUTH_JWKS_H
#define SPL_SERVICE_AUTH_JWKS_H

#include "base/error.h"

#include <cjose/cjose.h>

/* A set that does not change; keys that can't verify `algorithm` are left out. */
typedef struct spl_jwks spl_jwks;

/* `algorithm`: RS256 to RS512, PS256 to PS512, ES256 to ES512. A set without a usable key is
 * refused. Errors: FORMAT, MEMORY. */
SPL_WARN_UNUSED int spl_jwks_parse(const void *text, size_t size, const char *algorithm,
                                   spl_jwks **ret_jwks, spl_error *ret_error);
/* The key with that id, or NULL. It lives as long as the set. */
const cjose_jwk_t *spl_jwks_find(const spl_jwks *jwks, const char *kid);
/* Counts holders; thread-safe. */
spl_jwks *spl_jwks_ref(spl_jwks *jwks);
void spl_jwks_unref(spl_jwks *jwks);

/* The current set of a URL. */
typedef struct spl_jwks_source spl_jwks_source;

/* The strings must outlive it. Fetches nothing yet. */
SPL_WARN_UNUSED int spl_jwks_source_new(const char *url, const char *algorithm,
                                        spl_jwks_source **ret_source, spl_error *ret_error);
void spl_jwks_source_free(spl_jwks_source *source);
/* Ends a fetch, and each that is begun later, within a second. Thread-safe. */
void spl_jwks_source_stop(spl_jwks_source *source);

/* The set in which `kid` is to be looked up; the caller unrefs it. Fetches anew when the set is a
 * quarter of an hour old or lacks `kid`, unless it was tried less than a minute before `now_s`
 * (spl_now_s()); when that fails, the old set stays. One caller fetches; those who need its result
 * wait for it. Errors: IO (there has been no set yet), MEMORY. Thread-safe. */
SPL_WARN_UNUSED int spl_jwks_source_get(spl_jwks_source *source, const char *kid, double now_s,
                                        spl_jwks **ret_jwks, spl_error *ret_error);

#endif

/* SPDX-License-Identifier: MIT
 *
 * The public keys that verify tokens (JWK set, RFC 7517), from one URL that the operator set. The
 * URL is fetched at most once a minute, however many tokens arrive.
 */
#ifndef SPL_SERVICE_AUTH_JWKS_H
#define SPL_SERVICE_AUTH_JWKS_H

#include "base/error.h"

#include <cjose/cjose.h>

/* An immutable set, without the keys that cannot verify `algorithm`. */
typedef struct spl_jwks spl_jwks;

/* `algorithm`: RS256 to RS512, PS256 to PS512, ES256 to ES512. Errors: FORMAT (also for a set
 * without a usable key), MEMORY. */
SPL_WARN_UNUSED int spl_jwks_parse(const void *text, size_t size, const char *algorithm,
                                   spl_jwks **ret_jwks, spl_error *ret_error);
/* Returns the key with that id, or NULL. It lives as long as the set. */
const cjose_jwk_t *spl_jwks_find(const spl_jwks *jwks, const char *kid);
/* Reference counting; thread-safe. */
spl_jwks *spl_jwks_ref(spl_jwks *jwks);
void spl_jwks_unref(spl_jwks *jwks);

/* The current set of one URL. */
typedef struct spl_jwks_source spl_jwks_source;

/* The strings must outlive *ret_source. Does not fetch yet. */
SPL_WARN_UNUSED int spl_jwks_source_new(const char *url, const char *algorithm,
                                        spl_jwks_source **ret_source, spl_error *ret_error);
void spl_jwks_source_free(spl_jwks_source *source);
/* Makes the current fetch, and any later one, end within a second. Thread-safe. */
void spl_jwks_source_stop(spl_jwks_source *source);

/* Returns the set in which to look up `kid`; the caller unrefs it. Fetches a new set when the
 * current one is 15 minutes old or lacks `kid`, unless the last attempt was less than a minute
 * before `now_s` (spl_now_s()). When a fetch fails, the old set stays. One caller fetches; those
 * that need the result wait for it. Errors: IO (no set was fetched yet). Thread-safe. */
SPL_WARN_UNUSED int spl_jwks_source_get(spl_jwks_source *source, const char *kid, double now_s,
                                        spl_jwks **ret_jwks, spl_error *ret_error);

#endif

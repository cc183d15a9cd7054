/* SPDX-License-Identifier: MIT
 *
 * JSON Web Tokens (RFC 7519), as signed compact tokens (RFC 7515), checked as RFC 8725 advises: one
 * algorithm, one issuer, one audience, and keys only from the operator's JWK set. The header
 * members jku, x5u, x5c and jwk are ignored.
 */
#ifndef SPL_SERVICE_AUTH_JWT_H
#define SPL_SERVICE_AUTH_JWT_H

#include "service/auth/jwks.h"

#define SPL_JWT_MAX_LENGTH         8192
#define SPL_JWT_KID_MAX_LENGTH     255
#define SPL_JWT_SUBJECT_MAX_LENGTH 255

typedef struct spl_jwt_policy {
    const char *issuer, *audience, *algorithm;
    unsigned leeway_s;
} spl_jwt_policy;

typedef struct spl_jwt_claims {
    char subject[SPL_JWT_SUBJECT_MAX_LENGTH + 1];
    unsigned scopes;
    int64_t expires_s; /* Unix time */
} spl_jwt_claims;

/* Checks a token's shape and header, and returns the id of the key that it claims to be signed
 * with. Errors: FORMAT (not a token), PERMISSION (the policy does not allow it), MEMORY. */
SPL_WARN_UNUSED int spl_jwt_read_kid(const spl_jwt_policy *policy, const char *token,
                                     char ret_kid[SPL_JWT_KID_MAX_LENGTH + 1],
                                     spl_error *ret_error);

/* Checks the signature and claims of a token that passed spl_jwt_read_kid. `now_s`: Unix time.
 * Errors: as spl_jwt_read_kid. */
SPL_WARN_UNUSED int spl_jwt_verify(const spl_jwt_policy *policy, const cjose_jwk_t *key,
                                   const char *token, int64_t now_s, spl_jwt_claims *ret_claims,
                                   spl_error *ret_error);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Who makes a request, what they may do, and how much of it.
 */
#ifndef SPL_SERVICE_AUTH_PRINCIPAL_H
#define SPL_SERVICE_AUTH_PRINCIPAL_H

#include "base/error.h"

/* Scopes, as in keys' roles and in a token's "scope" claim. */
#define SPL_SCOPE_READ    1u /* "jobs:read": see own jobs and their files, the models */
#define SPL_SCOPE_WRITE   2u /* "jobs:write": create, cancel, delete own jobs */
#define SPL_SCOPE_METRICS 4u /* "metrics:read": GET /metrics */

typedef struct spl_quota {
    unsigned rate_per_minute; /* requests */
    unsigned jobs;            /* queued and running */
    uint64_t storage_bytes;
    int priority; /* of its jobs, -10 to 10; higher first */
} spl_quota;

typedef struct spl_principal {
    /* "key:NAME#ID", of keys older than ids "key:NAME"; or "jwt:" and 32 hex digits of SHA-256 of
     * issuer and subject; "dev" without authentication. No other key ever has it, so it owns what
     * it makes. */
    char id[64];
    char owner[64]; /* whose jobs it may read: its own id, or that of a reader's client */
    char name[64];  /* for logs: the key's name or the token's subject */
    unsigned scopes;
    char credential[17]; /* which key it was: the first 16 hex digits of its SHA-256; "" without one
                          */
    char session[23];    /* of a browser: 16 random bytes in base64url; "" without one */
    int64_t expires_s;   /* Unix time after which the token or session is void; 0: never */
    spl_quota quota;
} spl_principal;

#endif

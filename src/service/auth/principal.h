/* SPDX-License-Identifier: MIT
 *
 * Who makes a request, what they may do, and how much of it.
 */
#ifndef SPL_SERVICE_AUTH_PRINCIPAL_H
#define SPL_SERVICE_AUTH_PRINCIPAL_H

#include "base/error.h"

/* Scopes of key roles and of a token's "scope" claim. */
#define SPL_SCOPE_READ    1u /* "jobs:read": read own jobs, their files, and the models */
#define SPL_SCOPE_WRITE   2u /* "jobs:write": create, cancel, delete own jobs */
#define SPL_SCOPE_METRICS 4u /* "metrics:read": GET /metrics */

typedef struct spl_quota {
    unsigned rate_per_minute; /* requests */
    unsigned jobs;            /* queued and running */
    uint64_t storage_bytes;
    int priority; /* of its jobs, -10 to 10; higher first */
} spl_quota;

typedef struct spl_principal {
    /* "key:NAME#ID", or "key:NAME" for keys without an id; "jwt:" and 32 hex digits of the SHA-256
     * of issuer and subject; "dev" without authentication. No other key ever gets the same id, so
     * the principal owns what it creates. */
    char id[64];
    char owner[64]; /* whose jobs it may read: its own id, or that of a reader's client */
    char name[64];  /* for logs: the key's name or the token's subject */
    unsigned scopes;
    /* The first 16 hex digits of the key's SHA-256; "" without a key. */
    char credential[17];
    char session[23];  /* browser session: 16 random bytes in base64url, or "" */
    int64_t expires_s; /* Unix time at which the token or session expires; 0: never */
    spl_quota quota;
} spl_principal;

#endif

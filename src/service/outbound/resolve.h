/* SPDX-License-Identifier: MIT
 *
 * Name lookups, each in its own thread. getaddrinfo() can't be canceled, so the thread of a lookup
 * whose callers have all left stays until the name server answers or the resolver's own time-out
 * ends it. Keys take turns at a limited number of threads. The service's own lookups need no turn:
 * it has few hosts (clamd, the storage, the token issuer), and each is looked up once at a time.
 */
#ifndef SPL_SERVICE_OUTBOUND_RESOLVE_H
#define SPL_SERVICE_OUTBOUND_RESOLVE_H

#include "base/error.h"

#define SPL_RESOLVE_MAX       32
#define SPL_RESOLVE_OWNER_MAX 8

typedef struct spl_resolve {
    const char *host;
    const char *owner;           /* the key that takes a turn; "": the service itself */
    double deadline_s;           /* by spl_now_s */
    int (*canceled)(void *user); /* polled; may be NULL */
    void *user;
} spl_resolve;

/* Looks up the addresses of a host: "192.0.2.1,[2001:db8::1]", in the order in which to try them;
 * owned by the caller. Joins a lookup of the same host. Otherwise a key waits while there are
 * SPL_RESOLVE_MAX lookups of keys, or SPL_RESOLVE_OWNER_MAX of its own. Errors: IO (no such host,
 * or no answer before the deadline), EXHAUSTED (no thread, or no turn before the deadline),
 * CANCELED, MEMORY. Thread-safe. */
SPL_WARN_UNUSED int spl_resolve_host(const spl_resolve *resolve, char **ret_addresses,
                                     spl_error *ret_error);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Name lookups in a limited number of threads. getaddrinfo() can't be canceled, so the thread of a
 * lookup whose callers have all left stays until the name server answers or the resolver's own
 * time-out ends it.
 */
#ifndef SPL_SERVICE_OUTBOUND_RESOLVE_H
#define SPL_SERVICE_OUTBOUND_RESOLVE_H

#include "base/error.h"

#define SPL_RESOLVE_MAX       32
#define SPL_RESOLVE_OWNER_MAX 8

typedef struct spl_resolve {
    const char *host;
    const char *owner;           /* whose limit counts the lookup; "": the service itself */
    double deadline_s;           /* by spl_now_s */
    int (*canceled)(void *user); /* polled; may be NULL */
    void *user;
} spl_resolve;

/* Looks up the addresses of a host: "192.0.2.1,[2001:db8::1]", in the order in which to try them;
 * owned by the caller. Concurrent callers for the same host share one lookup. Waits
 * while there are SPL_RESOLVE_MAX lookups, or SPL_RESOLVE_OWNER_MAX of the owner. Errors: IO (no
 * such host, or no answer before the deadline), EXHAUSTED (no thread, or no place before the
 * deadline), CANCELED, MEMORY. Thread-safe. */
SPL_WARN_UNUSED int spl_resolve_host(const spl_resolve *resolve, char **ret_addresses,
                                     spl_error *ret_error);

#endif

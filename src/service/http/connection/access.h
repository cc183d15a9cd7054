/* SPDX-License-Identifier: MIT
 *
 * Who sends a request, and whether the limits and the scopes of its route allow it.
 */
#ifndef SPL_SERVICE_HTTP_CONNECTION_ACCESS_H
#define SPL_SERVICE_HTTP_CONNECTION_ACCESS_H

#include "service/http/connection/request.h"

/* Checks the limits of connections and requests and, unless the route is open to all, the
 * credential: a signed link if the route takes one, or a key, a token or a session. Sets by_link or
 * authenticated and principal. Problems: UNAUTHORIZED, FORBIDDEN, NOT_FOUND (the job of a link),
 * RATE_LIMITED, QUOTA, UNAVAILABLE, INTERNAL. */
SPL_WARN_UNUSED int spl_access_check(spl_request *request, spl_problem *ret_problem);
/* The credential of a request that spl_access_check has admitted. */
spl_credential spl_request_credential(const spl_request *request);
/* Finds out whether a credential was revoked: its key was revoked or rotated, its session ended, or
 * the maker of its link can't read the job any more. Expiry is no revocation, so that a request
 * which began in time can end. Errors: IO. Thread-safe. */
SPL_WARN_UNUSED int spl_credential_revoked(spl_auth *auth, const spl_credential *credential,
                                           bool *ret_revoked);
/* Returns whether the credential of the request was revoked, as far as that can be found out. Long
 * requests ask before they create or send anything. */
bool spl_request_revoked(const spl_request *request);
/* Problem: UNAUTHORIZED. */
int spl_refuse_revoked(spl_problem *ret_problem);

#endif

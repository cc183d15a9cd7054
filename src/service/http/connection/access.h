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
/* Returns true if the credential of the request is no longer valid: its key was revoked or rotated,
 * or its token, link or session has ended. Long answers check this, also while they are being
 * sent. */
bool spl_request_revoked(spl_request *request);

#endif

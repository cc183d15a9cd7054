/* SPDX-License-Identifier: MIT
 *
 * What a connection may cost: how many there may be, of an address and of a key, and how long each
 * may take. When there are as many as may be, a new one takes the place of one without a recognised
 * client, that is one whose last complete request, if any, had no valid credential; of these, the
 * oldest one of the address that has most of them is closed. If there is none, the one that has
 * waited longest for a request is closed. When all are at work, a new one belongs to a small
 * reserve, in which health, readiness and metrics are answered and all else is refused.
 *
 * libmicrohttpd knows a timeout between two bytes only, so one thread here looks at all connections
 * and shuts those down that
 *   - have not sent all headers by the deadline, which runs from the connection or from the end of
 * the last answer;
 *   - have not sent all of a body by its deadline;
 *   - are slower than the minimum rate: the kernel's counters say how much a client has sent or
 * acknowledged. A client is not slow while the service has nothing for it to take. After an answer
 * to a request whose body was not read, the rest is read and thrown away for a moment, because
 * closing at once would make the client's system discard the answer.
 */
#ifndef SPL_SERVICE_HTTP_CONNECTION_GUARD_H
#define SPL_SERVICE_HTTP_CONNECTION_GUARD_H

#include "service/core/settings.h"

#include <sys/socket.h>

typedef struct spl_guard spl_guard;
typedef struct spl_guarded spl_guarded; /* a connection */

/* Connections that there may be beside those of the settings. */
#define SPL_GUARD_RESERVE 32

/* `settings` must outlive it; `connections` is how many there may be, without the reserve. */
SPL_WARN_UNUSED int spl_guard_start(const spl_settings *settings, unsigned connections,
                                    spl_guard **ret_guard, spl_error *ret_error);
/* All connections must have ended. */
void spl_guard_stop(spl_guard *guard);

/* Whether one more connection from there is within the limit of an address. Addresses of trusted
 * proxies have none; an IPv6 client is its /64. */
bool spl_guard_admits(spl_guard *guard, const struct sockaddr *address);
/* NULL when memory is out: the connection then is to be refused. `fd` stays open until
 * spl_guard_leave. */
spl_guarded *spl_guard_enter(spl_guard *guard, const struct sockaddr *address, int fd);
void spl_guard_leave(spl_guard *guard, spl_guarded *guarded);

/* The headers are there; a body follows, or not. */
void spl_guard_request(spl_guarded *guarded, bool has_body);
/* The body is there, or is not going to be read (`refused`). */
void spl_guard_answer(spl_guarded *guarded, bool refused);
/* The answer is out. */
void spl_guard_idle(spl_guarded *guarded);

/* Whether the connection is one of the reserve. */
bool spl_guard_reserved(const spl_guarded *guarded);
/* Whether the request came with a valid credential; this holds until the next request. */
void spl_guard_recognise(spl_guarded *guarded, bool recognised);
/* Until spl_guard_idle, the connection counts for the client for whom a trusted proxy sent the
 * request, and for the key that it came with; at most half of the connections of a key may be
 * streams. False: that is over the limit, and the request is to be refused. */
bool spl_guard_client(spl_guarded *guarded, const char *address);
bool spl_guard_key(spl_guarded *guarded, const char *key);
bool spl_guard_stream(spl_guarded *guarded);

/* Requests between spl_guard_request and spl_guard_idle. */
unsigned spl_guard_busy(spl_guard *guard);

#endif

/* SPDX-License-Identifier: MIT
 *
 * What a connection may cost: how many there may be, and how long each may take. libmicrohttpd knows a timeout between two bytes only,
 * so one thread here looks at all connections and shuts those down that
 *   - have not sent all headers by the deadline, which runs from the connection or from the end of the last answer;
 *   - have not sent all of a body by its deadline;
 *   - are slower than the minimum rate: the kernel's counters say how much a client has sent or acknowledged. A client is not
 *     slow while the service has nothing for it to take.
 * After an answer to a request whose body was not read, the rest is read and thrown away for a moment, because
 * closing at once would make the client's system discard the answer.
 */
#ifndef SPL_SERVICE_HTTP_GUARD_H
#define SPL_SERVICE_HTTP_GUARD_H

#include "service/settings.h"

#include <sys/socket.h>

typedef struct spl_guard spl_guard;
typedef struct spl_guarded spl_guarded; /* a connection */

/* `settings` must outlive it. */
SPL_WARN_UNUSED int spl_guard_start(const spl_settings *settings, spl_guard **ret_guard,
                                    spl_error *ret_error);
/* All connections must have ended. */
void spl_guard_stop(spl_guard *guard);

/* Whether one more connection from there is within the limit. Addresses of trusted proxies have none; an IPv6 client is its /64. */
bool spl_guard_admits(spl_guard *guard, const struct sockaddr *address);
/* NULL when memory is out: the connection then is to be refused. `fd` stays open until spl_guard_leave. */
spl_guarded *spl_guard_enter(spl_guard *guard, const struct sockaddr *address, int fd);
void spl_guard_leave(spl_guard *guard, spl_guarded *guarded);

/* The headers are there; a body follows, or not. */
void spl_guard_request(spl_guarded *guarded, bool has_body);
/* The body is there, or is not going to be read (`refused`). */
void spl_guard_answer(spl_guarded *guarded, bool refused);
/* The answer is out. */
void spl_guard_idle(spl_guarded *guarded);

/* Requests between spl_guard_request and spl_guard_idle. */
unsigned spl_guard_busy(spl_guard *guard);

#endif

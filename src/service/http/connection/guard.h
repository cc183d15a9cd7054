/* SPDX-License-Identifier: MIT
 *
 * Limits what connections cost: how many there may be in total, per address and per key, and how
 * long each may take. A connection counts for the holder of the credential that its last complete
 * request had, also while it is idle, or else for its address. When all places are taken, a new
 * connection replaces another one, of the owner who has most:
 *   - one without a valid credential, if these have at least a quarter of all places;
 *   - or else an idle one with a credential, or one without.
 * If all are busy with requests of valid credentials, the new connection enters a small reserve, in
 * which health, readiness and metrics are answered and all other requests are refused.
 *
 * libmicrohttpd only has a timeout between two bytes, so one thread here checks all connections and
 * shuts down those that
 *   - have not sent all headers by the deadline, which runs from the start of the connection or
 *     from the end of the last answer;
 *   - have not sent the whole body by its deadline;
 *   - are slower than the minimum rate, by the kernel's counters of received and acknowledged
 *     bytes. A client does not count as slow while it waits for the service.
 *
 * After an answer to a request whose body was not read, the rest of the body is read and discarded
 * for a moment. Closing at once would make the client's system discard the answer. The number of
 * these lingering connections is limited too; beyond it, the oldest one of the address that has
 * most is closed.
 */
#ifndef SPL_SERVICE_HTTP_CONNECTION_GUARD_H
#define SPL_SERVICE_HTTP_CONNECTION_GUARD_H

#include "service/auth/principal.h"
#include "service/core/settings.h"
#include "service/jobs/jobs.h"

#include <sys/socket.h>

typedef struct spl_guard spl_guard;
typedef struct spl_guarded spl_guarded; /* a connection */

/* Connections beyond the limit of the settings. */
#define SPL_GUARD_RESERVE                32
/* Lingering connections, and those that were closed to make room and whose threads have not ended
 * yet, at most. They are not part of `connections`. */
#define SPL_GUARD_LINGERING(connections) ((connections) / 4)
#define SPL_GUARD_ENDING(connections)    ((connections) / 4)

/* `settings` must outlive the guard; `connections` is the limit without the reserve. */
SPL_WARN_UNUSED int spl_guard_start(const spl_settings *settings, unsigned connections,
                                    spl_guard **ret_guard, spl_error *ret_error);
/* All connections must have ended. */
void spl_guard_stop(spl_guard *guard);

/* Returns whether the address may open one more connection. Trusted proxies have no limit; IPv6
 * clients are counted by their /64. */
bool spl_guard_admits(spl_guard *guard, const struct sockaddr *address);
/* Returns NULL if memory runs out; the connection must then be refused. `fd` must stay open until
 * spl_guard_leave. */
spl_guarded *spl_guard_enter(spl_guard *guard, const struct sockaddr *address, int fd);
void spl_guard_leave(spl_guard *guard, spl_guarded *guarded);

/* Marks the headers as complete. Until spl_guard_key or spl_guard_link the connection has no valid
 * credential. */
void spl_guard_request(spl_guarded *guarded);
/* Marks the start of the body. */
void spl_guard_body(spl_guarded *guarded);
/* Marks the body as complete or, if `refused`, as one that will not be read. */
void spl_guard_answer(spl_guarded *guarded, bool refused);
/* Marks the answer as sent. */
void spl_guard_idle(spl_guarded *guarded);

/* Returns whether the connection belongs to the reserve. */
bool spl_guard_reserved(const spl_guarded *guarded);
/* Until spl_guard_idle or, if it lingers, until its end, the connection counts towards the limit of
 * the client for whom a trusted proxy sent the request. False: the limit is exceeded, and the
 * request must be refused. */
bool spl_guard_client(spl_guarded *guarded, const char *address);
/* Until the next request, the connection counts for the key, or for the links to the jobs of
 * `owner`, which have half as many connections as a key. False: too many other requests of the key
 * or the links are in progress, and the request must be refused. */
bool spl_guard_key(spl_guarded *guarded, const char *key);
bool spl_guard_link(spl_guarded *guarded, const char *owner);
/* Returns whether the key or the links have as many connections as they may keep, idle ones
 * included. The connection must then be closed after the answer. */
bool spl_guard_surplus(const spl_guarded *guarded);
/* Marks the answer as an event stream; at most half of a key's connections may be. False: the limit
 * is exceeded, and the request must be refused. */
bool spl_guard_stream(spl_guarded *guarded);

/* The credential that authorized a request. */
typedef struct spl_credential {
    bool by_link;
    char link_by[64], link_owner[64]; /* of a link: who made it, and the owner of its job */
    spl_principal principal;          /* unless by_link */
} spl_credential;

/* A file of a job that an answer sends. */
typedef struct spl_guard_reader {
    char job[SPL_ID_SIZE];
    int64_t fence; /* of the worker that wrote or writes the file */
    spl_credential credential;
    uint64_t number; /* set by the guard; never used twice */
} spl_guard_reader;
/* Marks what the answer sends from now on, until spl_guard_idle. */
void spl_guard_reads(spl_guarded *guarded, const spl_guard_reader *reader);
/* Copies the marks of all answers; the caller owns *ret_readers. Errors: MEMORY. */
SPL_WARN_UNUSED int spl_guard_readers(spl_guard *guard, spl_guard_reader **ret_readers,
                                      size_t *ret_count, spl_error *ret_error);
/* Shuts down the connection whose answer still has the mark with this number, if any. */
void spl_guard_end_reader(spl_guard *guard, uint64_t number);

/* Counts the requests between spl_guard_request and spl_guard_idle. */
unsigned spl_guard_busy(spl_guard *guard);

#endif

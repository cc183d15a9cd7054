/* SPDX-License-Identifier: MIT
 *
 * The HTTP server: libmicrohttpd with one thread per connection, so that handlers may block. The
 * caller supplies the routes. The time and size of a request are limited from the first byte
 * (guard.c), ambiguous requests are refused (framing.c), and a connection that carried a body is
 * closed after its answer, so that nothing can be smuggled behind the body.
 */
#ifndef SPL_SERVICE_HTTP_CONNECTION_HTTP_H
#define SPL_SERVICE_HTTP_CONNECTION_HTTP_H

#include "service/auth/auth.h"
#include "service/http/connection/listen.h"
#include "service/jobs/jobs.h"

typedef struct spl_http spl_http;
typedef struct spl_route spl_route;

typedef struct spl_http_parts {
    const spl_settings *settings;
    const spl_route *routes; /* [route_count]: the addresses to serve */
    size_t route_count;
    spl_auth *auth;
    spl_jobs *jobs;
    spl_models *models;
    spl_audit *audit;
    uint8_t secret[32]; /* derives the webhook secrets and the key of the OAuth cookie */
    bool only_system;   /* for a worker: only health, readiness and metrics */
} spl_http_parts;

/* Listens, on systemd's socket if LISTEN_FDS and LISTEN_PID name one. Errors: ARGUMENT (also: the
 * process may have too few descriptors), IO (the port is taken), PERMISSION, MEMORY, UNSUPPORTED
 * (libmicrohttpd without TLS), and those of spl_certificate_open. */
SPL_WARN_UNUSED int spl_http_start(const spl_http_parts *parts, spl_http **ret_http,
                                   spl_error *ret_error);
/* Where the server listens. */
const spl_listen_address *spl_http_address(const spl_http *http);
/* Call it every second or so, and after a change of keys, from one thread. Ends the answers that
 * must not go on (readers.h), logs the counts of suppressed log lines (anonymous.h), and loads the
 * certificate again when its files changed. */
void spl_http_tick(spl_http *http);
/* Loads the certificate again (SIGHUP). Call it from the same thread. */
void spl_http_reload(spl_http *http);
/* From now on /ready answers 503 and new jobs are refused; all else continues. */
void spl_http_drain(spl_http *http);
/* Ends event streams, waits up to `grace_s` for running answers, closes all connections, and frees
 * the server. */
void spl_http_stop(spl_http *http, unsigned grace_s);

#endif

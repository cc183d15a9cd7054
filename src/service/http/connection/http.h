/* SPDX-License-Identifier: MIT
 *
 * The HTTP server: libmicrohttpd with a thread a connection, so that handlers may block; the routes
 * are given by the caller. What a request may cost in time and size is limited from the first byte
 * (guard.c), ambiguous requests are refused (framing.c), and a connection that carried a body is
 * closed after its answer, so that nothing can be smuggled behind it.
 */
#ifndef SPL_SERVICE_HTTP_CONNECTION_HTTP_H
#define SPL_SERVICE_HTTP_CONNECTION_HTTP_H

#include "service/auth/auth.h"
#include "service/jobs/jobs.h"

typedef struct spl_http spl_http;
typedef struct spl_route spl_route;

typedef struct spl_http_parts {
    const spl_settings *settings;
    const spl_route *routes; /* [route_count]: the addresses that it serves */
    size_t route_count;
    spl_auth *auth;
    spl_jobs *jobs;
    spl_models *models;
    spl_audit *audit;
    uint8_t secret[32]; /* for the webhook secrets that clients ask for */
    bool only_system;   /* a worker's: health, readiness, metrics */
} spl_http_parts;

/* Listens (on systemd's socket when LISTEN_FDS says so). Errors: ARGUMENT, IO (the port is taken),
 * PERMISSION, MEMORY. */
SPL_WARN_UNUSED int spl_http_start(const spl_http_parts *parts, spl_http **ret_http,
                                   spl_error *ret_error);
unsigned spl_http_port(const spl_http *http);
/* To be called every few seconds, by one thread: tells what anonymous requests did beyond what was
 * written of each, and takes a new certificate when its files changed. */
void spl_http_tick(spl_http *http);
/* From now on /ready answers 503 and new jobs are refused; the rest goes on. */
void spl_http_drain(spl_http *http);
/* Ends event streams, waits up to `grace_s` for running answers, closes. */
void spl_http_stop(spl_http *http, unsigned grace_s);

#endif

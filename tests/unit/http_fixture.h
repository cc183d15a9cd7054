/* SPDX-License-Identifier: MIT
 *
 * A small web server on loopback for tests, by libmicrohttpd.
 */
#ifndef SPL_TESTS_HTTP_FIXTURE_H
#define SPL_TESTS_HTTP_FIXTURE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct http_fixture {
    struct MHD_Daemon *daemon;
    unsigned port;
    /* What it answers to every path but the next ones. */
    _Atomic unsigned status;
    const char *_Atomic body;
    /* "/redirect" answers 302 to "/"; "/slow" nothing for a while; "/large" 1 MB. */

    atomic_uint connections, requests;
    char method[16], path[64], header[64], received[256]; /* of the last request; header: X-Test */
    size_t received_size;
} http_fixture;

/* Listens on 127.0.0.1, or on ::1. */
void http_fixture_start(http_fixture *fixture, bool ipv6);
void http_fixture_stop(http_fixture *fixture);

#endif

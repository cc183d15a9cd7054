/* SPDX-License-Identifier: MIT
 *
 * A small web server on loopback for tests, based on libmicrohttpd.
 */
#ifndef SPL_TESTS_HTTP_FIXTURE_H
#define SPL_TESTS_HTTP_FIXTURE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct http_fixture {
    struct MHD_Daemon *daemon;
    unsigned port;
    /* The answer, except to "/redirect" (302 to "/"), "/slow" (nothing for a while) and "/large"
     * (1 MB). */
    _Atomic unsigned status;
    const char *_Atomic body;

    atomic_uint connections, requests;
    /* Of the last request; `header` is the value of X-Test. */
    char method[16], path[64], header[64], received[256];
    size_t received_size;
} http_fixture;

/* Listens on 127.0.0.1, or on ::1 if `ipv6`. */
void http_fixture_start(http_fixture *fixture, bool ipv6);
void http_fixture_stop(http_fixture *fixture);

#endif

/* SPDX-License-Identifier: MIT
 *
 * What the files of this room share of the server.
 */
#ifndef SPL_SERVICE_HTTP_CONNECTION_SERVER_H
#define SPL_SERVICE_HTTP_CONNECTION_SERVER_H

#include "service/http/connection/anonymous.h"
#include "service/http/connection/certificate.h"
#include "service/http/connection/guard.h"
#include "service/http/connection/http.h"

#include <stdatomic.h>

/* Of each connection's thread, which does all that a request asks for. */
#define SPL_HTTP_STACK_BYTES ((size_t)512 << 10)

struct MHD_Daemon;

struct spl_http {
    spl_http_parts parts;
    struct MHD_Daemon *daemon;
    spl_guard *guard;
    spl_anonymous *anonymous;
    spl_certificate *certificate; /* NULL without TLS */
    unsigned port;
    atomic_bool draining; /* takes no new jobs */
    atomic_bool stopping; /* ends answers that wait */
};

#endif

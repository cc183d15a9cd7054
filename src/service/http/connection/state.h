/* SPDX-License-Identifier: MIT
 *
 * The state of the server, shared by the files of this folder.
 */
#ifndef SPL_SERVICE_HTTP_CONNECTION_STATE_H
#define SPL_SERVICE_HTTP_CONNECTION_STATE_H

#include "service/http/connection/anonymous.h"
#include "service/http/connection/certificate.h"
#include "service/http/connection/guard.h"
#include "service/http/connection/http.h"

#include <stdatomic.h>

/* For each connection's thread, which does all the work of its requests. */
#define SPL_HTTP_STACK_BYTES ((size_t)512 << 10)

struct MHD_Daemon;

struct spl_http {
    spl_http_parts parts;
    struct MHD_Daemon *daemon;
    spl_guard *guard;
    spl_anonymous *anonymous;
    spl_certificate *certificate; /* NULL without TLS */
    spl_error certificate_error;  /* the last in the log */
    spl_listen_address address;
    atomic_bool draining; /* takes no new jobs */
    atomic_bool stopping; /* ends waiting answers */
};

#endif

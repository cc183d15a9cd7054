/* SPDX-License-Identifier: MIT
 *
 * What the files of this room share of the server.
 */
#ifndef SPL_SERVICE_HTTP_SERVER_H
#define SPL_SERVICE_HTTP_SERVER_H

#include "service/http/guard.h"
#include "service/http/http.h"

#include <stdatomic.h>

struct MHD_Daemon;

struct spl_http {
    spl_http_parts parts;
    struct MHD_Daemon *daemon;
    spl_guard *guard;
    char *certificate, *key; /* PEM; NULL without TLS */
    unsigned port;
    atomic_bool draining; /* takes no new jobs */
    atomic_bool stopping; /* ends answers that wait */
};

#endif

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

#include <pthread.h>
#include <stdatomic.h>

/* For each connection's thread, which does all the work of its requests. */
#define SPL_HTTP_STACK_BYTES ((size_t)512 << 10)

struct MHD_Daemon;

/* The last result of spl_jobs_ready. Everybody may request it, so it is kept for a moment; requests
 * that come while it is determined wait for it. */
typedef struct spl_readiness {
    pthread_mutex_t lock;
    double until_s; /* by spl_now_s; 0: none yet */
    int status;
    spl_problem problem;
} spl_readiness;

struct spl_http {
    spl_http_parts parts;
    struct MHD_Daemon *daemon;
    spl_guard *guard;
    spl_anonymous *anonymous;
    spl_rate_table *reads;        /* recorded in the audit log, by client, address, job and file */
    spl_certificate *certificate; /* NULL without TLS */
    spl_error certificate_error;  /* the last in the log */
    spl_listen_address address;
    spl_readiness readiness;
    atomic_bool draining; /* takes no new jobs */
    atomic_bool stopping; /* ends waiting answers */
};

#endif

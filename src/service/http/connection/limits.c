/* SPDX-License-Identifier: MIT
 *
 * Divides the descriptors between connections and everything else.
 */
#include "service/http/connection/limits.h"

#include "service/http/connection/guard.h"
#include "service/jobs/jobs.h"

#include <sys/resource.h>

/* A browser opens six connections, and a key has half of all. */
#define LEAST_CONNECTIONS 64

/* Each connection has a socket and may have a file and its folder. In addition, connections may
 * linger or end. */
#define CONNECTION_DESCRIPTORS(connections)                                                        \
    (3 * (connections) + SPL_GUARD_LINGERING(connections) + SPL_GUARD_ENDING(connections))
/* Descriptors besides those of regular connections and of running jobs: database, log, audit log,
 * webhooks, scans and helpers of requests, the listening socket, and the reserve. */
#define OTHER_DESCRIPTORS (256 + 3 * SPL_GUARD_RESERVE)

int spl_connections_fit(const spl_settings *settings, unsigned *ret_connections,
                        spl_error *ret_error) {
    const rlim_t wanted = settings->connections, least = SPL_MIN(wanted, LEAST_CONNECTIONS);
    const rlim_t others = OTHER_DESCRIPTORS + spl_jobs_descriptors(settings);
    struct rlimit limit;
    *ret_connections = settings->connections;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 0;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur >= CONNECTION_DESCRIPTORS(wanted) + others)
        return 0;
    if (limit.rlim_cur < CONNECTION_DESCRIPTORS(least) + others)
        return spl_fail(ret_error, SPL_E_ARGUMENT,
                        "the limit of open files, %llu, is too low for %u workers and %llu "
                        "connections: raise it to %llu (ulimit -n, LimitNOFILE=), or lower "
                        "SPLEETER_WORKERS",
                        (unsigned long long)limit.rlim_cur, settings->workers,
                        (unsigned long long)least,
                        (unsigned long long)(CONNECTION_DESCRIPTORS(least) + others));
    *ret_connections = (unsigned)((limit.rlim_cur - others) * 4 / CONNECTION_DESCRIPTORS(4));
    return 0;
}

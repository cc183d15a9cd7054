/* SPDX-License-Identifier: MIT
 *
 * Divides descriptors and threads between connections and everything else.
 */
#include "service/http/connection/limits.h"

#include "base/processes.h"
#include "service/http/connection/guard.h"
#include "service/jobs/jobs.h"

#include <inttypes.h>
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

#define CONNECTION_THREADS(connections) ((connections) + SPL_GUARD_ENDING(connections))
/* Threads and processes besides: webhooks, name lookups, helpers of requests, database, janitor,
 * and the reserve. */
#define OTHER_THREADS                   (96 + SPL_GUARD_RESERVE)

typedef struct resource_limit {
    uint64_t limit, others;
    uint64_t of_four; /* connections */
    const char *name, *advice;
} resource_limit;

static uint64_t needed(const resource_limit *resource, uint64_t connections) {
    return resource->others + (connections * resource->of_four + 3) / 4;
}

/* Lowers *connections to what the resource allows. */
static int fit(const resource_limit *resource, const spl_settings *settings, unsigned *connections,
               spl_error *ret_error) {
    const uint64_t least = SPL_MIN(settings->connections, LEAST_CONNECTIONS);
    if (resource->limit >= needed(resource, *connections))
        return 0;
    if (resource->limit < needed(resource, least))
        return spl_fail(ret_error, SPL_E_ARGUMENT,
                        "the limit of %s, %" PRIu64 ", is too low for %u workers and %" PRIu64
                        " connections: raise it to %" PRIu64 " (%s), or lower SPLEETER_WORKERS",
                        resource->name, resource->limit, settings->workers, least,
                        needed(resource, least), resource->advice);
    *connections = (unsigned)((resource->limit - resource->others) * 4 / resource->of_four);
    return 0;
}

/* Raises the limit as far as allowed and returns it. */
static uint64_t raise_descriptors(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return UINT64_MAX;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}

int spl_connections_fit(const spl_settings *settings, unsigned *ret_connections,
                        spl_error *ret_error) {
    const resource_limit resources[] = {
        {raise_descriptors(), OTHER_DESCRIPTORS + spl_jobs_descriptors(settings),
         CONNECTION_DESCRIPTORS(4), "open files", "ulimit -n, LimitNOFILE="},
        {spl_processes_max(), OTHER_THREADS + spl_jobs_threads(settings), CONNECTION_THREADS(4),
         "processes and threads", "ulimit -u, LimitNPROC=, TasksMax=, pids.max"},
    };
    unsigned connections = settings->connections;
    int status = 0;
    for (size_t i = 0; status == 0 && i < SPL_ARRAY_SIZE(resources); i++)
        status = fit(&resources[i], settings, &connections, ret_error);
    if (status == 0)
        *ret_connections = connections;
    return status;
}

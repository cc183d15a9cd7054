/* SPDX-License-Identifier: MIT
 *
 * One address of the service, and how a request finds the one that it names.
 */
#ifndef SPL_SERVICE_HTTP_CONNECTION_ROUTE_H
#define SPL_SERVICE_HTTP_CONNECTION_ROUTE_H

#include "service/http/connection/request.h"

struct spl_route {
    const char *method; /* GET answers HEAD too */
    const char *path;   /* "/v1/jobs/{id}": segments in braces match any one */
    unsigned scopes;    /* that the client needs; 0: open to all */
    bool links;         /* a signed link is enough */
    /* Each returns 0 or a negative status with a problem. `start` and `body` may be NULL: nothing
     * to do, takes no body. `answer` queues an answer. */
    int (*start)(spl_request *request, spl_problem *ret_problem);
    int (*body)(spl_request *request, const char *data, size_t size, spl_problem *ret_problem);
    int (*answer)(spl_request *request, spl_problem *ret_problem);
};

/* Sets route, path_id and path_file of the request. Problems: NOT_FOUND, METHOD (then, and for
 * OPTIONS, `allow` is set; OPTIONS succeeds without a route). */
SPL_WARN_UNUSED int spl_route_find(spl_request *request, spl_problem *ret_problem);

/* Whether it is health, readiness or metrics. */
bool spl_route_is_system(const spl_route *route);

/* A constant copy of a method's name, "OTHER" for one that is not known. */
const char *spl_method_name(const char *method);

/* The same words for ids that do not exist and those that are another's. */
int spl_refuse_not_found(spl_problem *ret_problem);
/* A refusal of the jobs room, whose NOT_FOUND gets these words. Returns `status`. */
int spl_refuse_job(int status, spl_problem *problem);

#endif

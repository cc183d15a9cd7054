/* SPDX-License-Identifier: MIT
 *
 * One address of the service, and the lookup of a request's route.
 */
#ifndef SPL_SERVICE_HTTP_CONNECTION_ROUTE_H
#define SPL_SERVICE_HTTP_CONNECTION_ROUTE_H

#include "service/http/connection/request.h"

struct spl_route {
    const char *method; /* GET also answers HEAD */
    const char *path;   /* "/v1/jobs/{id}": a segment in braces matches any one */
    unsigned scopes;    /* that the client needs; 0: open to all */
    bool links;         /* a signed link suffices */
    /* Each returns 0, or a negative status with a problem. `start` and `body` may be NULL: there is
     * nothing to prepare; the route takes no body. `answer` queues an answer. */
    int (*start)(spl_request *request, spl_problem *ret_problem);
    int (*body)(spl_request *request, const char *data, size_t size, spl_problem *ret_problem);
    int (*answer)(spl_request *request, spl_problem *ret_problem);
};

/* Sets route, path_id and path_file of the request. Problems: NOT_FOUND, METHOD. For METHOD and for
 * OPTIONS, `allow` is set; OPTIONS succeeds without a route. */
SPL_WARN_UNUSED int spl_route_find(spl_request *request, spl_problem *ret_problem);

/* Returns whether the route is health, readiness or metrics. */
bool spl_route_is_system(const spl_route *route);

/* Returns a constant copy of a method's name, or "OTHER" if the method is unknown. */
const char *spl_method_name(const char *method);

/* Uses the same text for ids that do not exist and for those of other owners. */
int spl_refuse_not_found(spl_problem *ret_problem);
/* Replaces the text of a NOT_FOUND from the functions of jobs.h by that of spl_refuse_not_found.
 * Returns `status`. */
int spl_refuse_job(int status, spl_problem *problem);

#endif

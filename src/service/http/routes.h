/* SPDX-License-Identifier: MIT
 *
 * The table of addresses: it decides which function answers, who may ask, and what 404 and 405 say; its templates are the labels of
 * metrics. tests/service compares it with openapi.json.
 */
#ifndef SPL_SERVICE_HTTP_ROUTES_H
#define SPL_SERVICE_HTTP_ROUTES_H

#include "service/http/request.h"

struct spl_route {
    const char *method; /* GET answers HEAD too */
    const char *path;   /* "/v1/jobs/{id}": segments in braces match any one */
    unsigned scopes;    /* that the client needs; 0: open to all */
    bool links;         /* a signed link is enough */
    /* Each returns 0 or a negative status with a problem. `start` and `body` may be NULL: nothing to do, takes no body. `answer` queues an answer. */
    int (*start)(spl_request *request, spl_problem *ret_problem);
    int (*body)(spl_request *request, const char *data, size_t size, spl_problem *ret_problem);
    int (*answer)(spl_request *request, spl_problem *ret_problem);
};

/* Sets route, path_id and path_file of the request. Problems: NOT_FOUND, METHOD (then, and for OPTIONS, `allow` is set; OPTIONS
 * succeeds without a route). */
SPL_WARN_UNUSED int spl_route_find(spl_request *request, spl_problem *ret_problem);

/* Whether it is health, readiness or metrics. */
bool spl_route_is_system(const spl_route *route);

/* A constant copy of a method's name, "OTHER" for one that is not known. */
const char *spl_method_name(const char *method);

/* The same words for ids that do not exist and those that are another's. */
int spl_refuse_not_found(spl_problem *ret_problem);
/* A refusal of the jobs room, whose NOT_FOUND gets these words. Returns `status`. */
int spl_refuse_job(int status, spl_problem *problem);

/* The routes, by file. */
int spl_jobs_create_start(spl_request *request, spl_problem *ret_problem);
int spl_jobs_create_body(spl_request *request, const char *data, size_t size,
                         spl_problem *ret_problem);
int spl_jobs_create_answer(spl_request *request, spl_problem *ret_problem);
int spl_jobs_list_answer(spl_request *request, spl_problem *ret_problem);
int spl_jobs_get_answer(spl_request *request, spl_problem *ret_problem);
int spl_jobs_delete_answer(spl_request *request, spl_problem *ret_problem);
int spl_jobs_cancel_answer(spl_request *request, spl_problem *ret_problem);
int spl_jobs_link_start(spl_request *request, spl_problem *ret_problem);
int spl_jobs_link_body(spl_request *request, const char *data, size_t size,
                       spl_problem *ret_problem);
int spl_jobs_link_answer(spl_request *request, spl_problem *ret_problem);
int spl_events_answer(spl_request *request, spl_problem *ret_problem);
int spl_stem_answer(spl_request *request, spl_problem *ret_problem);
int spl_manifest_answer(spl_request *request, spl_problem *ret_problem);
int spl_peaks_answer(spl_request *request, spl_problem *ret_problem);
int spl_zip_answer(spl_request *request, spl_problem *ret_problem);
int spl_legacy_start(spl_request *request, spl_problem *ret_problem);
int spl_legacy_body(spl_request *request, const char *data, size_t size, spl_problem *ret_problem);
int spl_legacy_answer(spl_request *request, spl_problem *ret_problem);
int spl_models_answer(spl_request *request, spl_problem *ret_problem);
int spl_webhook_secret_answer(spl_request *request, spl_problem *ret_problem);
int spl_health_answer(spl_request *request, spl_problem *ret_problem);
int spl_ready_answer(spl_request *request, spl_problem *ret_problem);
int spl_metrics_answer(spl_request *request, spl_problem *ret_problem);
int spl_openapi_answer(spl_request *request, spl_problem *ret_problem);
int spl_session_create_answer(spl_request *request, spl_problem *ret_problem);
int spl_session_get_answer(spl_request *request, spl_problem *ret_problem);
int spl_session_delete_answer(spl_request *request, spl_problem *ret_problem);
int spl_oauth_begin_answer(spl_request *request, spl_problem *ret_problem);
int spl_oauth_callback_answer(spl_request *request, spl_problem *ret_problem);
int spl_config_answer(spl_request *request, spl_problem *ret_problem);
int spl_page_answer(spl_request *request, spl_problem *ret_problem);
int spl_asset_answer(spl_request *request, spl_problem *ret_problem);

#endif

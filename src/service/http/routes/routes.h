/* SPDX-License-Identifier: MIT
 *
 * The table of addresses. It determines which function answers, who may call it, and the answers
 * 404 and 405; its templates are the labels of metrics. tests/service compares it with
 * openapi.json.
 */
#ifndef SPL_SERVICE_HTTP_ROUTES_ROUTES_H
#define SPL_SERVICE_HTTP_ROUTES_ROUTES_H

#include "service/http/connection/route.h"

extern const spl_route spl_routes[];
extern const size_t spl_route_count;

/* The functions of the routes, grouped by file. */
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

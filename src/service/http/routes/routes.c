/* SPDX-License-Identifier: MIT
 *
 * The table of addresses.
 */
#include "service/http/routes/routes.h"

#define READ    SPL_SCOPE_READ
#define WRITE   SPL_SCOPE_WRITE
#define METRICS SPL_SCOPE_METRICS

/* A path with a parameter comes after a literal path that it also matches. */
const spl_route spl_routes[] = {
    {"POST", "/v1/jobs", WRITE, false, spl_jobs_create_start, spl_jobs_create_body,
     spl_jobs_create_answer},
    {"GET", "/v1/jobs", READ, .answer = spl_jobs_list_answer},
    {"GET", "/v1/jobs/{id}", READ, .answer = spl_jobs_get_answer},
    {"DELETE", "/v1/jobs/{id}", WRITE, .answer = spl_jobs_delete_answer},
    {"POST", "/v1/jobs/{id}/cancel", WRITE, .answer = spl_jobs_cancel_answer},
    {"GET", "/v1/jobs/{id}/events", READ, .answer = spl_events_answer},
    {"GET", "/v1/jobs/{id}/stems/{file}", READ, true, .answer = spl_stem_answer},
    {"GET", "/v1/jobs/{id}/stems/{file}/peaks", READ, .answer = spl_peaks_answer},
    {"GET", "/v1/jobs/{id}/stems.zip", READ, true, .answer = spl_zip_answer},
    {"GET", "/v1/jobs/{id}/manifest.json", READ, true, .answer = spl_manifest_answer},
    {"POST", "/v1/jobs/{id}/links", READ, false, spl_jobs_link_start, spl_jobs_link_body,
     spl_jobs_link_answer},
    {"GET", "/v1/models", READ, .answer = spl_models_answer},
    {"GET", "/v1/webhooks/secret", WRITE, .answer = spl_webhook_secret_answer},
    {"POST", "/v1/session", READ, .answer = spl_session_create_answer},
    {"GET", "/v1/session", READ, .answer = spl_session_get_answer},
    {"DELETE", "/v1/session", 0, .answer = spl_session_delete_answer},
    {"GET", "/v1/session/oauth", 0, .answer = spl_oauth_begin_answer},
    {"GET", "/v1/session/callback", 0, .answer = spl_oauth_callback_answer},
    {"GET", "/v1/config", 0, .answer = spl_config_answer},
    {"POST", "/separate", WRITE, false, spl_legacy_start, spl_legacy_body, spl_legacy_answer},
    {"GET", "/openapi.json", 0, .answer = spl_openapi_answer},
    {"GET", "/health", 0, .answer = spl_health_answer},
    {"GET", "/ready", 0, .answer = spl_ready_answer},
    {"GET", "/metrics", METRICS, .answer = spl_metrics_answer},
    {"GET", "/", 0, .answer = spl_page_answer},
    {"GET", "/assets/{file}", 0, .answer = spl_asset_answer},
};

const size_t spl_route_count = SPL_ARRAY_SIZE(spl_routes);

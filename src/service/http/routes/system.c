/* SPDX-License-Identifier: MIT
 *
 * Addresses that are not about jobs: health, readiness, metrics, models, the description of the
 * API, the webhook secret.
 */
#include "base/clock.h"
#include "service/http/connection/answer.h"
#include "service/http/routes/openapi.h"
#include "service/http/routes/routes.h"
#include "service/observe/log.h"
#include "service/observe/metrics.h"

#define READY_VALID_S 1

static int refuse_failure(spl_problem *ret_problem, const char *event, const spl_error *error) {
    spl_log(SPL_LOG_ERROR, event, SPL_TEXT("error", error->message));
    return spl_refuse_error(ret_problem, error);
}

int spl_health_answer(spl_request *request, spl_problem *ret_problem) {
    static const char text[] = "{\"status\":\"ok\"}";
    return spl_answer_constant(request, "application/json", text, sizeof(text) - 1, ret_problem);
}

static int check_ready(spl_http *http, spl_problem *ret_problem) {
    spl_readiness *readiness = &http->readiness;
    pthread_mutex_lock(&readiness->lock);
    if (spl_now_s() >= readiness->until_s) {
        readiness->status = spl_jobs_ready(http->parts.jobs, &readiness->problem);
        readiness->until_s = spl_now_s() + READY_VALID_S;
    }
    const int status = readiness->status;
    if (status < 0)
        *ret_problem = readiness->problem;
    pthread_mutex_unlock(&readiness->lock);
    return status;
}

int spl_ready_answer(spl_request *request, spl_problem *ret_problem) {
    int status = 0;
    if (atomic_load(&request->http->draining))
        status = spl_refuse(ret_problem, SPL_PROBLEM_DRAINING, "The service is shutting down");
    else
        status = check_ready(request->http, ret_problem);
    spl_metrics_set(SPL_GAUGE_READY, status == 0);
    if (status < 0)
        return status;
    static const char text[] = "{\"status\":\"ready\"}";
    return spl_answer_constant(request, "application/json", text, sizeof(text) - 1, ret_problem);
}

int spl_metrics_answer(spl_request *request, spl_problem *ret_problem) {
    char *text;
    size_t size;
    spl_error error;
    spl_jobs_measure(request->parts->jobs);
    if (spl_metrics_write(&text, &size, &error) < 0)
        return refuse_failure(ret_problem, "metrics.failed", &error);
    struct MHD_Response *response =
        MHD_create_response_from_buffer(size, text, MHD_RESPMEM_MUST_FREE);
    if (!response)
        free(text);
    request->sent_bytes = size;
    return spl_answer_response(request, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8",
                               response, NULL, ret_problem);
}

int spl_openapi_answer(spl_request *request, spl_problem *ret_problem) {
    return spl_answer_constant(request, "application/json", openapi_json, sizeof(openapi_json) - 1,
                               ret_problem);
}

int spl_models_answer(spl_request *request, spl_problem *ret_problem) {
    json_t *models;
    spl_error error;
    if (spl_models_describe(request->parts->models, &models, &error) < 0)
        return refuse_failure(ret_problem, "models.failed", &error);
    return spl_answer_json(request, MHD_HTTP_OK, json_pack("{s:o}", "models", models), NULL,
                           ret_problem);
}

int spl_webhook_secret_answer(spl_request *request, spl_problem *ret_problem) {
    char secret[64];
    spl_error error;
    if (spl_webhook_secret(request->parts->secret, request->principal.id, secret, &error) < 0)
        return refuse_failure(ret_problem, "webhook_secret.failed", &error);
    json_t *answer = json_pack("{s:s}", "secret", secret);
    explicit_bzero(secret, sizeof(secret));
    return spl_answer_json(request, MHD_HTTP_OK, answer, NULL, ret_problem);
}

/* SPDX-License-Identifier: MIT
 *
 * The sender of webhooks, by the Standard Webhooks specification
 * (https://www.standardwebhooks.com). Deliveries are stored when their job ends, and retried until
 * a response has a 2xx status or the attempts are used up. Each attempt is signed anew, and counted
 * before it begins, so a process that crashes again and again sends no more than others.
 */
#include "service/jobs/webhooks.h"
#include "base/clock.h"
#include "service/auth/auth.h"
#include "service/auth/webhook_signature.h"
#include "service/core/ids.h"
#include "service/jobs/job_json.h"
#include "service/jobs/state.h"
#include "service/observe/metrics.h"
#include "service/outbound/outbound.h"

#include <stdio.h>
#include <string.h>

#define RETRY_BASE_MS    5000
#define RETRY_MOST_MS    3600000
#define WAIT_MS          1000
#define LEASE_MARGIN_MS  30000
#define ANSWER_MAX_BYTES 65536

/* Limits of concurrent deliveries for one key and to one host. */
#define PER_KEY  2
#define PER_HOST (SPL_WEBHOOK_SENDERS / 2)
/* Delay of a delivery for which the process has no descriptors left. */
#define DEFER_MS 5000

bool spl_webhook_of(const spl_job *job, spl_delivery *ret_delivery) {
    if (!job->webhook_url)
        return false;
    *ret_delivery = (spl_delivery){.owner = job->owner, .url = job->webhook_url};
    spl_uuid_make(ret_delivery->id);
    snprintf(ret_delivery->job, sizeof(ret_delivery->job), "%s", job->id);
    return true;
}

/* "job.succeeded"; for an expired job, the state in which it ended. */
static const char *type_of(const spl_job *job) {
    if (job->error_code)
        return "job.failed";
    return job->result ? "job.succeeded" : "job.canceled";
}

/* *ret_payload is owned by the caller. NOT_FOUND: the job was deleted. */
static int make_payload(spl_jobs *jobs, const spl_delivery *delivery, char **ret_payload,
                        spl_error *ret_error) {
    spl_job job = {0};
    int status = SPL_STORE(jobs, get, delivery->owner, delivery->job, &job, ret_error);
    if (status < 0)
        return status;
    char finished[25];
    spl_time_text(job.finished_ms, finished);
    json_auto_t *payload = json_pack("{s:s, s:s, s:o}", "type", type_of(&job), "timestamp",
                                     finished, "data", spl_job_json(jobs, &job, false));
    spl_job_free(&job);
    char *text = payload ? json_dumps(payload, JSON_COMPACT) : NULL;
    if (!text)
        return spl_fail_memory(ret_error);
    *ret_payload = text;
    return 0;
}

/* spl_outbound.canceled: a slow receiver does not delay the shutdown. */
static int is_draining(void *user) {
    spl_jobs *jobs = user;
    return atomic_load(&jobs->draining);
}

static int post(spl_jobs *jobs, const spl_delivery *delivery, const char *payload, long *ret_status,
                spl_error *ret_error) {
    char secret[64], signature[SPL_WEBHOOK_SIGNATURE_SIZE];
    const int64_t now_s = spl_wall_ms() / 1000;
    int status = spl_webhook_secret(jobs->secret, delivery->owner, secret, ret_error);
    if (status == 0 &&
        spl_webhook_sign(secret, delivery->id, now_s, payload, strlen(payload), signature) < 0)
        status = spl_fail_memory(ret_error);
    explicit_bzero(secret, sizeof(secret));
    if (status < 0)
        return status;
    char id[64], timestamp[64], signatures[80];
    snprintf(id, sizeof(id), "webhook-id: %s", delivery->id);
    snprintf(timestamp, sizeof(timestamp), "webhook-timestamp: %lld", (long long)now_s);
    snprintf(signatures, sizeof(signatures), "webhook-signature: %s", signature);
    const char *const headers[] = {"Content-Type: application/json", id, timestamp, signatures,
                                   NULL};
    const spl_outbound request = {
        .url = delivery->url,
        .owner = delivery->owner,
        .allow = jobs->settings->webhook_allow,
        .headers = headers,
        .body = payload,
        .body_size = strlen(payload),
        .max_bytes = ANSWER_MAX_BYTES,
        .timeout_s = jobs->settings->webhook_timeout_s,
        .user = jobs,
        .canceled = is_draining,
    };
    spl_outbound_answer answer;
    status = spl_outbound_run(&request, &answer, ret_error);
    if (status == 0)
        *ret_status = answer.status;
    return status;
}

static bool is_final_failure(int status, long http_status) {
    const long gone = 410;
    return status == SPL_E_NOT_FOUND || http_status == gone;
}

static void settle(spl_jobs *jobs, const spl_delivery *delivery, int status, long http_status,
                   const spl_error *failure) {
    const bool delivered = status == 0 && http_status >= 200 && http_status < 300;
    const unsigned attempts_max = jobs->settings->webhook_attempts;
    const bool dead =
        !delivered && (is_final_failure(status, http_status) || delivery->attempts >= attempts_max);
    spl_log(delivered ? SPL_LOG_INFO : SPL_LOG_WARNING,
            delivered ? "webhook.delivered"
            : dead    ? "webhook.given_up"
                      : "webhook.retried",
            SPL_TEXT("delivery", delivery->id), SPL_TEXT("job_id", delivery->job),
            SPL_INTEGER("attempt", SPL_MIN(delivery->attempts, attempts_max)),
            SPL_INTEGER("status", http_status),
            SPL_TEXT("error", status < 0 ? failure->message : NULL));
    spl_metrics_count(delivered ? SPL_COUNTER_WEBHOOKS_DELIVERED
                      : dead    ? SPL_COUNTER_WEBHOOKS_DEAD
                                : SPL_COUNTER_WEBHOOKS_RETRIED,
                      1);
    spl_error error;
    int stored =
        delivered || dead
            ? SPL_STORE(jobs, delivery_done, delivery->id, &error)
            : SPL_STORE(jobs, delivery_retry, delivery->id,
                        spl_jobs_now_ms(jobs) +
                            spl_backoff_ms(RETRY_BASE_MS, delivery->attempts - 1, RETRY_MOST_MS),
                        true, &error);
    if (stored < 0)
        spl_jobs_log_failure(SPL_LOG_ERROR, "webhook.not_stored", &error);
}

/* Adds a name to a list in the store's format. On failure *list is NULL. */
static void add_name(char **list, const char *name) {
    char *longer = NULL;
    if (*list && asprintf(&longer, "%s%s%s\n", *list, **list ? "" : "\n", name) < 0)
        longer = NULL;
    free(*list);
    *list = longer;
}

/* Lists the owners of at least `held` deliveries in progress, and the hosts that are at their
 * limit. The caller owns the lists; NULL: out of memory. */
static void list_busy(spl_jobs *jobs, unsigned held, char **ret_owners, char **ret_hosts) {
    char *owners = strdup(""), *hosts = strdup("");
    pthread_mutex_lock(&jobs->lock);
    for (size_t i = 0; i < SPL_WEBHOOK_SENDERS; i++) {
        const spl_sending *one = &jobs->sending[i];
        unsigned same_owner = 0, same_host = 0;
        for (size_t j = 0; j < SPL_WEBHOOK_SENDERS; j++) {
            same_owner += strcmp(jobs->sending[j].owner, one->owner) == 0;
            same_host += strcmp(jobs->sending[j].host, one->host) == 0;
        }
        if (one->owner[0] && same_owner >= held)
            add_name(&owners, one->owner);
        if (one->host[0] && same_host >= PER_HOST)
            add_name(&hosts, one->host);
    }
    pthread_mutex_unlock(&jobs->lock);
    *ret_owners = owners;
    *ret_hosts = hosts;
}

static int claim(spl_jobs *jobs, unsigned held, spl_delivery *ret_delivery, spl_error *ret_error) {
    const int64_t lease_ms = INT64_C(1000) * jobs->settings->webhook_timeout_s + LEASE_MARGIN_MS;
    SPL_CLEANUP(spl_free_p) char *owners = NULL;
    SPL_CLEANUP(spl_free_p) char *hosts = NULL;
    list_busy(jobs, held, &owners, &hosts);
    int64_t next_ms;
    if (!owners || !hosts)
        return spl_fail_memory(ret_error);
    return SPL_STORE(jobs, delivery_claim, spl_jobs_now_ms(jobs), lease_ms, owners, hosts,
                     ret_delivery, &next_ms, ret_error);
}

/* Claims the next delivery: preferably of a key with none in progress, otherwise of one below its
 * limit. */
static int claim_fairly(spl_jobs *jobs, spl_delivery *ret_delivery, spl_error *ret_error) {
    int status = 0;
    for (unsigned held = 1; held <= PER_KEY; held++) {
        status = claim(jobs, held, ret_delivery, ret_error);
        if (status != SPL_E_NOT_FOUND)
            break;
    }
    return status;
}

/* Registers the delivery as in progress. Returns false if its host is at its limit. */
static bool enter(spl_jobs *jobs, const spl_delivery *delivery, const char *host,
                  size_t *ret_place) {
    spl_sending sending = {0};
    snprintf(sending.owner, sizeof(sending.owner), "%s", delivery->owner);
    snprintf(sending.host, sizeof(sending.host), "%s", host);
    unsigned same_host = 0;
    size_t place = SPL_WEBHOOK_SENDERS;
    pthread_mutex_lock(&jobs->lock);
    for (size_t i = 0; i < SPL_WEBHOOK_SENDERS; i++) {
        const bool free = !jobs->sending[i].owner[0];
        same_host += !free && *host && strcmp(jobs->sending[i].host, sending.host) == 0;
        if (free)
            place = i;
    }
    const bool entered = same_host < PER_HOST && place < SPL_WEBHOOK_SENDERS;
    if (entered)
        jobs->sending[place] = sending;
    pthread_mutex_unlock(&jobs->lock);
    *ret_place = place;
    return entered;
}

static void leave(spl_jobs *jobs, size_t place) {
    pthread_mutex_lock(&jobs->lock);
    jobs->sending[place] = (spl_sending){0};
    pthread_mutex_unlock(&jobs->lock);
}

static void defer(spl_jobs *jobs, const spl_delivery *delivery) {
    spl_error error;
    if (SPL_STORE(jobs, delivery_retry, delivery->id, spl_jobs_now_ms(jobs) + DEFER_MS, false,
                  &error) < 0)
        spl_jobs_log_failure(SPL_LOG_ERROR, "webhook.not_stored", &error);
}

static void deliver(spl_jobs *jobs, spl_delivery *delivery) {
    spl_error error = {0};
    long http_status = 0;
    int status = 0;
    if (delivery->attempts > jobs->settings->webhook_attempts)
        status = spl_fail(&error, SPL_E_LIMIT, "the process ended during the last attempt");
    if (status == 0 && jobs->auth && !spl_auth_has_client(jobs->auth, delivery->owner))
        status = spl_fail(&error, SPL_E_NOT_FOUND, "the client's key was revoked");
    if (status == 0 && !delivery->payload)
        status = make_payload(jobs, delivery, &delivery->payload, &error);
    if (status == 0)
        status = post(jobs, delivery, delivery->payload, &http_status, &error);
    if (status == SPL_E_EXHAUSTED) {
        spl_jobs_log_failure(SPL_LOG_WARNING, "webhook.deferred", &error);
        defer(jobs, delivery);
    } else if (status != SPL_E_CANCELED) /* else it is tried again when its lease has expired */
        settle(jobs, delivery, status, http_status, &error);
}

/* Waits for a delivery and claims it. Returns false if none was claimed. */
static bool take(spl_jobs *jobs, spl_delivery *ret_delivery, size_t *ret_place) {
    spl_error error;
    int status = claim_fairly(jobs, ret_delivery, &error);
    if (status == SPL_E_NOT_FOUND) {
        SPL_STORE(jobs, wait_delivery, WAIT_MS);
        return false;
    }
    if (status < 0) {
        spl_jobs_log_failure(SPL_LOG_ERROR, "webhook.failed", &error);
        spl_jobs_pause(jobs, WAIT_MS);
        return false;
    }
    char host[sizeof(jobs->sending[0].host)];
    spl_outbound_host(ret_delivery->url, host, sizeof(host));
    if (enter(jobs, ret_delivery, host, ret_place))
        return true;
    /* From now on, claims skip it while its host is at its limit. */
    if (SPL_STORE(jobs, delivery_defer, ret_delivery->id, spl_jobs_now_ms(jobs), host, &error) < 0)
        spl_jobs_log_failure(SPL_LOG_ERROR, "webhook.not_stored", &error);
    spl_delivery_free(ret_delivery);
    return false;
}

/* One sender at a time looks for a delivery. The others are delivering, or wait for their turn to
 * look. */
void *spl_webhooks_run(void *user) {
    spl_jobs *jobs = user;
    while (!atomic_load(&jobs->draining)) {
        spl_delivery delivery = {0};
        size_t place;
        pthread_mutex_lock(&jobs->looking);
        bool taken = false;
        while (!taken && !atomic_load(&jobs->draining))
            taken = take(jobs, &delivery, &place);
        pthread_mutex_unlock(&jobs->looking);
        if (!taken)
            break;
        deliver(jobs, &delivery);
        leave(jobs, place);
        spl_delivery_free(&delivery);
    }
    return NULL;
}

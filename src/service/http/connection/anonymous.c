/* SPDX-License-Identifier: MIT
 *
 * The budgets are rates (auth/rate.h), whose names start with the kind of line.
 */
#include "service/http/connection/anonymous.h"

#include "base/clock.h"
#include "service/auth/rate.h"
#include "service/observe/log.h"
#include "service/outbound/address.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>

#define ADDRESSES_MAX 16384
#define REPORT_S      60.0

static const struct {
    const char *action;
    bool audited;
    unsigned of_address, of_all; /* lines per minute */
} kinds[SPL_ANONYMOUS_LINES] = {
    [SPL_ANONYMOUS_REQUEST] = {"http.request", false, 60, 600},
    [SPL_ANONYMOUS_REFUSAL] = {"auth.refused", true, 10, 60},
    [SPL_ANONYMOUS_READ] = {"file.read", true, 30, 300},
};

struct spl_anonymous {
    spl_audit *audit;
    spl_rate_table *rates;
    pthread_mutex_t lock; /* protects `pending` */
    struct {
        uint64_t count;
        double since_s; /* spl_now_s() of the first counted line */
        char since[25];
    } pending[SPL_ANONYMOUS_LINES];
};

int spl_anonymous_new(spl_audit *audit, spl_anonymous **ret_anonymous, spl_error *ret_error) {
    spl_anonymous *anonymous = calloc(1, sizeof(*anonymous));
    if (!anonymous)
        return spl_fail_memory(ret_error);
    anonymous->audit = audit;
    pthread_mutex_init(&anonymous->lock, NULL);
    const int status = spl_rate_table_new(ADDRESSES_MAX, &anonymous->rates, ret_error);
    if (status < 0) {
        spl_anonymous_free(anonymous);
        return status;
    }
    *ret_anonymous = anonymous;
    return 0;
}

/* Called with the lock held; releases it. */
static void report(spl_anonymous *anonymous, spl_anonymous_line line) {
    const uint64_t count = anonymous->pending[line].count;
    char since[25], action[32], detail[80];
    snprintf(since, sizeof(since), "%s", anonymous->pending[line].since);
    anonymous->pending[line].count = 0;
    pthread_mutex_unlock(&anonymous->lock);

    snprintf(action, sizeof(action), "%s.more", kinds[line].action);
    snprintf(detail, sizeof(detail), "%llu more since %s", (unsigned long long)count, since);
    const spl_audit_event event = {.actor = "anonymous", .action = action, .detail = detail};
    if (kinds[line].audited)
        (void)!spl_audit_write(anonymous->audit, &event, NULL);
    else
        spl_log(SPL_LOG_INFO, action, SPL_INTEGER("count", count), SPL_TEXT("since", since));
}

static void report_older_than(spl_anonymous *anonymous, double since_s) {
    for (spl_anonymous_line line = 0; line < SPL_ANONYMOUS_LINES; line++) {
        pthread_mutex_lock(&anonymous->lock);
        if (anonymous->pending[line].count > 0 && anonymous->pending[line].since_s <= since_s)
            report(anonymous, line);
        else
            pthread_mutex_unlock(&anonymous->lock);
    }
}

void spl_anonymous_report(spl_anonymous *anonymous, double now_s) {
    report_older_than(anonymous, now_s - REPORT_S);
}

void spl_anonymous_free(spl_anonymous *anonymous) {
    if (!anonymous)
        return;
    report_older_than(anonymous, INFINITY);
    spl_rate_table_free(anonymous->rates);
    pthread_mutex_destroy(&anonymous->lock);
    free(anonymous);
}

bool spl_anonymous_may_write(spl_anonymous *anonymous, spl_anonymous_line line, const char *address,
                             double now_s) {
    char network[64], name[96];
    spl_rate rate;
    unsigned wait_s;
    spl_address_network(address, network);
    snprintf(name, sizeof(name), "%s %s", kinds[line].action, network);
    if (spl_rate_take(anonymous->rates, name, kinds[line].of_address, now_s, &rate, &wait_s) &&
        spl_rate_take(anonymous->rates, kinds[line].action, kinds[line].of_all, now_s, &rate,
                      &wait_s))
        return true;
    pthread_mutex_lock(&anonymous->lock);
    if (anonymous->pending[line].count++ == 0) {
        anonymous->pending[line].since_s = now_s;
        spl_time_text(spl_wall_ms(), anonymous->pending[line].since);
    }
    pthread_mutex_unlock(&anonymous->lock);
    return false;
}

/* SPDX-License-Identifier: MIT
 *
 * Starts and stops the threads of the module.
 */
#include "base/clock.h"
#include "service/jobs/janitor.h"
#include "service/jobs/state.h"
#include "service/jobs/webhooks.h"
#include "service/jobs/worker.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PEAKS_KEPT_BYTES ((size_t)64 << 20)

/* Concurrent operations of each kind, in total and for one key. */
static const struct {
    unsigned slots, per_key;
} shares[SPL_TURN_KINDS] = {
    [SPL_TURN_FETCH] = {8, 4},  [SPL_TURN_SCAN] = {8, 4}, [SPL_TURN_PROBE] = {8, 4},
    [SPL_TURN_DECODE] = {4, 2}, [SPL_TURN_READ] = {8, 4}, [SPL_TURN_LIST] = {2, 1},
};

/* spl_blob_wait.canceled */
static int is_giving_back(void *user) {
    const spl_jobs *jobs = user;
    return atomic_load(&jobs->give_back);
}

static int start_thread(spl_jobs *jobs, void *(*run)(void *user), const char *name,
                        spl_error *ret_error) {
    pthread_t *thread = &jobs->threads[jobs->thread_count];
    int failed = pthread_create(thread, NULL, run, jobs);
    if (failed)
        return spl_fail_errno(ret_error, failed, "cannot start a thread");
    pthread_setname_np(*thread, name);
    jobs->thread_count++;
    return 0;
}

static int start_threads(spl_jobs *jobs, spl_error *ret_error) {
    const unsigned workers = jobs->settings->workers;
    const unsigned senders = jobs->only_works ? 0 : SPL_WEBHOOK_SENDERS;
    jobs->threads = calloc(workers + senders + 1, sizeof(*jobs->threads));
    if (!jobs->threads)
        return spl_fail_memory(ret_error);
    int status = start_thread(jobs, spl_janitor_run, "janitor", ret_error);
    for (unsigned i = 0; status == 0 && i < senders; i++)
        status = start_thread(jobs, spl_webhooks_run, "webhooks", ret_error);
    for (unsigned i = 0; status == 0 && i < workers; i++) {
        pthread_mutex_lock(&jobs->lock);
        jobs->working++;
        pthread_mutex_unlock(&jobs->lock);
        status = start_thread(jobs, spl_worker_run, "worker", ret_error);
        if (status < 0)
            jobs->working--;
    }
    return status;
}

int spl_jobs_start(const spl_jobs_parts *parts, spl_jobs **ret_jobs, spl_error *ret_error) {
    spl_jobs *jobs = calloc(1, sizeof(*jobs));
    if (!jobs)
        return spl_fail_memory(ret_error);
    jobs->settings = parts->settings;
    jobs->store = parts->store;
    jobs->space = parts->space;
    jobs->blobs = parts->blobs;
    jobs->models = parts->models;
    jobs->audit = parts->audit;
    jobs->auth = parts->auth;
    jobs->only_works = parts->only_works;
    jobs->stop = (spl_blob_wait){is_giving_back, jobs};
    gethostname(jobs->worker, HOST_NAME_MAX);
    snprintf(jobs->worker + strlen(jobs->worker), 12, ":%d", getpid());
    memcpy(jobs->secret, parts->secret, sizeof(jobs->secret));
    pthread_mutex_init(&jobs->lock, NULL);
    pthread_mutex_init(&jobs->looking, NULL);
    spl_clock_cond_init(&jobs->changed);
    for (size_t i = 0; i < SPL_TURN_KINDS; i++)
        spl_turns_init(&jobs->turns[i], shares[i].slots, shares[i].per_key);
    spl_peaks_cache_init(&jobs->peaks, PEAKS_KEPT_BYTES);

    int status = spl_janitor_clean_up(jobs, ret_error);
    if (status == 0)
        status = start_threads(jobs, ret_error);
    if (status < 0) {
        spl_jobs_stop(jobs, 0);
        spl_jobs_free(jobs);
        return status;
    }
    *ret_jobs = jobs;
    return 0;
}

void spl_jobs_stop(spl_jobs *jobs, unsigned drain_s) {
    const struct timespec deadline = spl_clock_in(UINT64_C(1000) * drain_s);

    pthread_mutex_lock(&jobs->lock);
    atomic_store(&jobs->draining, true);
    pthread_cond_broadcast(&jobs->changed);
    for (size_t i = 0; i < SPL_TURN_KINDS; i++)
        spl_turns_stop(&jobs->turns[i]);
    int failed = 0;
    while (!failed && jobs->working > 0)
        failed = pthread_cond_timedwait(&jobs->changed, &jobs->lock, &deadline);
    pthread_mutex_unlock(&jobs->lock);

    atomic_store(&jobs->give_back, true);
    jobs->store->functions->end_waits(jobs->store);
    for (size_t i = 0; i < jobs->thread_count; i++)
        pthread_join(jobs->threads[i], NULL);
    jobs->thread_count = 0;
}

void spl_jobs_free(spl_jobs *jobs) {
    if (!jobs)
        return;
    for (size_t i = 0; i < SPL_TURN_KINDS; i++)
        spl_turns_destroy(&jobs->turns[i]);
    spl_peaks_cache_destroy(&jobs->peaks);
    pthread_cond_destroy(&jobs->changed);
    pthread_mutex_destroy(&jobs->lock);
    pthread_mutex_destroy(&jobs->looking);
    explicit_bzero(jobs->secret, sizeof(jobs->secret));
    free(jobs->threads);
    free(jobs);
}

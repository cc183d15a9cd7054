/* SPDX-License-Identifier: MIT
 *
 * Load test of the job store. Threads behave as workers do (claim, outputs, heartbeats, end)
 * without separating anything, and clients create jobs.
 *
 *     store_load URL JOBS WORKERS HEARTBEATS [QUEUED [OWNERS]]
 *
 * It first creates QUEUED jobs that are never claimed. WORKERS threads then process JOBS jobs with
 * HEARTBEATS heartbeats each. It prints the duration of each kind of call in milliseconds.
 */
#include "base/clock.h"
#include "service/store/store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

typedef enum call { CREATE, GET, CLAIM, OUTPUT, HEARTBEAT, FINISH, STATS, CALLS } call;
static const char *const names[] = {"create",    "get",    "claim", "set_output",
                                    "heartbeat", "finish", "stats"};

static spl_store *store;
static atomic_uint to_create, done, next_id;
static unsigned heartbeats, owners = 100;
static _Atomic double spent_s[CALLS], longest_s[CALLS];
static atomic_uint calls[CALLS];

static void note(call kind, double started_s, int status, const spl_error *error) {
    const double took_s = spl_now_s() - started_s;
    if (status < 0 && status != SPL_E_NOT_FOUND)
        fprintf(stderr, "%s: %s\n", names[kind], error->message);
    double sum = atomic_load(&spent_s[kind]);
    while (!atomic_compare_exchange_weak(&spent_s[kind], &sum, sum + took_s))
        continue;
    if (took_s > atomic_load(&longest_s[kind]))
        atomic_store(&longest_s[kind], took_s);
    atomic_fetch_add(&calls[kind], 1);
}

#define TIMED(kind, function, ...)                                                                 \
    do {                                                                                           \
        const double call_s = spl_now_s();                                                         \
        status = store->functions->function(store, __VA_ARGS__);                                   \
        note(kind, call_s, status, &error);                                                        \
    } while (0)

static void create(int64_t available_ms) {
    char owner[32], model[] = "2stems", hash[65],
                    options[] = "{\"codec\":\"mp3\",\"model\":\"2stems\"}",
                    name[] = "A song of some name.mp3";
    const unsigned number = atomic_fetch_add(&next_id, 1);
    snprintf(owner, sizeof(owner), "key:%u", number % owners);
    snprintf(hash, sizeof(hash), "%064u", number);
    spl_job job = {.owner = owner,
                   .created_ms = spl_wall_ms(),
                   .available_ms = available_ms,
                   .options = options,
                   .model = model,
                   .model_sha256 = hash,
                   .input_name = name,
                   .input_sha256 = hash,
                   .cache_key = hash,
                   .input_bytes = 4 << 20,
                   .input_s = 240};
    snprintf(job.id, sizeof(job.id), "%08x-%04x-7000-8000-%012u", (unsigned)(job.created_ms >> 16),
             (unsigned)job.created_ms & 0xffff, number);
    const spl_store_create request = {.job = &job,
                                      .queue_max = 10000000,
                                      .owner_jobs_max = 10000000,
                                      .owner_bytes_max = INT64_MAX};
    spl_store_limit limit;
    spl_error error;
    int status;
    TIMED(CREATE, create, &request, &limit, &error);
}

static void *be_client(void *user) {
    (void)user;
    for (;;) {
        unsigned left = atomic_load(&to_create);
        if (left == 0)
            return NULL;
        if (atomic_compare_exchange_weak(&to_create, &left, left - 1))
            create(0);
    }
}

static void work_on(const spl_job *job) {
    spl_error error;
    int status;
    static const char *const stems[] = {"vocals", "accompaniment"};
    for (int complete = 0; complete < 2; complete++) {
        for (unsigned i = 0; complete && i < heartbeats; i++) {
            bool cancel;
            TIMED(HEARTBEAT, heartbeat, job->id, job->fence, spl_wall_ms(), 30000,
                  (double)(i + 1) / heartbeats, &cancel, &error);
        }
        for (size_t i = 0; i < SPL_ARRAY_SIZE(stems); i++) {
            spl_job_output output = {.complete = complete, .bytes = 4 << 20};
            snprintf(output.name, sizeof(output.name), "%s", stems[i]);
            snprintf(output.file, sizeof(output.file), "%s.mp3", stems[i]);
            TIMED(OUTPUT, set_output, job->id, job->fence, &output, &error);
        }
    }
    char manifest[2000];
    snprintf(manifest, sizeof(manifest), "{\"text\": \"%01900d\"}", 0);
    const spl_store_finish finish = {.state = SPL_JOB_SUCCEEDED,
                                     .now_ms = spl_wall_ms(),
                                     .expires_ms = spl_wall_ms() + 86400000,
                                     .result = manifest,
                                     .stored_bytes = 8 << 20};
    TIMED(FINISH, finish, job->id, job->fence, &finish, &error);
    spl_job seen = {0};
    TIMED(GET, get, job->owner, job->id, &seen, &error);
    spl_job_free(&seen);
}

static void *be_worker(void *user) {
    const unsigned jobs = *(const unsigned *)user;
    while (atomic_load(&done) < jobs) {
        const spl_store_claim claim = {.worker = "load",
                                       .now_ms = spl_wall_ms(),
                                       .lease_ms = 30000,
                                       .attempts_max = 3,
                                       .retention_ms = 86400000};
        spl_job job = {0};
        unsigned dead;
        spl_error error;
        int status;
        TIMED(CLAIM, claim, &claim, &job, &dead, &error);
        if (status < 0) {
            store->functions->wait_queue(store, 100);
            continue;
        }
        work_on(&job);
        spl_job_free(&job);
        atomic_fetch_add(&done, 1);
    }
    return NULL;
}

int main(int argc, char **argv) {
    pthread_t threads[1024], clients[8];
    const unsigned jobs = argc < 5 ? 0 : (unsigned)atoi(argv[2]);
    const unsigned workers = argc < 5 ? 0 : (unsigned)atoi(argv[3]);
    if (jobs == 0 || workers > SPL_ARRAY_SIZE(threads)) {
        fprintf(stderr, "usage: store_load URL JOBS WORKERS HEARTBEATS [QUEUED [OWNERS]], with up "
                        "to 1,024 workers\n");
        return 2;
    }
    const unsigned queued = argc > 5 ? (unsigned)atoi(argv[5]) : 0;
    heartbeats = (unsigned)atoi(argv[4]);
    owners = argc > 6 ? (unsigned)atoi(argv[6]) : 100;
    spl_error error;
    const spl_store_postgres options = {.url = argv[1], .connections = 64, .listens = true};
    int status = strncmp(argv[1], "postgresql:", 11) == 0
                     ? spl_store_open_postgres(&options, &store, &error)
                     : spl_store_open_sqlite(argv[1], &store, &error);
    if (status < 0) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    for (unsigned i = 0; i < queued; i++)
        create(INT64_MAX); /* never becomes available */
    for (size_t i = 0; i < CALLS; i++) {
        atomic_store(&spent_s[i], 0);
        atomic_store(&calls[i], 0);
    }
    atomic_store(&to_create, jobs);
    const double started_s = spl_now_s();
    for (size_t i = 0; i < SPL_ARRAY_SIZE(clients); i++)
        pthread_create(&clients[i], NULL, be_client, NULL);
    unsigned count = jobs;
    for (unsigned i = 0; i < workers; i++)
        pthread_create(&threads[i], NULL, be_worker, &count);
    for (size_t i = 0; i < SPL_ARRAY_SIZE(clients); i++)
        pthread_join(clients[i], NULL);
    for (unsigned i = 0; i < workers; i++)
        pthread_join(threads[i], NULL);
    const double took_s = spl_now_s() - started_s;
    spl_store_stats stats;
    TIMED(STATS, stats, &stats, &error);
    printf("%u jobs in %.1f s: %.0f jobs/s, %.0f calls/s\n", jobs, took_s, jobs / took_s,
           jobs * (heartbeats + 8.0) / took_s);
    for (size_t i = 0; i < CALLS; i++) {
        const unsigned n = atomic_load(&calls[i]);
        printf("%-10s %7u  mean %8.3f ms  longest %8.1f ms\n", names[i], n,
               n ? 1e3 * atomic_load(&spent_s[i]) / n : 0, 1e3 * atomic_load(&longest_s[i]));
    }
    store->functions->close(store);
    return 0;
}

/* SPDX-License-Identifier: MIT
 *
 * The contract of the job store, checked on every implementation. `openers` lists the
 * implementations; each test runs on each of them with a clock that it controls, in a new folder or
 * in a new schema of the PostgreSQL server that SPL_TEST_POSTGRES names.
 */
#include "folder.h"
#include "service/store/store.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

#include <cmocka.h>
#ifdef SPL_WITH_POSTGRES
#include <libpq-fe.h>
#endif

typedef int (*opener)(const char *folder, spl_store **ret_store, spl_error *ret_error);

#ifdef SPL_WITH_POSTGRES
/* Uses a schema named like the folder, and creates it if it is missing. */
static int open_postgres(const char *folder, spl_store **ret_store, spl_error *ret_error) {
    const char *server = getenv("SPL_TEST_POSTGRES"), *name = strrchr(folder, '/') + 1;
    char url[400], sql[200];
    snprintf(url, sizeof(url), "%s?options=-csearch_path%%3D%%22%s%%22", server, name);
    snprintf(sql, sizeof(sql),
             "SET client_min_messages = error; CREATE SCHEMA IF NOT EXISTS \"%s\"", name);
    PGconn *pg = PQconnectdb(server);
    PGresult *result = PQexec(pg, sql);
    assert_int_equal(PQresultStatus(result), PGRES_COMMAND_OK);
    PQclear(result);
    PQfinish(pg);
    const spl_store_postgres options = {.url = url, .connections = 8, .listens = true};
    return spl_store_open_postgres(&options, ret_store, ret_error);
}
#endif

static const struct {
    const char *name;
    opener open;
    const char *server; /* the variable without which the tests are skipped; NULL: none */
} openers[] = {
    {"SQLite", spl_store_open_sqlite, NULL},
#ifdef SPL_WITH_POSTGRES
    {"PostgreSQL", open_postgres, "SPL_TEST_POSTGRES"},
#endif
};
static opener open_store;

static char folder[256];
static bool more_to_do; /* of `expire` */
static spl_store *store;
static spl_error error;

#define CALL(function, ...) store->functions->function(store, __VA_ARGS__)
#define OK(function, ...)   assert_success(CALL(function, __VA_ARGS__, &error), #function)
#define FAILS(status, function, ...)                                                               \
    assert_int_equal(CALL(function, __VA_ARGS__, &error), SPL_E_##status)

static void assert_success(int status, const char *function) {
    if (status < 0)
        fail_msg("%s: %d: %s", function, status, error.message);
}

static void reopen(void) {
    store->functions->close(store);
    assert_success(open_store(folder, &store, &error), "open");
}

static int set_up(void **state) {
    (void)state;
    folder_make(folder, sizeof(folder));
    return open_store(folder, &store, &error);
}

/* What is counted for one owner equals the sum over its jobs. The rest are idempotency keys. */
static void check_usage(const char *owner, uint64_t active, uint64_t bytes) {
    uint64_t jobs, counted;
    OK(owner_usage, owner, &jobs, &counted);
    assert_int_equal(jobs, active);
    assert_true(counted >= bytes && (counted - bytes) % SPL_KEY_ROW_BYTES == 0);
}

/* Checks, after every test, that the counters of usage equal the sums over the jobs. */
static void check_counters(void) {
    enum { OWNERS_MAX = 64 };
    struct {
        char name[64];
        uint64_t active, bytes;
    } owners[OWNERS_MAX];
    size_t owner_count = 0;
    uint64_t stored = 0;
    char next[SPL_ID_SIZE] = "~";
    while (*next) {
        const spl_store_filter filter = {.before_id = next, .limit = 200, .examine_max = 1000};
        spl_job *jobs;
        size_t count;
        OK(list, &filter, &jobs, &count, next);
        for (size_t i = 0; i < count; i++) {
            size_t at = 0;
            while (at < owner_count && strcmp(owners[at].name, jobs[i].owner) != 0)
                at++;
            assert_true(at < OWNERS_MAX);
            if (at == owner_count) {
                memset(&owners[owner_count++], 0, sizeof(owners[0]));
                snprintf(owners[at].name, sizeof(owners[at].name), "%s", jobs[i].owner);
            }
            owners[at].active +=
                jobs[i].state == SPL_JOB_QUEUED || jobs[i].state == SPL_JOB_RUNNING;
            owners[at].bytes +=
                jobs[i].stored_bytes +
                (jobs[i].state == SPL_JOB_EXPIRED ? SPL_EXPIRED_ROW_BYTES : SPL_JOB_ROW_BYTES);
            stored += jobs[i].stored_bytes;
            spl_job_free(&jobs[i]);
        }
        free(jobs);
    }
    for (size_t i = 0; i < owner_count; i++)
        check_usage(owners[i].name, owners[i].active, owners[i].bytes);
    spl_store_stats stats;
    assert_success(store->functions->stats(store, &stats, &error), "stats");
    assert_int_equal(stats.stored_bytes, stored);
}

static int tear_down(void **state) {
    (void)state;
    check_counters();
    store->functions->close(store);
    folder_remove(folder);
    return 0;
}

/* ------------------------------------------------------------ helpers ---- */

typedef struct job_id {
    char text[SPL_ID_SIZE];
} job_id;

static atomic_uint ids_made;

/* Ids grow with time, like UUIDs version 7. */
static job_id new_id(void) {
    job_id id;
    snprintf(id.text, sizeof(id.text), "0190d5a0-0000-7000-8000-%012u",
             atomic_fetch_add(&ids_made, 1));
    return id;
}

static char *text(const char *constant) {
    return (char *)(uintptr_t)constant;
}

static spl_job plain_job(const char *owner) {
    spl_job job = {.owner = text(owner), .created_ms = 1000, .input_bytes = 100, .input_s = 10};
    const job_id id = new_id();
    memcpy(job.id, id.text, sizeof(job.id));
    return job;
}

static spl_store_create unlimited(const spl_job *job) {
    return (spl_store_create){
        .job = job, .queue_max = 1000000, .owner_jobs_max = 1000000, .owner_bytes_max = INT64_MAX};
}

static job_id create_job(const spl_job *job) {
    const spl_store_create create = unlimited(job);
    spl_store_limit limit;
    OK(create, &create, &limit);
    job_id id;
    memcpy(id.text, job->id, sizeof(id.text));
    return id;
}

static job_id create(const char *owner) {
    const spl_job job = plain_job(owner);
    return create_job(&job);
}

static const spl_store_claim usual_claim = {
    .worker = "w", .now_ms = 2000, .lease_ms = 1000, .attempts_max = 3, .retention_ms = 60000};

/* Claims at `now_ms` for 1,000 ms. Returns the job's id, or "" if there is none. */
static job_id claim(int64_t now_ms, int64_t *ret_fence) {
    spl_store_claim claim = usual_claim;
    claim.now_ms = now_ms;
    spl_job job;
    unsigned dead;
    job_id id = {""};
    int status = CALL(claim, &claim, &job, &dead, &error);
    if (status == SPL_E_NOT_FOUND)
        return id;
    assert_success(status, "claim");
    assert_int_equal(job.state, SPL_JOB_RUNNING);
    memcpy(id.text, job.id, sizeof(id.text));
    *ret_fence = job.fence;
    spl_job_free(&job);
    return id;
}

static spl_store_finish success_at(int64_t now_ms) {
    return (spl_store_finish){.state = SPL_JOB_SUCCEEDED,
                              .now_ms = now_ms,
                              .expires_ms = now_ms + 60000,
                              .result = "{}",
                              .stored_bytes = 500};
}

static spl_store_finish cancel_at(int64_t now_ms) {
    return (spl_store_finish){
        .state = SPL_JOB_CANCELED, .now_ms = now_ms, .expires_ms = now_ms + 60000};
}

static spl_job get(job_id id) {
    spl_job job;
    OK(get, NULL, id.text, &job);
    return job;
}

static spl_job_state state_of(job_id id) {
    spl_job job = get(id);
    spl_job_state state = job.state;
    spl_job_free(&job);
    return state;
}

static void assert_text(const char *actual, const char *expected) {
    if (expected)
        assert_string_equal(actual, expected);
    else
        assert_null(actual);
}

/* ------------------------------------------------------------- states ---- */

static void states_have_texts(void **state) {
    (void)state;
    static const char *const texts[] = {"queued", "running",  "succeeded",
                                        "failed", "canceled", "expired"};
    for (int i = 0; i <= SPL_JOB_EXPIRED; i++) {
        spl_job_state back = SPL_JOB_EXPIRED;
        assert_string_equal(spl_job_state_text((spl_job_state)i), texts[i]);
        assert_true(spl_job_state_from_text(texts[i], &back));
        assert_int_equal(back, i);
    }
    spl_job_state untouched = SPL_JOB_FAILED;
    assert_false(spl_job_state_from_text("Queued", &untouched));
    assert_false(spl_job_state_from_text("", &untouched));
    assert_int_equal(untouched, SPL_JOB_FAILED);
}

static void life_of_a_job(void **state) {
    (void)state;
    spl_job made = plain_job("key:a");
    made.priority = -3;
    made.created_ms = 1234567890123;
    made.options = text("{\"model\":\"4stems\"}");
    made.model = text("4stems");
    made.model_sha256 = text("abc");
    made.input_name = text("Björk - Jóga.mp3");
    made.input_sha256 = text("def");
    made.input_bytes = (uint64_t)5 << 32;
    made.input_s = 305.25;
    made.cache_key = text("key");
    made.metadata = text("{\"a\": \"'; DROP TABLE jobs; --\"}");
    made.webhook_url = text("https://example.com/hook");
    made.request_id = text("request");
    made.traceparent = text("00-1-2-01");
    const job_id id = create_job(&made);

    spl_job job = get(id);
    assert_int_equal(job.state, SPL_JOB_QUEUED);
    assert_text(job.owner, made.owner);
    assert_int_equal(job.priority, -3);
    assert_int_equal(job.created_ms, made.created_ms);
    assert_text(job.options, made.options);
    assert_text(job.model, made.model);
    assert_text(job.model_sha256, made.model_sha256);
    assert_text(job.input_name, made.input_name);
    assert_text(job.input_sha256, made.input_sha256);
    assert_int_equal(job.input_bytes, made.input_bytes);
    assert_true(job.input_s == made.input_s);
    assert_text(job.cache_key, made.cache_key);
    assert_text(job.metadata, made.metadata);
    assert_text(job.webhook_url, made.webhook_url);
    assert_text(job.request_id, made.request_id);
    assert_text(job.traceparent, made.traceparent);
    assert_text(job.result, NULL);
    assert_int_equal(job.attempts, 0);
    assert_int_equal(job.started_ms, 0);
    assert_int_equal(job.stored_bytes, made.input_bytes);
    int64_t version = job.version;
    spl_job_free(&job);
    assert_null(job.owner);

    unsigned dead;
    OK(claim, &usual_claim, &job, &dead);
    assert_string_equal(job.id, id.text);
    assert_int_equal(job.state, SPL_JOB_RUNNING);
    assert_int_equal(job.started_ms, usual_claim.now_ms);
    assert_int_equal(job.attempts, 1);
    assert_true(job.version > version);
    assert_text(job.metadata, made.metadata);
    version = job.version;
    const int64_t fence = job.fence;
    spl_job_free(&job);

    bool cancel = true;
    OK(heartbeat, id.text, fence, 2500, 1000, 0.25, &cancel);
    assert_false(cancel);
    spl_job_output vocals = {
        .name = "vocals", .file = "vocals.wav", .samples = 44100, .peak_dbfs = -INFINITY};
    spl_job_output bass = {.name = "bass", .file = "bass.wav", .clipped = 3, .peak_dbfs = -0.125};
    OK(set_output, id.text, fence, &vocals);
    OK(set_output, id.text, fence, &bass);
    vocals.complete = true;
    vocals.bytes = 88244;
    snprintf(vocals.sha256, sizeof(vocals.sha256), "%064d", 7);
    OK(set_output, id.text, fence, &vocals);
    job = get(id);
    assert_true(job.progress == 0.25);
    assert_true(job.version > version);
    version = job.version;
    assert_int_equal(job.output_count, 2);
    assert_string_equal(job.outputs[0].name, "vocals");
    assert_string_equal(job.outputs[0].file, "vocals.wav");
    assert_true(job.outputs[0].complete);
    assert_int_equal(job.outputs[0].bytes, 88244);
    assert_int_equal(job.outputs[0].samples, 44100);
    assert_string_equal(job.outputs[0].sha256, vocals.sha256);
    assert_true(job.outputs[0].peak_dbfs == -INFINITY);
    assert_string_equal(job.outputs[1].name, "bass");
    assert_false(job.outputs[1].complete);
    assert_int_equal(job.outputs[1].clipped, 3);
    assert_true(job.outputs[1].peak_dbfs == -0.125);
    spl_job_free(&job);

    spl_delivery delivery = {.id = "delivery",
                             .owner = text("key:a"),
                             .url = text("https://example.com/hook"),
                             .payload = text("{}"),
                             .next_ms = 2600};
    memcpy(delivery.job, id.text, sizeof(delivery.job));
    spl_store_finish finish = success_at(2600);
    finish.result = "{\"samples\":44100}";
    finish.warning = "ends early";
    finish.delivery = &delivery;
    OK(finish, id.text, fence, &finish);
    reopen();
    job = get(id);
    assert_int_equal(job.state, SPL_JOB_SUCCEEDED);
    assert_int_equal(job.finished_ms, 2600);
    assert_int_equal(job.expires_ms, 62600);
    assert_text(job.result, finish.result);
    assert_text(job.warning, finish.warning);
    assert_int_equal(job.stored_bytes, 500);
    assert_int_equal(job.output_count, 2);
    assert_true(job.progress == 1);
    assert_true(job.version > version);
    spl_job_free(&job);

    spl_job *listed;
    size_t count;
    char more[SPL_ID_SIZE];
    OK(list, (&(spl_store_filter){.owner = made.owner, .limit = 1, .examine_max = 9}), &listed,
       &count, more);
    assert_int_equal(count, 1);
    assert_text(listed[0].warning, finish.warning);
    assert_text(listed[0].result, NULL);
    spl_job_free(&listed[0]);
    free(listed);
    int64_t next;
    spl_delivery sent;
    OK(delivery_claim, 2600, 1000, "", "", &sent, &next);
    assert_string_equal(sent.id, "delivery");
    assert_string_equal(sent.job, id.text);
    assert_text(sent.payload, "{}");
    spl_delivery_free(&sent);

    FAILS(CANCELED, finish, id.text, fence, &finish);
    OK(remove, "key:a", id.text);
    FAILS(NOT_FOUND, get, NULL, id.text, &job);
    FAILS(NOT_FOUND, remove, NULL, id.text);
}

/* A job ends with an error, and its outputs are dropped. */
static void failure(void **state) {
    (void)state;
    int64_t fence = 0;
    const job_id id = create("a");
    assert_string_equal(claim(2000, &fence).text, id.text);
    OK(set_output, id.text, fence, &(spl_job_output){.name = "vocals", .file = "vocals.wav"});
    const spl_store_finish finish = {.state = SPL_JOB_FAILED,
                                     .now_ms = 2100,
                                     .expires_ms = 5000,
                                     .error_code = "unreadable-audio",
                                     .error_detail = "It is noise"};
    OK(finish, id.text, fence, &finish);
    spl_job job = get(id);
    assert_int_equal(job.state, SPL_JOB_FAILED);
    assert_text(job.error_code, finish.error_code);
    assert_text(job.error_detail, finish.error_detail);
    assert_false(job.dead_letter);
    assert_int_equal(job.output_count, 0);
    assert_int_equal(job.stored_bytes, 0);
    spl_job_free(&job);
}

static void owners_do_not_see_each_other(void **state) {
    (void)state;
    const job_id id = create("a");
    const spl_store_finish finish = cancel_at(2000);
    spl_job job;
    bool now;
    FAILS(NOT_FOUND, get, "b", id.text, &job);
    FAILS(NOT_FOUND, cancel, "b", id.text, &finish, &now);
    FAILS(NOT_FOUND, remove, "b", id.text);
    FAILS(NOT_FOUND, get, "a", "x' OR '1'='1", &job);
    assert_int_equal(state_of(id), SPL_JOB_QUEUED);
    OK(get, "a", id.text, &job);
    spl_job_free(&job);

    spl_job *jobs;
    size_t count;
    char more[SPL_ID_SIZE];
    const spl_store_filter filter = {.owner = "b", .limit = 10, .examine_max = 9};
    OK(list, &filter, &jobs, &count, more);
    assert_int_equal(count, 0);
    free(jobs);
}

/* ------------------------------------------------------------ working ---- */

/* A worker whose lease is lost can no longer change the job. */
static void fencing(void **state) {
    (void)state;
    for (int i = 0; i < 100; i++) {
        const int64_t now = 10000 * (i + 1);
        int64_t stale = 0, fresh = 0;
        const job_id id = create("a");
        assert_string_equal(claim(now, &stale).text, id.text);
        OK(set_output, id.text, stale, &(spl_job_output){.name = "vocals", .file = "old.wav"});
        assert_string_equal(claim(now + 1000, &fresh).text, id.text);
        assert_true(fresh > stale);

        spl_job before = get(id);
        const spl_store_finish finish = success_at(now + 1001);
        bool cancel;
        FAILS(CANCELED, heartbeat, id.text, stale, now + 1001, 1000, 0.5, &cancel);
        FAILS(CANCELED, set_output, id.text, stale,
              &(spl_job_output){.name = "vocals", .file = "old.wav"});
        FAILS(CANCELED, finish, id.text, stale, &finish);
        FAILS(CANCELED, release, id.text, stale, 0, true);
        spl_job after = get(id);
        assert_int_equal(after.version, before.version);
        assert_int_equal(after.state, SPL_JOB_RUNNING);
        assert_int_equal(after.output_count, 0);
        spl_job_free(&before);
        spl_job_free(&after);

        OK(finish, id.text, fresh, &finish);
        FAILS(CANCELED, finish, id.text, stale, &finish);
        assert_int_equal(state_of(id), SPL_JOB_SUCCEEDED);
    }
}

static void leases_run_out(void **state) {
    (void)state;
    const job_id id = create("a");
    int64_t fence = 0, other = 0;
    assert_string_equal(claim(2000, &fence).text, id.text);
    assert_string_equal(claim(2999, &other).text, "");
    bool cancel;
    OK(heartbeat, id.text, fence, 2999, 1000, 0, &cancel);
    assert_string_equal(claim(3998, &other).text, "");

    /* The lease has expired, although no other worker has claimed the job. */
    const spl_store_finish late = success_at(3999), in_time = success_at(3998);
    FAILS(CANCELED, heartbeat, id.text, fence, 3999, 1000, 0, &cancel);
    FAILS(CANCELED, finish, id.text, fence, &late);
    assert_int_equal(state_of(id), SPL_JOB_RUNNING);
    OK(finish, id.text, fence, &in_time);

    const job_id second = create("a");
    assert_string_equal(claim(5000, &fence).text, second.text);
    assert_string_equal(claim(6000, &other).text, second.text);
    spl_job job = get(second);
    assert_int_equal(job.attempts, 2);
    assert_int_equal(job.started_ms, 6000);
    spl_job_free(&job);
}

static void retries_wait(void **state) {
    (void)state;
    const job_id id = create("a");
    int64_t fence = 0;
    assert_string_equal(claim(2000, &fence).text, id.text);
    OK(release, id.text, fence, 9000, true);
    FAILS(CANCELED, release, id.text, fence, 9000, true);
    spl_job job = get(id);
    assert_int_equal(job.state, SPL_JOB_QUEUED);
    assert_int_equal(job.available_ms, 9000);
    assert_int_equal(job.started_ms, 0);
    spl_job_free(&job);
    assert_string_equal(claim(8999, &fence).text, "");
    const job_id other = create("a");
    assert_string_equal(claim(8999, &fence).text, other.text);
    assert_string_equal(claim(9000, &fence).text, id.text);
}

/* After a restart with a clock that was set back, waiting jobs and deliveries do not wait until the
 * old time. */
static void a_clock_that_was_set_back(void **state) {
    (void)state;
    const int64_t before_ms = 100000000, after_ms = 1000000;
    spl_job job = plain_job("a");
    job.created_ms = job.available_ms = before_ms;
    job.webhook_url = text("https://example.com");
    const job_id id = create_job(&job);
    int64_t fence = 0, next;
    assert_string_equal(claim(before_ms, &fence).text, id.text);
    uint64_t rescued;
    OK(rescue, before_ms, &rescued);
    assert_string_equal(claim(after_ms, &fence).text, id.text);
    /* The longest wait of a job. */
    OK(release, id.text, fence, after_ms + 60000, true);
    assert_string_equal(claim(after_ms, &fence).text, "");
    assert_string_equal(claim(after_ms + 60000, &fence).text, id.text);

    const spl_delivery delivery = {.id = "d",
                                   .job = "j",
                                   .owner = text("a"),
                                   .url = text("u"),
                                   .payload = text("{}"),
                                   .next_ms = before_ms};
    spl_store_finish finish = success_at(after_ms + 60000);
    finish.delivery = &delivery;
    OK(finish, id.text, fence, &finish);
    spl_delivery taken;
    OK(delivery_claim, after_ms, 1000, "", "", &taken, &next);
    spl_delivery_free(&taken);
    FAILS(NOT_FOUND, delivery_claim, after_ms, 1000, "", "", &taken, &next);
}

/* However its attempts are lost, a job starts `max` times, plus once if its worker was lost, and
 * then becomes a dead letter. Other jobs are not delayed. */
static void attempts_are_counted(void **state) {
    (void)state;
    enum { BY_LEASE, BY_RELEASE, BY_CRASH, WAYS };
    for (int way = 0; way < WAYS; way++) {
        for (unsigned max = 1; max <= 5; max++) {
            spl_job poison = plain_job("a");
            poison.webhook_url = text("https://example.com");
            const job_id id = create_job(&poison);
            spl_store_claim claim = usual_claim;
            claim.attempts_max = max;
            unsigned begun = 0, dead = 0;
            for (;;) {
                claim.now_ms += 1000;
                spl_job job;
                int status = CALL(claim, &claim, &job, &dead, &error);
                if (status == SPL_E_NOT_FOUND)
                    break;
                assert_success(status, "claim");
                begun++;
                assert_int_equal(job.attempts, begun);
                assert_int_equal(dead, 0);
                uint64_t rescued;
                if (way == BY_RELEASE)
                    OK(release, id.text, job.fence, 0, true);
                else if (way == BY_CRASH)
                    OK(rescue, claim.now_ms, &rescued);
                spl_job_free(&job);
            }
            /* The first loss of a worker does not count. */
            assert_int_equal(begun, way == BY_RELEASE ? max : max + 1);
            assert_int_equal(dead, 1);
            spl_job job = get(id);
            assert_int_equal(job.state, SPL_JOB_FAILED);
            assert_true(job.dead_letter);
            assert_text(job.error_code, "attempts-exhausted");
            assert_non_null(job.error_detail);
            assert_int_equal(job.finished_ms, claim.now_ms);
            assert_int_equal(job.expires_ms, claim.now_ms + claim.retention_ms);
            assert_int_equal(job.stored_bytes, poison.input_bytes);
            spl_job_free(&job);
            spl_delivery delivery;
            int64_t next;
            OK(delivery_claim, claim.now_ms, 1000, "", "", &delivery, &next);
            assert_string_equal(delivery.job, id.text);
            assert_text(delivery.url, "https://example.com");
            assert_null(delivery.payload);
            OK(delivery_done, delivery.id);
            spl_delivery_free(&delivery);
        }
    }
    /* A claim that ends a dead letter also returns the next job. */
    create("a");
    int64_t fence = 0;
    for (int i = 1; i <= 4; i++)
        claim(1000000 + i * 1000, &fence);
    const job_id good = create("a");
    spl_store_claim last = usual_claim;
    last.now_ms = 2000000;
    spl_job job;
    unsigned dead;
    OK(claim, &last, &job, &dead);
    assert_string_equal(job.id, good.text);
    assert_int_equal(dead, 1);
    spl_job_free(&job);
}

static void giving_back_counts_no_attempt(void **state) {
    (void)state;
    const job_id id = create("a");
    int64_t fence = 0;
    for (int i = 0; i < 10; i++) {
        assert_string_equal(claim(2000, &fence).text, id.text);
        OK(release, id.text, fence, 0, false);
    }
    spl_job job = get(id);
    assert_int_equal(job.attempts, 0);
    assert_int_equal(job.fence, 10);
    spl_job_free(&job);
}

static void rescue_after_a_crash(void **state) {
    (void)state;
    const job_id running = create("a"), canceling = create("b"), queued = create("c");
    int64_t fence = 0;
    assert_string_equal(claim(2000, &fence).text, running.text);
    OK(set_output, running.text, fence, &(spl_job_output){.name = "vocals", .file = "vocals.wav"});
    assert_string_equal(claim(2000, &fence).text, canceling.text);
    const spl_store_finish finish = cancel_at(2100);
    bool now = true;
    OK(cancel, NULL, canceling.text, &finish, &now);
    assert_false(now);
    reopen();
    uint64_t rescued;
    OK(rescue, 2200, &rescued);
    assert_int_equal(rescued, 2);
    spl_job job = get(running);
    assert_int_equal(job.state, SPL_JOB_QUEUED);
    assert_int_equal(job.attempts, 1);
    assert_int_equal(job.output_count, 0);
    spl_job_free(&job);
    assert_string_equal(claim(2300, &fence).text, running.text);
    assert_string_equal(claim(2300, &fence).text, ""); /* a suspect runs alone */
    assert_int_equal(state_of(canceling), SPL_JOB_CANCELED);
    spl_store_finish done = success_at(2400);
    OK(finish, running.text, fence, &done);
    assert_string_equal(claim(2400, &fence).text, queued.text);
}

/* Only the job that crashes its process fails, even if other jobs ran beside it. */
static void a_crash_ends_no_job_of_others(void **state) {
    (void)state;
    const job_id poison = create("a"), others[] = {create("b"), create("c")};
    int64_t fence = 0, now_ms = 2000;
    uint64_t rescued;
    for (int i = 0; i < 3; i++)
        assert_true(claim(now_ms, &fence).text[0]);
    OK(rescue, now_ms, &rescued);
    assert_int_equal(rescued, 3);
    unsigned crashes = 1, done = 0;
    for (job_id id; (id = claim(now_ms, &fence)).text[0];) {
        int64_t none;
        /* Nothing runs beside a suspect. */
        assert_string_equal(claim(now_ms, &none).text, "");
        if (strcmp(id.text, poison.text) == 0) {
            OK(rescue, now_ms, &rescued);
            assert_int_equal(rescued, 1);
            crashes++;
        } else {
            const spl_store_finish finish = success_at(now_ms);
            OK(finish, id.text, fence, &finish);
            done++;
        }
    }
    assert_int_equal(crashes, 1 + usual_claim.attempts_max);
    assert_int_equal(state_of(poison), SPL_JOB_FAILED);
    assert_int_equal(done, SPL_ARRAY_SIZE(others));
}

/* A suspect waits until its process runs nothing else, and that process starts nothing meanwhile.
 * Other processes are not delayed. */
static void a_suspect_runs_alone(void **state) {
    (void)state;
    const job_id suspect = create("a"), other = create("b"), third = create("c");
    int64_t fence = 0, of_other;
    assert_string_equal(claim(1000, &fence).text, suspect.text);
    assert_string_equal(claim(1999, &of_other).text, other.text);
    assert_string_equal(claim(2000, &fence).text, ""); /* the first lease has expired */
    const spl_store_claim elsewhere = {
        .worker = "x", .now_ms = 2001, .lease_ms = 1000, .attempts_max = 3};
    spl_job job;
    unsigned dead;
    OK(claim, &elsewhere, &job, &dead);
    assert_string_equal(job.id, suspect.text);
    assert_true(job.suspect);
    spl_job_free(&job);
    FAILS(NOT_FOUND, claim, &elsewhere, &job, &dead);
    assert_string_equal(claim(2002, &fence).text, third.text);
}

static void canceling(void **state) {
    (void)state;
    const spl_store_finish finish = cancel_at(2500);
    const job_id first = create("a"), second = create("a");
    bool now = false, cancel = false;
    OK(cancel, "a", second.text, &finish, &now);
    assert_true(now);
    assert_int_equal(state_of(second), SPL_JOB_CANCELED);

    int64_t fence = 0;
    assert_string_equal(claim(2000, &fence).text, first.text);
    OK(cancel, "a", first.text, &finish, &now);
    assert_false(now);
    assert_int_equal(state_of(first), SPL_JOB_RUNNING);
    OK(heartbeat, first.text, fence, 2100, 1000, 0, &cancel);
    assert_true(cancel);
    OK(finish, first.text, fence, &finish);
    assert_int_equal(state_of(first), SPL_JOB_CANCELED);
    FAILS(ARGUMENT, cancel, "a", first.text, &finish, &now);
    FAILS(ARGUMENT, cancel, "a", second.text, &finish, &now);
}

static void removing_a_running_job(void **state) {
    (void)state;
    const job_id id = create("a");
    int64_t fence = 0;
    bool cancel;
    assert_string_equal(claim(2000, &fence).text, id.text);
    OK(remove, "a", id.text);
    const spl_store_finish finish = success_at(2100);
    FAILS(CANCELED, heartbeat, id.text, fence, 2100, 1000, 0.5, &cancel);
    FAILS(CANCELED, finish, id.text, fence, &finish);
    spl_job job;
    FAILS(NOT_FOUND, get, NULL, id.text, &job);
}

/* ---------------------------------------------------- order of claims ---- */

/* A model of the queue, made of plain arrays and loops. */
typedef struct model_job {
    job_id id;
    unsigned owner, attempts;
    int priority;
    spl_job_state state;
    bool cancel, dead, gone, suspect;
    int64_t available_ms, lease_until_ms, fence, expires_ms;
} model_job;

enum { OWNERS = 4, MODEL_JOBS = 300, MODEL_STEPS = 4000, MODEL_ATTEMPTS = 3 };

static const char *const owner_names[OWNERS] = {"a", "b", "c", "d"};

static unsigned random_below(unsigned *seed, unsigned end) {
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 8) % end;
}

static void model_end(model_job *job, int64_t now_ms, spl_job_state state) {
    job->state = state;
    job->expires_ms = now_ms + usual_claim.retention_ms;
}

/* The cleanup at the start of a claim. */
static void model_sweep(model_job *jobs, unsigned count, int64_t now_ms) {
    for (unsigned i = 0; i < count; i++) {
        model_job *job = &jobs[i];
        if (job->gone)
            continue;
        if (job->state == SPL_JOB_RUNNING && job->lease_until_ms <= now_ms) {
            job->state = SPL_JOB_QUEUED;
            job->available_ms = now_ms;
            job->suspect = true;
        }
        if (job->state == SPL_JOB_QUEUED &&
            (job->cancel || job->attempts - job->suspect >= MODEL_ATTEMPTS)) {
            job->dead = !job->cancel;
            model_end(job, now_ms, job->cancel ? SPL_JOB_CANCELED : SPL_JOB_FAILED);
        }
    }
}

static model_job *model_next(model_job *jobs, unsigned count, const unsigned *last_claims,
                             int64_t now_ms) {
    model_job *best = NULL;
    bool runs = false, runs_suspect = false;
    for (unsigned i = 0; i < count; i++) {
        model_job *job = &jobs[i];
        if (!job->gone && job->state == SPL_JOB_RUNNING) {
            runs = true;
            runs_suspect = runs_suspect || job->suspect;
        }
        if (job->gone || job->state != SPL_JOB_QUEUED || job->available_ms > now_ms)
            continue;
        if (!best || job->suspect > best->suspect ||
            (job->suspect == best->suspect &&
             (job->priority > best->priority ||
              (job->priority == best->priority &&
               last_claims[job->owner] < last_claims[best->owner]))))
            best = job; /* the first, hence oldest, of its owner */
    }
    return runs_suspect || (runs && best && best->suspect) ? NULL : best;
}

static void check_against_model(const model_job *jobs, unsigned count) {
    uint64_t queued = 0, running = 0;
    for (unsigned i = 0; i < count; i++) {
        const model_job *expected = &jobs[i];
        spl_job job;
        if (expected->gone) {
            FAILS(NOT_FOUND, get, NULL, expected->id.text, &job);
            continue;
        }
        job = get(expected->id);
        assert_int_equal(job.state, expected->state);
        assert_int_equal(job.attempts, expected->attempts);
        assert_int_equal(job.fence, expected->fence);
        assert_int_equal(job.dead_letter, expected->dead);
        assert_int_equal(job.cancel_requested, expected->cancel);
        queued += job.state == SPL_JOB_QUEUED;
        running += job.state == SPL_JOB_RUNNING;
        spl_job_free(&job);
    }
    spl_store_stats stats;
    assert_success(store->functions->stats(store, &stats, &error), "stats");
    assert_int_equal(stats.queued, queued);
    assert_int_equal(stats.running, running);
}

/* The store and the model give the same results for random operations. */
static void random_operations_against_a_model(void **state) {
    (void)state;
    static model_job jobs[MODEL_JOBS];
    unsigned count = 0, seed = 42, claims = 0, last_claims[OWNERS] = {0};
    int64_t now_ms = 10000;
    for (int step = 0; step < MODEL_STEPS; step++) {
        now_ms += random_below(&seed, 30);
        model_job *job = count ? &jobs[random_below(&seed, count)] : NULL;
        const bool held = job && !job->gone && job->state == SPL_JOB_RUNNING;
        const bool holds_lease = held && job->lease_until_ms > now_ms;
        bool flag;
        switch (random_below(&seed, 12)) {
        case 0:
        case 1:
            if (count < MODEL_JOBS) {
                spl_job made = plain_job(owner_names[random_below(&seed, OWNERS)]);
                made.priority = (int)random_below(&seed, 3) - 1;
                jobs[count++] = (model_job){.id = create_job(&made),
                                            .owner = (unsigned)(made.owner[0] - 'a'),
                                            .priority = made.priority};
            }
            break;
        case 2:
        case 3:
        case 4: {
            int64_t fence = 0;
            const job_id id = claim(now_ms, &fence);
            model_sweep(jobs, count, now_ms);
            model_job *next = model_next(jobs, count, last_claims, now_ms);
            assert_string_equal(id.text, next ? next->id.text : "");
            if (next) {
                next->state = SPL_JOB_RUNNING;
                next->attempts++;
                next->fence++;
                next->lease_until_ms = now_ms + 1000;
                last_claims[next->owner] = ++claims;
                assert_int_equal(fence, next->fence);
            }
            break;
        }
        case 5:
        case 6:
            if (job && !job->gone) {
                int status =
                    CALL(heartbeat, job->id.text, job->fence, now_ms, 1000, 0.5, &flag, &error);
                assert_int_equal(status, holds_lease ? 0 : SPL_E_CANCELED);
                if (holds_lease) {
                    job->lease_until_ms = now_ms + 1000;
                    assert_int_equal(flag, job->cancel);
                }
            }
            break;
        case 7:
        case 8:
            if (job && !job->gone) {
                const spl_store_finish finish = success_at(now_ms);
                int status = CALL(finish, job->id.text, job->fence, &finish, &error);
                assert_int_equal(status, holds_lease ? 0 : SPL_E_CANCELED);
                if (holds_lease)
                    model_end(job, now_ms, SPL_JOB_SUCCEEDED);
            }
            break;
        case 9:
            if (job && !job->gone) {
                const bool counts = random_below(&seed, 2);
                const int64_t available_ms = now_ms + random_below(&seed, 500);
                int status = CALL(release, job->id.text, job->fence, available_ms, counts, &error);
                assert_int_equal(status, held ? 0 : SPL_E_CANCELED);
                if (held) {
                    job->state = SPL_JOB_QUEUED;
                    job->available_ms = available_ms;
                    job->attempts -= !counts;
                }
            }
            break;
        case 10:
            if (job && !job->gone && random_below(&seed, 3) == 0) {
                const spl_store_finish finish = cancel_at(now_ms);
                int status = CALL(cancel, NULL, job->id.text, &finish, &flag, &error);
                if (job->state == SPL_JOB_QUEUED)
                    model_end(job, now_ms, SPL_JOB_CANCELED);
                else if (held)
                    job->cancel = true;
                else
                    assert_int_equal(status, SPL_E_ARGUMENT);
            }
            break;
        case 11:
            if (job && !job->gone && random_below(&seed, 10) == 0) {
                OK(remove, NULL, job->id.text);
                job->gone = true;
            } else {
                char(*ids)[SPL_ID_SIZE];
                size_t expired;
                OK(expire, now_ms, 1000000000, 200, &ids, &expired, &more_to_do);
                for (unsigned i = 0; i < count; i++) {
                    if (!jobs[i].gone && jobs[i].expires_ms > 0 && jobs[i].expires_ms <= now_ms &&
                        jobs[i].state != SPL_JOB_EXPIRED) {
                        jobs[i].state = SPL_JOB_EXPIRED;
                        expired--;
                    }
                }
                assert_int_equal(expired, 0);
                free(ids);
            }
            break;
        }
        if (step % 500 == 0)
            check_against_model(jobs, count);
    }
    check_against_model(jobs, count);
    assert_int_equal(count, MODEL_JOBS);
}

/* An owner with many jobs does not delay the other owners. */
static void fair_share(void **state) {
    (void)state;
    for (int i = 0; i < 6; i++)
        create("many");
    const job_id few = create("few");
    create("some");
    create("some");
    static const char *const turns[] = {"many", "few",  "some", "many", "some",
                                        "many", "many", "many", "many"};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(turns); i++) {
        spl_job job;
        unsigned dead;
        OK(claim, &usual_claim, &job, &dead);
        assert_text(job.owner, turns[i]);
        spl_job_free(&job);
    }
    assert_int_equal(state_of(few), SPL_JOB_RUNNING);

    /* Priority comes before fairness. */
    spl_job urgent = plain_job("many");
    urgent.priority = 5;
    create("few");
    const job_id id = create_job(&urgent);
    int64_t fence;
    assert_string_equal(claim(2000, &fence).text, id.text);
}

/* Jobs are claimed in the order that queue_position predicts. */
static void queue_position(void **state) {
    (void)state;
    enum { JOBS = 40 };
    job_id ids[JOBS];
    unsigned seed = 7;
    int64_t fence;
    create("b");
    claim(2000, &fence);
    for (unsigned i = 0; i < JOBS; i++) {
        spl_job job = plain_job(owner_names[random_below(&seed, OWNERS)]);
        job.input_s = 1 + i;
        ids[i] = create_job(&job);
    }
    bool cancel;
    uint64_t before[JOBS];
    double audio_s[JOBS];
    for (unsigned i = 0; i < JOBS; i++)
        OK(queue_position, ids[i].text, &before[i], &audio_s[i]);
    double audio_so_far_s = 10; /* of the running job */
    for (unsigned turn = 0; turn < JOBS; turn++) {
        const job_id id = claim(2001, &fence);
        unsigned i = 0;
        while (strcmp(ids[i].text, id.text) != 0)
            assert_true(++i < JOBS);
        assert_int_equal(before[i], turn);
        assert_true(fabs(audio_s[i] - audio_so_far_s) < 1e-9);
        audio_so_far_s += 1 + i;
    }
    /* All jobs are running now; a quarter of one is done. */
    const job_id last = create("z");
    uint64_t waits = 9;
    double wait_s = 0;
    OK(queue_position, last.text, &waits, &wait_s);
    assert_int_equal(waits, 0);
    assert_true(fabs(wait_s - audio_so_far_s) < 1e-9);
    spl_job first = get(ids[0]);
    OK(heartbeat, ids[0].text, first.fence, 2002, 1000, 0.25, &cancel);
    spl_job_free(&first);
    OK(queue_position, last.text, &waits, &wait_s);
    assert_true(fabs(wait_s - (audio_so_far_s - 0.25)) < 1e-9);
    OK(queue_position, ids[0].text, &waits, &wait_s);
    assert_int_equal(waits, 0);
    assert_true(wait_s == 0);
    FAILS(NOT_FOUND, queue_position, "nothing", &waits, &wait_s);

    spl_job urgent = plain_job("y");
    urgent.priority = 1;
    create_job(&urgent);
    OK(queue_position, last.text, &waits, &wait_s);
    assert_int_equal(waits, 1);
}

/* ------------------------------------------------------------- limits ---- */

static void limits(void **state) {
    (void)state;
    spl_job job = plain_job("a");
    spl_store_create create = unlimited(&job);
    spl_store_limit limit = SPL_LIMIT_NONE;
    create.queue_max = 0;
    FAILS(LIMIT, create, &create, &limit);
    assert_int_equal(limit, SPL_LIMIT_QUEUE);
    create = unlimited(&job);
    create.owner_jobs_max = 0;
    FAILS(LIMIT, create, &create, &limit);
    assert_int_equal(limit, SPL_LIMIT_OWNER_JOBS);
    create = unlimited(&job);
    create.owner_bytes_max = SPL_JOB_ROW_BYTES + 99;
    FAILS(LIMIT, create, &create, &limit);
    assert_int_equal(limit, SPL_LIMIT_OWNER_BYTES);
    create.owner_bytes_max = SPL_JOB_ROW_BYTES + 100;
    OK(create, &create, &limit);
    assert_int_equal(limit, SPL_LIMIT_NONE);

    uint64_t jobs, bytes;
    OK(owner_usage, "a", &jobs, &bytes);
    assert_int_equal(jobs, 1);
    assert_int_equal(bytes, SPL_JOB_ROW_BYTES + 100);
    OK(owner_usage, "b", &jobs, &bytes);
    assert_int_equal(jobs + bytes, 0);

    /* Jobs of other owners do not count; ended jobs count with their bytes only. */
    job = plain_job("b");
    create = unlimited(&job);
    create.owner_bytes_max = SPL_JOB_ROW_BYTES + 100;
    create.owner_jobs_max = 1;
    create.queue_max = 2;
    OK(create, &create, &limit);
    int64_t fence;
    const job_id id = claim(2000, &fence);
    spl_store_finish finish = success_at(2001);
    finish.stored_bytes = 90;
    OK(finish, id.text, fence, &finish);
    OK(owner_usage, "a", &jobs, &bytes);
    assert_int_equal(jobs, 0);
    assert_int_equal(bytes, SPL_JOB_ROW_BYTES + 90);

    /* The queue limit does not apply to a reused result. */
    job = plain_job("c");
    job.state = SPL_JOB_SUCCEEDED;
    job.stored_bytes = 7;
    create = unlimited(&job);
    create.queue_max = 0;
    create.owner_bytes_max = SPL_JOB_ROW_BYTES + 6;
    FAILS(LIMIT, create, &create, &limit);
    assert_int_equal(limit, SPL_LIMIT_OWNER_BYTES);
    create.owner_bytes_max = SPL_JOB_ROW_BYTES + 7;
    create.owner_jobs_max = 0; /* the owner's limit does, however */
    FAILS(LIMIT, create, &create, &limit);
    assert_int_equal(limit, SPL_LIMIT_OWNER_JOBS);
    create.owner_jobs_max = 1;
    OK(create, &create, &limit);
    spl_store_stats stats;
    assert_success(store->functions->stats(store, &stats, &error), "stats");
    assert_int_equal(stats.stored_bytes, 90 + 100 + 7);
    assert_int_equal(stats.queued, 1);
    uint64_t queued;
    OK(queue_length, &queued);
    assert_int_equal(queued, 1);
    assert_int_equal(stats.oldest_queued_ms, 1000);
}

/* Deliveries outlive their jobs, so jobs that are canceled and deleted at once could pile them up.
 */
static void webhooks_of_deleted_jobs_are_limited(void **state) {
    (void)state;
    spl_store_limit limit;
    for (int i = 0; i < 3; i++) {
        spl_job job = plain_job("a");
        job.webhook_url = text("u");
        spl_delivery delivery = {.owner = job.owner, .url = job.webhook_url};
        memcpy(delivery.id, job.id, sizeof(delivery.id));
        memcpy(delivery.job, job.id, sizeof(delivery.job));
        spl_store_create create = unlimited(&job);
        create.owner_jobs_max = 2;
        if (i == 2) {
            FAILS(LIMIT, create, &create, &limit);
            assert_int_equal(limit, SPL_LIMIT_OWNER_JOBS);
            job.webhook_url = NULL;
            OK(create, &create, &limit);
            break;
        }
        OK(create, &create, &limit);
        spl_store_finish finish = cancel_at(2000);
        finish.delivery = &delivery;
        bool now;
        OK(cancel, "a", job.id, &finish, &now);
        OK(remove, "a", job.id);
    }
}

/* A reused result costs no work, so only this limit bounds the number of its webhooks. */
static void webhooks_of_reused_results_are_limited(void **state) {
    (void)state;
    spl_job job = plain_job("a");
    job.state = SPL_JOB_SUCCEEDED;
    spl_delivery delivery = {.id = "1", .job = "j", .owner = text("a"), .url = text("u")};
    job.webhook_url = delivery.url;
    spl_store_create create = unlimited(&job);
    create.owner_jobs_max = 2;
    create.delivery = &delivery;
    spl_store_limit limit;
    for (int i = 0; i < 2; i++) {
        delivery.id[0]++;
        OK(create, &create, &limit);
        const job_id id = new_id();
        memcpy(job.id, id.text, sizeof(job.id));
    }
    delivery.id[0]++;
    FAILS(LIMIT, create, &create, &limit);
    assert_int_equal(limit, SPL_LIMIT_OWNER_JOBS);
    create.delivery = NULL;
    job.webhook_url = NULL;
    OK(create, &create, &limit);
    OK(delivery_done, "2");
    const job_id id = new_id();
    memcpy(job.id, id.text, sizeof(job.id));
    job.webhook_url = delivery.url;
    create.delivery = &delivery;
    OK(create, &create, &limit);
}

static uint64_t bytes_of(const char *owner) {
    uint64_t jobs, bytes;
    OK(owner_usage, owner, &jobs, &bytes);
    return bytes;
}

/* Reused results, canceled jobs and the keys of deleted jobs could otherwise fill the database. */
static void rows_count_towards_storage(void **state) {
    (void)state;
    spl_job job = plain_job("a");
    job.state = SPL_JOB_SUCCEEDED;
    job.expires_ms = 5000;
    job.metadata = text("{\"order\":42}");
    spl_store_create create = unlimited(&job);
    create.idempotency_key = "k";
    create.fingerprint = "f";
    create.answer = "{}";
    spl_idempotency key_state;
    char *fingerprint, *answer;
    OK(idempotency_reserve, "a", "k", 1000, &key_state, &fingerprint, &answer);
    spl_store_limit limit;
    create.owner_bytes_max = SPL_JOB_ROW_BYTES + SPL_KEY_ROW_BYTES - 1;
    FAILS(LIMIT, create, &create, &limit);
    assert_int_equal(limit, SPL_LIMIT_OWNER_BYTES);
    create.owner_bytes_max++;
    OK(create, &create, &limit);
    assert_int_equal(bytes_of("a"), SPL_JOB_ROW_BYTES + SPL_KEY_ROW_BYTES);

    const spl_job waiting = plain_job("b");
    const job_id queued = create_job(&waiting);
    const spl_store_finish finish = cancel_at(2000);
    bool now;
    OK(cancel, "b", queued.text, &finish, &now);
    assert_int_equal(bytes_of("b"), SPL_JOB_ROW_BYTES);

    char(*expired)[SPL_ID_SIZE];
    size_t count;
    OK(expire, 5000, 5000, 1, &expired, &count, &more_to_do);
    assert_int_equal(count, 1);
    assert_string_equal(expired[0], job.id);
    free(expired);
    spl_job row;
    OK(get, "a", job.id, &row);
    assert_null(row.metadata);
    spl_job_free(&row);
    assert_int_equal(bytes_of("a"), SPL_EXPIRED_ROW_BYTES + SPL_KEY_ROW_BYTES);
    OK(remove, "a", job.id);
    assert_int_equal(bytes_of("a"), SPL_KEY_ROW_BYTES);
}

/* Queued jobs count with their expected output. A running job that writes more needs free storage
 * for it. */
static void outputs_are_expected(void **state) {
    (void)state;
    spl_job job = plain_job("a");
    spl_store_create create = unlimited(&job);
    spl_store_limit limit;
    create.owner_bytes_max = 2 * SPL_JOB_ROW_BYTES + 1000;
    create.output_bytes = SPL_JOB_ROW_BYTES + 901;
    FAILS(LIMIT, create, &create, &limit);
    assert_int_equal(limit, SPL_LIMIT_OWNER_BYTES);
    create.output_bytes = 400;
    OK(create, &create, &limit);
    assert_int_equal(bytes_of("a"), SPL_JOB_ROW_BYTES + 500);
    spl_job second = plain_job("a");
    create.job = &second;
    OK(create, &create, &limit);
    spl_job third = plain_job("a");
    create.job = &third;
    FAILS(LIMIT, create, &create, &limit);

    int64_t fence;
    job_id id = claim(2000, &fence);
    spl_store_finish finish = success_at(2001);
    uint64_t bytes = 7;
    FAILS(LIMIT, extend, id.text, fence, 401, 500, &bytes);
    assert_int_equal(bytes, 7);
    FAILS(CANCELED, extend, id.text, fence - 1, 10, 10, &bytes);
    OK(extend, id.text, fence, 10, 20, &bytes);
    assert_int_equal(bytes, 400);
    assert_int_equal(state_of(id), SPL_JOB_RUNNING);
    OK(release, id.text, fence, 2001, true);
    assert_int_equal(bytes_of("a"), 2 * SPL_JOB_ROW_BYTES + 1000);
    id = claim(2002, &fence);
    finish.stored_bytes = 200;
    OK(finish, id.text, fence, &finish);
    assert_int_equal(bytes_of("a"), 2 * SPL_JOB_ROW_BYTES + 700);
    id = claim(2003, &fence);
    OK(extend, id.text, fence, 401, 500, &bytes);
    assert_int_equal(bytes, 500);
    assert_int_equal(bytes_of("a"), 2 * SPL_JOB_ROW_BYTES + 800);
    OK(extend, id.text, fence, 501, UINT64_MAX / 4, &bytes);
    assert_int_equal(bytes, 700);
    assert_int_equal(bytes_of("a"), 2 * SPL_JOB_ROW_BYTES + 1000);
    FAILS(LIMIT, extend, id.text, fence, 701, 701, &bytes);
    finish.stored_bytes = 700;
    OK(finish, id.text, fence, &finish);
    assert_int_equal(bytes_of("a"), 2 * SPL_JOB_ROW_BYTES + 900);
    FAILS(CANCELED, extend, id.text, fence, 1, 1, &bytes);
    finish.stored_bytes = 0;
    FAILS(CANCELED, finish, id.text, fence, &finish);
}

typedef struct creator {
    pthread_t thread;
    spl_store_create limits;
    const char *owner;
    unsigned created, refused;
} creator;

static void *create_many(void *user) {
    creator *own = user;
    for (int i = 0; i < 20; i++) {
        spl_job job = plain_job(own->owner);
        spl_store_create create = own->limits;
        create.job = &job;
        spl_store_limit limit;
        int status = store->functions->create(store, &create, &limit, NULL);
        own->created += status == 0;
        own->refused += status == SPL_E_LIMIT;
    }
    return NULL;
}

/* Concurrent creations reach a limit exactly. */
static void limits_hold_for_threads(void **state) {
    (void)state;
    enum { THREADS = 8 };
    const spl_store_create cases[] = {
        {.queue_max = 37, .owner_jobs_max = 1000, .owner_bytes_max = INT64_MAX},
        {.queue_max = 1000, .owner_jobs_max = 37, .owner_bytes_max = INT64_MAX},
        {.queue_max = 1000,
         .owner_jobs_max = 1000,
         .owner_bytes_max = 37 * (SPL_JOB_ROW_BYTES + 100) + 99}};
    static const char *const owners[] = {"x", "y", "z"};
    for (size_t c = 0; c < SPL_ARRAY_SIZE(cases); c++) {
        creator creators[THREADS];
        unsigned created = 0, refused = 0;
        for (int i = 0; i < THREADS; i++) {
            creators[i] = (creator){.limits = cases[c], .owner = owners[c]};
            pthread_create(&creators[i].thread, NULL, create_many, &creators[i]);
        }
        for (int i = 0; i < THREADS; i++) {
            pthread_join(creators[i].thread, NULL);
            created += creators[i].created;
            refused += creators[i].refused;
        }
        assert_int_equal(created, 37);
        assert_int_equal(refused, THREADS * 20 - 37);
        uint64_t jobs, bytes;
        OK(owner_usage, owners[c], &jobs, &bytes);
        assert_int_equal(jobs, 37);
    }
}

static atomic_uint claimed_twice, claimed_once;

static void *claim_many(void *user) {
    bool *claimed = user;
    for (;;) {
        spl_job job;
        unsigned dead;
        if (store->functions->claim(store, &usual_claim, &job, &dead, NULL) < 0)
            return NULL;
        const unsigned number = (unsigned)strtoul(job.id + 24, NULL, 10);
        if (__atomic_exchange_n(&claimed[number], true, __ATOMIC_SEQ_CST))
            atomic_fetch_add(&claimed_twice, 1);
        else
            atomic_fetch_add(&claimed_once, 1);
        spl_job_free(&job);
    }
}

static void each_job_is_claimed_once(void **state) {
    (void)state;
    enum { JOBS = 200, THREADS = 4 };
    bool *claimed = calloc(atomic_load(&ids_made) + JOBS, sizeof(bool));
    assert_non_null(claimed);
    atomic_store(&claimed_once, 0);
    for (int i = 0; i < JOBS; i++)
        create("a");
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, claim_many, claimed);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&claimed_twice), 0);
    assert_int_equal(atomic_load(&claimed_once), JOBS);
    free(claimed);
}

/* ------------------------------------------------------------- lists ---- */

/* Reads pages of 7 while new jobs are created. Each old job appears exactly once, newest first. */
static void cursors_stay_in_place(void **state) {
    (void)state;
    enum { JOBS = 50 };
    job_id ids[JOBS];
    for (int i = 0; i < JOBS; i++)
        ids[i] = create(i % 5 == 0 ? "b" : "a");
    const char *const owners[] = {NULL, "a"};
    for (size_t o = 0; o < SPL_ARRAY_SIZE(owners); o++) {
        spl_store_filter filter = {.owner = owners[o], .limit = 7, .examine_max = 1000};
        char cursor[SPL_ID_SIZE] = "~";
        int at = JOBS;
        while (*cursor) {
            spl_job *jobs;
            size_t count;
            OK(list, &filter, &jobs, &count, cursor);
            assert_true(count == 7 || !*cursor);
            for (size_t i = 0; i < count; i++) {
                /* New jobs appear before all others, on the first page only. */
                do
                    at--;
                while (owners[o] && at % 5 == 0);
                assert_string_equal(jobs[i].id, ids[at].text);
                spl_job_free(&jobs[i]);
            }
            free(jobs);
            filter.before_id = cursor;
            const job_id newer = create("a");
            OK(remove, NULL, newer.text);
            create("z");
        }
        assert_int_equal(at, owners[o] ? 1 : 0);
        /* Remove the new jobs before the second round. */
        spl_job *jobs;
        size_t count;
        do {
            OK(list, (&(spl_store_filter){.owner = "z", .limit = 200, .examine_max = 1000}), &jobs,
               &count, cursor);
            for (size_t i = 0; i < count; i++) {
                OK(remove, "z", jobs[i].id);
                spl_job_free(&jobs[i]);
            }
            free(jobs);
        } while (count > 0);
    }
}

static unsigned count_list(spl_store_filter filter) {
    spl_job *jobs;
    size_t count;
    char more[SPL_ID_SIZE];
    filter.limit = 200;
    filter.examine_max = 1000;
    OK(list, &filter, &jobs, &count, more);
    assert_string_equal(more, "");
    for (size_t i = 0; i < count; i++)
        spl_job_free(&jobs[i]);
    free(jobs);
    return (unsigned)count;
}

static void lists_are_filtered(void **state) {
    (void)state;
    for (int i = 0; i < 10; i++) {
        spl_job job = plain_job(i < 6 ? "a" : "b");
        job.model = text(i % 2 ? "2stems" : "4stems");
        job.created_ms = 1000 + i;
        create_job(&job);
    }
    int64_t fence;
    claim(2000, &fence);
    claim(2000, &fence);
    assert_int_equal(count_list((spl_store_filter){0}), 10);
    assert_int_equal(count_list((spl_store_filter){.owner = "a"}), 6);
    assert_int_equal(count_list((spl_store_filter){.states = 1 << SPL_JOB_RUNNING}), 2);
    assert_int_equal(
        count_list((spl_store_filter){.states = 1 << SPL_JOB_RUNNING | 1 << SPL_JOB_QUEUED}), 10);
    assert_int_equal(count_list((spl_store_filter){.states = 1 << SPL_JOB_FAILED}), 0);
    assert_int_equal(count_list((spl_store_filter){.owner = "b", .states = 1 << SPL_JOB_QUEUED}),
                     3);
    assert_int_equal(count_list((spl_store_filter){.model = "2stems"}), 5);
    assert_int_equal(count_list((spl_store_filter){.created_after_ms = 1003}), 6);
    assert_int_equal(count_list((spl_store_filter){.created_before_ms = 1003}), 3);
    assert_int_equal(
        count_list((spl_store_filter){.created_after_ms = 1003, .created_before_ms = 1006}), 2);
}

/* Lists all pages of a filter that examine 5 jobs each. Returns the jobs found; *ret_pages is the
 * number of pages. */
static unsigned count_in_pages(spl_store_filter filter, unsigned *ret_pages) {
    char next[SPL_ID_SIZE] = "~";
    unsigned found = 0, pages = 0;
    filter.before_id = next;
    filter.examine_max = 5;
    for (; *next; pages++) {
        spl_job *jobs;
        size_t count;
        OK(list, &filter, &jobs, &count, next);
        found += (unsigned)count;
        for (size_t i = 0; i < count; i++)
            spl_job_free(&jobs[i]);
        free(jobs);
    }
    *ret_pages = pages;
    return found;
}

/* A page examines a limited number of jobs, however few of them match. */
static void a_page_examines_a_limited_number_of_jobs(void **state) {
    (void)state;
    for (int i = 0; i < 20; i++) {
        spl_job job = plain_job(i % 2 ? "a" : "b");
        job.model = text(i < 3 ? "rare" : "usual");
        create_job(&job);
    }
    unsigned pages;
    const spl_store_filter none = {.owner = "a", .states = 1 << SPL_JOB_FAILED, .limit = 3};
    assert_int_equal(count_in_pages(none, &pages), 0);
    assert_int_equal(pages, 2);
    const spl_store_filter rare = {.model = "rare", .limit = 200};
    assert_int_equal(count_in_pages(rare, &pages), 3);
    assert_int_equal(pages, 4);
    const spl_store_filter all = {.owner = "b", .limit = 5};
    assert_int_equal(count_in_pages(all, &pages), 10);
    assert_int_equal(pages, 2);
    const spl_store_filter few = {.owner = "b", .limit = 3};
    assert_int_equal(count_in_pages(few, &pages), 10);
    assert_int_equal(pages, 4);
}

/* ------------------------------------------------------------ results ---- */

static void results_are_reused(void **state) {
    (void)state;
    spl_job made = plain_job("a");
    made.cache_key = text("same");
    const job_id id = create_job(&made);
    spl_job job;
    FAILS(NOT_FOUND, find_result, "a", "same", 2100, &job);
    int64_t fence;
    claim(2000, &fence);
    const spl_job_output output = {
        .name = "vocals", .file = "vocals.wav", .complete = true, .bytes = 5};
    OK(set_output, id.text, fence, &output);
    const spl_store_finish finish = success_at(2100);
    OK(finish, id.text, fence, &finish);
    FAILS(NOT_FOUND, find_result, "b", "same", 2200, &job);
    FAILS(NOT_FOUND, find_result, "a", "other", 2200, &job);
    FAILS(NOT_FOUND, find_result, "a", "same", 62100, &job);
    OK(find_result, "a", "same", 62099, &job);
    assert_string_equal(job.id, id.text);
    assert_int_equal(job.output_count, 1);

    /* A new job takes over the outputs. */
    const job_id second = new_id();
    memcpy(job.id, second.text, sizeof(job.id));
    job.reused = true;
    create_job(&job);
    spl_job_free(&job);
    OK(remove, "a", id.text);
    job = get(second);
    assert_int_equal(job.state, SPL_JOB_SUCCEEDED);
    assert_true(job.reused);
    assert_int_equal(job.output_count, 1);
    assert_string_equal(job.outputs[0].file, "vocals.wav");
    assert_text(job.result, "{}");
    spl_job_free(&job);
}

static void files_expire(void **state) {
    (void)state;
    enum { JOBS = 5 };
    job_id ids[JOBS];
    int64_t fence;
    for (int i = 0; i < JOBS; i++) {
        ids[i] = create("a");
        claim(2000, &fence);
        const spl_job_output output = {.name = "vocals", .file = "vocals.wav", .complete = true};
        OK(set_output, ids[i].text, fence, &output);
        spl_store_finish finish = success_at(2000);
        finish.expires_ms = 3000 + i;
        OK(finish, ids[i].text, fence, &finish);
    }
    const job_id queued = create("a");
    char(*expired)[SPL_ID_SIZE];
    size_t count;
    bool holds;
    OK(expire, 2999, 1000, 10, &expired, &count, &more_to_do);
    assert_int_equal(count, 0);
    free(expired);
    OK(expire, 3002, 1000, 2, &expired, &count, &more_to_do); /* three are due */
    assert_int_equal(count, 2);
    free(expired);
    OK(expire, 3002, 1000, 2, &expired, &count, &more_to_do);
    assert_int_equal(count, 1);
    free(expired);
    for (int i = 0; i < JOBS; i++) {
        spl_job job = get(ids[i]);
        assert_int_equal(job.state, i < 3 ? SPL_JOB_EXPIRED : SPL_JOB_SUCCEEDED);
        assert_int_equal(job.stored_bytes, i < 3 ? SPL_OUTPUT_ROW_BYTES : 500);
        assert_int_equal(job.output_count, i < 3 ? 0 : 1);
        spl_job_free(&job);
        OK(holds_files, ids[i].text, &holds);
        assert_int_equal(holds, i >= 3);
    }
    OK(holds_files, queued.text, &holds);
    assert_true(holds);
    FAILS(NOT_FOUND, holds_files, "nothing", &holds);

    spl_job job;
    OK(expire, 4000, 1000, 10, &expired, &count, &more_to_do);
    assert_int_equal(count, 2);
    free(expired);
    /* It expired a second ago. */
    FAILS(NOT_FOUND, get, NULL, ids[0].text, &job);
    assert_int_equal(state_of(ids[1]), SPL_JOB_EXPIRED);
    OK(expire, 100000, 1000, 10, &expired, &count, &more_to_do);
    free(expired);
    FAILS(NOT_FOUND, get, NULL, ids[4].text, &job);
    assert_int_equal(state_of(queued), SPL_JOB_QUEUED);
}

/* -------------------------------------------------------- idempotency ---- */

/* A transaction has a bounded size, no matter how many rows are due. */
static void old_rows_go_a_few_at_a_time(void **state) {
    (void)state;
    enum { JOBS = 5, AT_ONCE = 2 };
    job_id ids[JOBS];
    for (int i = 0; i < JOBS; i++) {
        ids[i] = create("a");
        const spl_store_finish end = {
            .state = SPL_JOB_CANCELED, .now_ms = 1000, .expires_ms = 2000};
        bool now;
        OK(cancel, NULL, ids[i].text, &end, &now);
    }
    for (int rows = JOBS, expired = JOBS; rows > 0;) {
        char(*gone)[SPL_ID_SIZE];
        size_t count;
        OK(expire, 3000, expired > 0 ? 5000 : 0, AT_ONCE, &gone, &count, &more_to_do);
        free(gone);
        assert_int_equal(count, SPL_MIN(expired, AT_ONCE));
        rows -= expired > 0 ? 0 : SPL_MIN(rows, AT_ONCE);
        expired -= (int)count;
        spl_job *jobs;
        char more[SPL_ID_SIZE];
        OK(list, (&(spl_store_filter){.owner = "a", .limit = 10, .examine_max = 100}), &jobs,
           &count, more);
        for (size_t i = 0; i < count; i++)
            spl_job_free(&jobs[i]);
        free(jobs);
        assert_int_equal(count, rows);
    }
}

static bool holds_file(job_id id, int64_t fence) {
    spl_store_file file = {.job = id.text, .fence = fence, .held = true};
    OK(check_files, &file, 1);
    return file.held;
}

/* A job has the files of its last claim while it runs and when it has succeeded. */
static void files_are_held(void **state) {
    (void)state;
    int64_t fence, later;
    const job_id id = create("a");
    assert_false(holds_file(id, 0));
    claim(2000, &fence);
    assert_true(holds_file(id, fence));
    OK(release, id.text, fence, 2000, false);
    assert_false(holds_file(id, fence));
    claim(2000, &later);
    assert_false(holds_file(id, fence));
    const spl_store_finish success = success_at(2000), cancel = cancel_at(2000);
    OK(finish, id.text, later, &success);
    assert_true(holds_file(id, later));

    const job_id canceled = create("a");
    claim(2000, &fence);
    OK(finish, canceled.text, fence, &cancel);
    assert_false(holds_file(canceled, fence));

    enum { FILES = 49 }; /* several queries */
    spl_store_file files[FILES];
    for (int i = 0; i < FILES; i++)
        files[i] = (spl_store_file){.job = i % 2 ? id.text : canceled.text, .fence = later};
    OK(check_files, files, FILES);
    for (int i = 0; i < FILES; i++)
        assert_int_equal(files[i].held, i % 2);
    OK(remove, "a", id.text);
    assert_false(holds_file(id, later));
}

static spl_idempotency reserve(const char *owner, const char *key, char **ret_answer) {
    spl_idempotency found = SPL_IDEMPOTENCY_NEW;
    char *fingerprint = NULL;
    *ret_answer = NULL;
    OK(idempotency_reserve, owner, key, 5000, &found, &fingerprint, ret_answer);
    if (found == SPL_IDEMPOTENCY_DONE)
        assert_string_equal(fingerprint, "print");
    free(fingerprint);
    return found;
}

static void ended_sessions(void **state) {
    (void)state;
    char(*ids)[SPL_ID_SIZE];
    size_t count;
    bool ended = true;
    OK(session_ended, "s", &ended);
    assert_false(ended);
    OK(end_session, "s", 5000);
    OK(end_session, "s", 9000);
    OK(end_session, "t", 6000);
    OK(session_ended, "s", &ended);
    assert_true(ended);
    OK(session_ended, "other", &ended);
    assert_false(ended);
    OK(expire, 5500, 1000, 10, &ids, &count, &more_to_do);
    free(ids);
    OK(session_ended, "s", &ended);
    assert_false(ended); /* it would have expired by now */
    OK(session_ended, "t", &ended);
    assert_true(ended);
}

static void idempotency(void **state) {
    (void)state;
    char *answer;
    assert_int_equal(reserve("a", "k", &answer), SPL_IDEMPOTENCY_NEW);
    assert_int_equal(reserve("a", "k", &answer), SPL_IDEMPOTENCY_BUSY);
    assert_int_equal(reserve("b", "k", &answer), SPL_IDEMPOTENCY_NEW);
    OK(idempotency_release, "a", "k");
    assert_int_equal(reserve("a", "k", &answer), SPL_IDEMPOTENCY_NEW);

    spl_job job = plain_job("a");
    spl_store_create create = unlimited(&job);
    create.idempotency_key = "never reserved";
    create.fingerprint = "print";
    create.answer = "answer";
    spl_store_limit limit;
    spl_job untouched;
    FAILS(ARGUMENT, create, &create, &limit);
    FAILS(NOT_FOUND, get, NULL, job.id, &untouched);
    create.idempotency_key = "k";
    OK(create, &create, &limit);
    OK(idempotency_release, "a", "k"); /* an answered key is kept */
    assert_int_equal(reserve("a", "k", &answer), SPL_IDEMPOTENCY_DONE);
    assert_string_equal(answer, "answer");
    free(answer);
    assert_int_equal(reserve("b", "k", &answer), SPL_IDEMPOTENCY_BUSY);

    /* Keys of a dead process that have no answer are free; answered ones are kept until they are
     * old. */
    reopen();
    uint64_t rescued;
    OK(rescue, 6000, &rescued);
    assert_int_equal(reserve("b", "k", &answer), SPL_IDEMPOTENCY_NEW);
    assert_int_equal(reserve("a", "k", &answer), SPL_IDEMPOTENCY_DONE);
    free(answer);
    char(*ids)[SPL_ID_SIZE];
    size_t count;
    OK(expire, 5999, 1000, 10, &ids, &count, &more_to_do);
    free(ids);
    assert_int_equal(reserve("a", "k", &answer), SPL_IDEMPOTENCY_DONE);
    free(answer);
    OK(expire, 6000, 1000, 10, &ids, &count, &more_to_do);
    free(ids);
    assert_int_equal(reserve("a", "k", &answer), SPL_IDEMPOTENCY_NEW);
}

static void *reserve_one(void *user) {
    spl_idempotency found = SPL_IDEMPOTENCY_BUSY;
    char *fingerprint, *answer;
    store->functions->idempotency_reserve(store, "a", user, 1, &found, &fingerprint, &answer, NULL);
    return found == SPL_IDEMPOTENCY_NEW ? user : NULL;
}

static void one_of_many_reserves_a_key(void **state) {
    (void)state;
    enum { THREADS = 8 };
    static char keys[10][8];
    for (size_t k = 0; k < SPL_ARRAY_SIZE(keys); k++) {
        snprintf(keys[k], sizeof(keys[k]), "%zu", k);
        pthread_t threads[THREADS];
        int winners = 0;
        for (int i = 0; i < THREADS; i++)
            pthread_create(&threads[i], NULL, reserve_one, keys[k]);
        for (int i = 0; i < THREADS; i++) {
            void *won;
            pthread_join(threads[i], &won);
            winners += won != NULL;
        }
        assert_int_equal(winners, 1);
    }
}

/* --------------------------------------------------------- deliveries ---- */

static void end_with_delivery(const char *delivery_id, int64_t next_ms) {
    int64_t fence;
    spl_delivery delivery = {
        .owner = text("a"), .url = text("u"), .payload = text("p"), .next_ms = next_ms};
    snprintf(delivery.id, sizeof(delivery.id), "%s", delivery_id);
    create("a");
    const job_id id = claim(2000, &fence);
    memcpy(delivery.job, id.text, sizeof(delivery.job));
    spl_store_finish finish = success_at(2001);
    finish.delivery = &delivery;
    OK(finish, id.text, fence, &finish);
}

/* Claims the next due delivery. Returns its id, or "" and the time of the next one. */
static job_id take_delivery(int64_t now_ms, unsigned attempts, int64_t *ret_next_ms) {
    spl_delivery delivery;
    job_id id = {""};
    int status = CALL(delivery_claim, now_ms, 100, "", "", &delivery, ret_next_ms, &error);
    if (status == SPL_E_NOT_FOUND)
        return id;
    assert_success(status, "delivery_claim");
    assert_int_equal(delivery.attempts, attempts);
    memcpy(id.text, delivery.id, sizeof(id.text));
    spl_delivery_free(&delivery);
    return id;
}

static void deliveries(void **state) {
    (void)state;
    int64_t next = -1;
    assert_string_equal(take_delivery(9000, 0, &next).text, "");
    assert_int_equal(next, 0);
    end_with_delivery("second", 3000);
    end_with_delivery("first", 2500);
    assert_string_equal(take_delivery(2499, 0, &next).text, "");
    assert_int_equal(next, 2500);
    assert_string_equal(take_delivery(3000, 1, &next).text, "first");
    assert_string_equal(take_delivery(3000, 1, &next).text, "second");
    assert_string_equal(take_delivery(3099, 0, &next).text, "");
    assert_int_equal(next, 3100);
    /* The lease of its sender has expired. The attempt counts although it was not reported. */
    assert_string_equal(take_delivery(3100, 2, &next).text, "first");
    OK(delivery_retry, "first", 8000, true);
    OK(delivery_done, "second");
    FAILS(NOT_FOUND, delivery_done, "second");
    reopen();
    assert_string_equal(take_delivery(7999, 0, &next).text, "");
    assert_int_equal(next, 8000);
    assert_string_equal(take_delivery(8000, 3, &next).text, "first");
    spl_store_stats stats;
    assert_success(store->functions->stats(store, &stats, &error), "stats");
    assert_int_equal(stats.deliveries, 1);
    OK(delivery_done, "first");
    assert_string_equal(take_delivery(100000, 0, &next).text, "");
    assert_int_equal(next, 0);
}

static void deliveries_of_the_busy_wait(void **state) {
    (void)state;
    spl_delivery delivery;
    int64_t next = -1;
    end_with_delivery("one", 3000);
    FAILS(NOT_FOUND, delivery_claim, 3000, 100, "\na\n", "", &delivery, &next);
    FAILS(NOT_FOUND, delivery_claim, 3000, 100, "\nb\na\nc\n", "", &delivery, &next);
    assert_int_equal(next, 3000);
    OK(delivery_claim, 3000, 100, "\nb\nac\n", "", &delivery, &next);
    spl_delivery_free(&delivery);
    OK(delivery_retry, "one", 5000, false);
    assert_string_equal(take_delivery(5000, 1, &next).text, "one");
    OK(delivery_done, "one");
}

/* A claim takes a delivery to a busy host once, and passes over it until the host is free. */
static void deliveries_to_a_busy_host_wait(void **state) {
    (void)state;
    spl_delivery delivery;
    int64_t next = -1;
    end_with_delivery("one", 3000);
    end_with_delivery("two", 3001);
    OK(delivery_claim, 3001, 100, "", "\nhost\n", &delivery, &next);
    assert_string_equal(delivery.id, "one");
    spl_delivery_free(&delivery);
    OK(delivery_defer, "one", 3001, "host");
    OK(delivery_claim, 3001, 100, "", "\nhost\n", &delivery, &next);
    assert_string_equal(delivery.id, "two");
    spl_delivery_free(&delivery);
    FAILS(NOT_FOUND, delivery_claim, 3001, 100, "", "\nother\nhost\n", &delivery, &next);
    OK(delivery_claim, 3001, 100, "", "\nother\n", &delivery, &next);
    assert_string_equal(delivery.id, "one");
    assert_int_equal(delivery.attempts, 1);
    spl_delivery_free(&delivery);
    FAILS(NOT_FOUND, delivery_defer, "none", 3001, "host");
}

/* ------------------------------------------------------------ waiting ---- */

enum { LONG_MS = 20000 };

static void *finish_later(void *user) {
    const job_id *id = user;
    usleep(50000);
    spl_job job = get(*id);
    const spl_store_finish finish = success_at(2100);
    OK(finish, id->text, job.fence, &finish);
    spl_job_free(&job);
    return NULL;
}

static void *remove_later(void *user) {
    const job_id *id = user;
    usleep(50000);
    OK(remove, NULL, id->text);
    return NULL;
}

static void waiting_for_a_job(void **state) {
    (void)state;
    job_id id = create("a");
    int64_t fence;
    claim(2000, &fence);
    spl_job job = get(id);
    const double start_s = spl_now_s();
    /* The job has changed already. */
    store->functions->wait_job(store, id.text, job.version - 1, LONG_MS);
    pthread_t thread;
    pthread_create(&thread, NULL, finish_later, &id);
    while (job.state == SPL_JOB_RUNNING) {
        store->functions->wait_job(store, id.text, job.version, LONG_MS);
        spl_job_free(&job);
        job = get(id);
    }
    pthread_join(thread, NULL);
    pthread_create(&thread, NULL, remove_later, &id);
    for (spl_job left; CALL(get, NULL, id.text, &left, &error) == 0; spl_job_free(&left))
        store->functions->wait_job(store, id.text, job.version, LONG_MS);
    pthread_join(thread, NULL);
    /* The job does not exist. */
    store->functions->wait_job(store, id.text, job.version, LONG_MS);
    assert_true(spl_now_s() - start_s < LONG_MS / 2000.0);
    spl_job_free(&job);
}

static void waiting_lasts_as_long_as_is_said(void **state) {
    (void)state;
    const job_id id = create("a");
    int64_t fence, next;
    claim(2000, &fence);
    spl_job job = get(id);
    double seconds = 0;
    /* A wait returns at once if a notification arrived after the last claim, and the listener may
     * deliver that of `create` late. */
    for (int tries = 0; seconds < 0.119 && tries < 10; tries++) {
        claim(2000, &fence);
        take_delivery(2000, 1, &next);
        const double start_s = spl_now_s();
        store->functions->wait_job(store, id.text, job.version, 40);
        store->functions->wait_queue(store, 40);
        store->functions->wait_delivery(store, 40);
        seconds = spl_now_s() - start_s;
    }
    assert_true(seconds >= 0.119 && seconds < 10);
    spl_job_free(&job);
}

static void *claim_and_count(void *user) {
    unsigned *done = user;
    while (*done < 100) {
        int64_t fence;
        if (claim(2000, &fence).text[0])
            ++*done;
        else
            store->functions->wait_queue(store, LONG_MS);
    }
    return NULL;
}

/* Every new job ends the wait of a worker that found nothing. */
static void waiting_for_the_queue(void **state) {
    (void)state;
    unsigned done = 0;
    pthread_t thread;
    const double start_s = spl_now_s();
    pthread_create(&thread, NULL, claim_and_count, &done);
    for (int i = 0; i < 100; i++) {
        if (i % 10 == 0)
            usleep(10000);
        create("a");
    }
    pthread_join(thread, NULL);
    assert_true(spl_now_s() - start_s < LONG_MS / 2000.0);
}

static void *end_later(void *user) {
    usleep(50000);
    end_with_delivery(user, 1);
    return NULL;
}

static void waiting_for_a_delivery(void **state) {
    (void)state;
    static char id[] = "late";
    int64_t next;
    pthread_t thread;
    const double start_s = spl_now_s();
    pthread_create(&thread, NULL, end_later, id);
    while (!take_delivery(2000, 1, &next).text[0])
        store->functions->wait_delivery(store, LONG_MS);
    pthread_join(thread, NULL);
    assert_true(spl_now_s() - start_s < LONG_MS / 2000.0);
}

static void *wait_for_all(void *user) {
    (void)user;
    int64_t fence;
    job_id id = {"none"};
    claim(2000, &fence);
    store->functions->wait_queue(store, LONG_MS);
    store->functions->wait_delivery(store, LONG_MS);
    id = create("a");
    store->functions->wait_job(store, id.text, 1, LONG_MS);
    return NULL;
}

static void waking(void **state) {
    (void)state;
    pthread_t thread;
    const double start_s = spl_now_s();
    pthread_create(&thread, NULL, wait_for_all, NULL);
    usleep(50000);
    store->functions->end_waits(store);
    pthread_join(thread, NULL);
    assert_true(spl_now_s() - start_s < LONG_MS / 2000.0);
}

static void answers_while_it_is_open(void **state) {
    (void)state;
    assert_success(store->functions->ping(store, &error), "ping");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_have_texts),
        TEST(answers_while_it_is_open),
        TEST(life_of_a_job),
        TEST(failure),
        TEST(owners_do_not_see_each_other),
        TEST(fencing),
        TEST(leases_run_out),
        TEST(retries_wait),
        TEST(a_clock_that_was_set_back),
        TEST(attempts_are_counted),
        TEST(giving_back_counts_no_attempt),
        TEST(rescue_after_a_crash),
        TEST(a_crash_ends_no_job_of_others),
        TEST(a_suspect_runs_alone),
        TEST(canceling),
        TEST(removing_a_running_job),
        TEST(random_operations_against_a_model),
        TEST(fair_share),
        TEST(queue_position),
        TEST(limits),
        TEST(rows_count_towards_storage),
        TEST(outputs_are_expected),
        TEST(webhooks_of_reused_results_are_limited),
        TEST(webhooks_of_deleted_jobs_are_limited),
        TEST(limits_hold_for_threads),
        TEST(each_job_is_claimed_once),
        TEST(cursors_stay_in_place),
        TEST(lists_are_filtered),
        TEST(a_page_examines_a_limited_number_of_jobs),
        TEST(results_are_reused),
        TEST(files_expire),
        TEST(old_rows_go_a_few_at_a_time),
        TEST(ended_sessions),
        TEST(files_are_held),
        TEST(idempotency),
        TEST(one_of_many_reserves_a_key),
        TEST(deliveries),
        TEST(deliveries_of_the_busy_wait),
        TEST(deliveries_to_a_busy_host_wait),
        TEST(waiting_for_a_job),
        TEST(waiting_lasts_as_long_as_is_said),
        TEST(waiting_for_the_queue),
        TEST(waiting_for_a_delivery),
        TEST(waking),
    };
    int failed = 0;
    for (size_t i = 0; i < SPL_ARRAY_SIZE(openers); i++) {
        open_store = openers[i].open;
        if (openers[i].server && !getenv(openers[i].server))
            continue;
        failed += cmocka_run_group_tests_name(openers[i].name, tests, NULL, NULL);
    }
    return failed;
}

/* SPDX-License-Identifier: MIT
 *
 * The guarantees of the job store on PostgreSQL to several processes: notifications of each other's
 * changes, shared rates, takeover of the keys of dead processes, and a single upgrade of the
 * tables. Two stores in one process stand for two processes. SPL_TEST_POSTGRES names the server.
 */
#include "base/clock.h"
#include "service/store/store.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <libpq-fe.h>

#define LONG_MS 20000
#define THREADS 6

static char url[400], schema[64];
static spl_store *here, *there;
static spl_error error;

static void assert_success(int status) {
    if (status < 0)
        fail_msg("%d: %s", status, error.message);
}

static void run_sql(const char *sql) {
    PGconn *pg = PQconnectdb(*url ? url : getenv("SPL_TEST_POSTGRES"));
    PGresult *result = PQexec(pg, sql);
    const ExecStatusType state = PQresultStatus(result);
    if (state != PGRES_COMMAND_OK && state != PGRES_TUPLES_OK)
        fail_msg("%s", PQerrorMessage(pg));
    PQclear(result);
    PQfinish(pg);
}

static int open_store(spl_store **ret_store) {
    const spl_store_postgres options = {.url = url, .connections = 4, .listens = true};
    return spl_store_open_postgres(&options, ret_store, &error);
}

static int make_schema(void **state) {
    (void)state;
    static unsigned count;
    char sql[100];
    url[0] = '\0';
    snprintf(schema, sizeof(schema), "several%d_%u", getpid(), count++);
    snprintf(sql, sizeof(sql), "CREATE SCHEMA %s", schema);
    run_sql(sql);
    snprintf(url, sizeof(url), "%s?options=-csearch_path%%3D%s", getenv("SPL_TEST_POSTGRES"),
             schema);
    return 0;
}

static int set_up(void **state) {
    int status = make_schema(state);
    if (status == 0)
        status = open_store(&here);
    return status == 0 ? open_store(&there) : status;
}

static int tear_down(void **state) {
    (void)state;
    here->functions->close(here);
    there->functions->close(there);
    return 0;
}

static spl_job make_job(const char *id) {
    char owner[] = "a";
    spl_job job = {.owner = owner, .created_ms = 1000, .input_bytes = 1, .input_s = 1};
    snprintf(job.id, sizeof(job.id), "%s", id);
    const spl_store_create create = {
        .job = &job, .queue_max = 1000, .owner_jobs_max = 1000, .owner_bytes_max = INT64_MAX};
    spl_store_limit limit;
    assert_success(here->functions->create(here, &create, &limit, &error));
    job.owner = NULL;
    return job;
}

static void *wait_for_job(void *user) {
    there->functions->wait_job(there, user, 1, LONG_MS);
    return NULL;
}

static void *wait_for_queue(void *user) {
    there->functions->wait_queue(there, LONG_MS);
    return user;
}

static void claim_nothing(spl_store *store) {
    const spl_store_claim claim = {
        .worker = "w", .now_ms = 500, .lease_ms = 1000, .attempts_max = 3};
    spl_job job;
    unsigned dead;
    assert_int_equal(store->functions->claim(store, &claim, &job, &dead, &error), SPL_E_NOT_FOUND);
}

static void others_are_notified_at_once(void **state) {
    (void)state;
    char id[] = "0190d5a0-0000-7000-8000-000000000001";
    pthread_t thread;
    claim_nothing(there);
    double started_s = spl_now_s();
    pthread_create(&thread, NULL, wait_for_queue, NULL);
    usleep(200000);
    make_job(id);
    pthread_join(thread, NULL);
    assert_true(spl_now_s() - started_s < LONG_MS / 2000.0);

    started_s = spl_now_s();
    pthread_create(&thread, NULL, wait_for_job, id);
    usleep(200000);
    const spl_store_claim claim = {
        .worker = "w", .now_ms = 2000, .lease_ms = 1000, .attempts_max = 3};
    spl_job job;
    unsigned dead;
    assert_success(here->functions->claim(here, &claim, &job, &dead, &error));
    spl_job_free(&job);
    pthread_join(thread, NULL);
    assert_true(spl_now_s() - started_s < LONG_MS / 2000.0);
}

static void rates_are_shared(void **state) {
    (void)state;
    const int64_t one_us = 6000000; /* ten requests a minute */
    unsigned granted = 0;
    int64_t full_us = 0;
    bool one = false;
    for (int i = 0; i < 20; i++) {
        spl_store *store = i % 2 ? here : there;
        assert_success(
            store->functions->take_rate(store, "key:a", one_us, 1000000, &one, &full_us, &error));
        granted += one;
    }
    assert_int_equal(granted, 10);
    assert_int_equal(full_us, 61000000);
    assert_success(
        here->functions->take_rate(here, "key:b", one_us, 1000000, &one, &full_us, &error));
    assert_true(one);
    assert_success(
        here->functions->take_rate(here, "key:a", one_us, 7000000, &one, &full_us, &error));
    assert_true(one);
}

static spl_idempotency reserve(spl_store *store, int64_t now_ms) {
    spl_idempotency state;
    char *fingerprint = NULL, *answer = NULL;
    assert_success(store->functions->idempotency_reserve(store, "a", "k", now_ms, &state,
                                                         &fingerprint, &answer, &error));
    free(fingerprint);
    free(answer);
    return state;
}

/* A reserved key stays with the process that renews it. After that process dies another one can
 * reserve the key, and only that one may store an answer. */
static void keys_of_ended_processes_are_reassigned(void **state) {
    (void)state;
    assert_int_equal(reserve(here, 1000), SPL_IDEMPOTENCY_NEW);
    assert_success(here->functions->idempotency_renew(here, 50000, &error));
    assert_int_equal(reserve(there, 100000), SPL_IDEMPOTENCY_BUSY);
    assert_int_equal(reserve(there, 110000), SPL_IDEMPOTENCY_NEW);
    /* The first process resumes, but no longer holds the key. */
    assert_success(here->functions->idempotency_release(here, "a", "k", &error));
    assert_int_equal(reserve(here, 110001), SPL_IDEMPOTENCY_BUSY);

    char owner[] = "a";
    spl_job job = {.id = "0190d5a0-0000-7000-8000-000000000002", .owner = owner, .created_ms = 1};
    const spl_store_create create = {.job = &job,
                                     .queue_max = 10,
                                     .owner_jobs_max = 10,
                                     .owner_bytes_max = INT64_MAX,
                                     .idempotency_key = "k",
                                     .fingerprint = "f",
                                     .answer = "{}"};
    spl_store_limit limit;
    assert_int_equal(here->functions->create(here, &create, &limit, &error), SPL_E_ARGUMENT);
    assert_success(there->functions->create(there, &create, &limit, &error));
    assert_int_equal(reserve(here, 110002), SPL_IDEMPOTENCY_DONE);
}

static void *reserve_in_vain(void *user) {
    (void)user;
    spl_idempotency state;
    char *fingerprint = NULL, *answer = NULL;
    spl_error own;
    const int status = here->functions->idempotency_reserve(here, "a", "k", 1000, &state,
                                                            &fingerprint, &answer, &own);
    return status == SPL_E_IO ? here : NULL;
}

/* If a reservation was committed although its process received an error, that process frees the
 * key. */
static void keys_reserved_unawares_are_freed(void **state) {
    (void)state;
    run_sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    run_sql("SELECT pg_reload_conf()");
    pthread_t thread;
    pthread_create(&thread, NULL, reserve_in_vain, NULL);
    run_sql("DO $$ BEGIN"
            " WHILE NOT EXISTS (SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep') LOOP"
            " PERFORM pg_stat_clear_snapshot(), pg_sleep(0.01); END LOOP; END $$");
    run_sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
    void *failed;
    pthread_join(thread, &failed);
    run_sql("ALTER SYSTEM RESET synchronous_standby_names");
    run_sql("SELECT pg_reload_conf()");
    assert_non_null(failed);
    assert_int_equal(reserve(there, 1001), SPL_IDEMPOTENCY_BUSY);
    assert_success(here->functions->idempotency_renew(here, 1002, &error));
    assert_int_equal(reserve(there, 1003), SPL_IDEMPOTENCY_NEW);
}

static bool is_normal(int status) {
    return status == 0 || status == SPL_E_NOT_FOUND || status == SPL_E_CANCELED ||
           status == SPL_E_ARGUMENT;
}

/* Creates, gives back, cancels, ends, expires and removes jobs of four owners. Returns NULL if a
 * call failed. */
static void *change_jobs(void *user) {
    const int thread = *(int *)user;
    const char worker[] = {(char)('a' + thread), '\0'};
    spl_store *store = thread % 2 ? here : there;
    const spl_store_functions *functions = store->functions;
    const spl_store_finish end = {.state = SPL_JOB_CANCELED, .now_ms = 2000, .expires_ms = 2001};
    const spl_store_claim claim = {
        .worker = worker, .now_ms = 2000, .lease_ms = 1000, .attempts_max = 1};
    spl_error own;
    int status = 0;
    for (int i = 0; i < 25 && is_normal(status); i++) {
        char owner[] = {(char)('a' + (thread + i) % 4), '\0'};
        spl_job job = {.owner = owner, .created_ms = 1000, .input_bytes = 7, .input_s = 1}, claimed;
        snprintf(job.id, sizeof(job.id), "0190d5a0-0000-7000-8000-0000%04d%04d", i, thread);
        const spl_store_create create = {
            .job = &job, .queue_max = 1000, .owner_jobs_max = 1000, .owner_bytes_max = INT64_MAX};
        spl_store_limit limit;
        unsigned dead;
        bool now, more;
        char(*expired)[SPL_ID_SIZE] = NULL;
        size_t count;
        status = functions->create(store, &create, &limit, &own);
        if (is_normal(status) && i % 4 == 0)
            status = functions->cancel(store, owner, job.id, &end, &now, &own);
        int found = is_normal(status) ? functions->claim(store, &claim, &claimed, &dead, &own) : -1;
        if (found == 0) {
            status = functions->release(store, claimed.id, claimed.fence, 0, true, &own);
            spl_job_free(&claimed);
        } else if (is_normal(status)) {
            status = found;
        }
        if (is_normal(status) && i % 5 == 0)
            status = functions->remove(store, owner, job.id, &own);
        if (is_normal(status)) {
            status = functions->expire(store, 3000, 500, 8, &expired, &count, &more, &own);
            free(expired);
        }
    }
    if (!is_normal(status))
        fprintf(stderr, "%s\n", own.message);
    return is_normal(status) ? user : NULL;
}

/* Transactions that change jobs of several owners do not block each other, and the counters of
 * usage equal the sums afterwards. */
static void usage_is_counted_by_all(void **state) {
    (void)state;
    pthread_t threads[THREADS];
    int numbers[THREADS];
    bool good = true;
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        pthread_create(&threads[i], NULL, change_jobs, &numbers[i]);
    }
    for (size_t i = 0; i < THREADS; i++) {
        void *changed;
        pthread_join(threads[i], &changed);
        good = good && changed;
    }
    assert_true(good);
    make_job("0190d5a0-0000-7000-8000-000000000001");
    run_sql("DO $$ BEGIN ASSERT NOT EXISTS (SELECT owner, active_jobs, stored_bytes, row_bytes"
            " FROM owner_usage WHERE row_bytes <> 0 EXCEPT SELECT owner,"
            " sum(CASE WHEN state IN (0, 1) THEN 1 ELSE 0 END), sum(stored_bytes),"
            " sum(CASE WHEN state = 5 THEN 8192 ELSE 24576 END) FROM jobs GROUP BY owner);"
            " ASSERT (SELECT count(*) FROM owner_usage WHERE row_bytes <> 0)"
            " = (SELECT count(DISTINCT owner) FROM jobs); END $$");
}

static void *open_one(void *user) {
    spl_store *store;
    const spl_store_postgres options = {.url = url, .connections = 2};
    spl_error own;
    int status = spl_store_open_postgres(&options, &store, &own);
    if (status == 0)
        store->functions->close(store);
    return status == 0 ? user : NULL;
}

static void tables_are_made_once(void **state) {
    (void)state;
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, open_one, url);
    for (size_t i = 0; i < THREADS; i++) {
        void *opened;
        pthread_join(threads[i], &opened);
        assert_non_null(opened);
    }
    run_sql("DO $$ BEGIN ASSERT (SELECT count(*) = max(version) FROM spleeterd_schema); END $$");
    run_sql("INSERT INTO spleeterd_schema VALUES (99)");
    spl_store *store;
    assert_int_equal(open_store(&store), SPL_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "newer release"));
}

static void a_server_that_is_not_there(void **state) {
    (void)state;
    const spl_store_postgres options = {.url = "postgresql://nobody@127.0.0.1:1/nothing",
                                        .connections = 2};
    spl_store *store;
    assert_int_equal(spl_store_open_postgres(&options, &store, &error), SPL_E_IO);
    assert_non_null(strstr(error.message, "can't be reached"));
}

int main(void) {
    if (!getenv("SPL_TEST_POSTGRES"))
        return 77;
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(others_are_notified_at_once),
        TEST(rates_are_shared),
        TEST(keys_of_ended_processes_are_reassigned),
        TEST(keys_reserved_unawares_are_freed),
        TEST(usage_is_counted_by_all),
        cmocka_unit_test_setup(tables_are_made_once, make_schema),
        cmocka_unit_test(a_server_that_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * The SQLite job store on faulty disks: after any failure, every reported success is in the
 * database, nothing is corrupted, and the store continues once the disk works again. Also: which
 * databases it opens, and that readers do not wait for a flush.
 */
#include "faulty_vfs.h"
#include "folder.h"
#include "service/store/store.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/clock.h"

#include <cmocka.h>

static char folder[256], path[300];
static spl_error error;

static int set_up(void **state) {
    (void)state;
    folder_make(folder, sizeof(folder));
    snprintf(path, sizeof(path), "%s/jobs.db", folder);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    folder_remove(folder);
    return 0;
}

static void run_sql(const char *sql) {
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void assert_intact(void) {
    sqlite3 *db;
    sqlite3_stmt *row;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &row, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(row), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(row, 0), "ok");
    sqlite3_finalize(row);
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA foreign_key_check", -1, &row, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(row), SQLITE_DONE);
    sqlite3_finalize(row);
    sqlite3_close(db);
}

static spl_store *open_store(void) {
    spl_store *store;
    int status = spl_store_open_sqlite(folder, &store, &error);
    if (status < 0)
        fail_msg("%s", error.message);
    return store;
}

/* ------------------------------------------------------------ opening ---- */

static void assert_refused(int expected) {
    spl_store *store = NULL;
    assert_int_equal(spl_store_open_sqlite(folder, &store, &error), expected);
    assert_null(store);
    assert_non_null(strstr(error.message, path));
}

/* A database of the first release keeps its jobs and is upgraded. */
static void older_databases_are_brought_forward(void **state) {
    (void)state;
    FILE *file = fopen(SPL_TEST_SCHEMA, "r");
    assert_non_null(file);
    char *schema = NULL;
    size_t size = 0;
    assert_true(getdelim(&schema, &size, '\0', file) > 0);
    fclose(file);
    run_sql(schema);
    free(schema);
    run_sql("PRAGMA application_id = 0x53504c4a; PRAGMA user_version = 1;"
            "INSERT INTO idempotency (owner, key, reserved_ms) VALUES ('a', 'k', 1);"
            "INSERT INTO jobs (id, owner, state, priority, created_ms, started_ms, finished_ms, "
            "expires_ms, available_ms, attempts, cancel_requested, dead_letter, reused, "
            "input_bytes, input_s, progress, fence, version, stored_bytes) VALUES "
            "('0190d5a0-0000-7000-8000-000000000001', 'a', 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 5, 1, "
            "0, 0, 1, 5)");
    spl_store *store = open_store();
    spl_job job;
    unsigned dead;
    const spl_store_claim claim = {.now_ms = 2, .lease_ms = 1000, .attempts_max = 3};
    assert_int_equal(store->functions->claim(store, &claim, &job, &dead, &error), 0);
    assert_int_equal(job.stored_bytes, 5);
    spl_job_free(&job);
    uint64_t jobs, bytes;
    assert_int_equal(store->functions->owner_usage(store, "a", &jobs, &bytes, &error), 0);
    assert_int_equal(jobs, 1);
    assert_int_equal(bytes, 5 + SPL_JOB_ROW_BYTES + SPL_KEY_ROW_BYTES);
    spl_idempotency found;
    char *fingerprint, *answer;
    assert_int_equal(store->functions->idempotency_reserve(store, "a", "k", 70000, &found,
                                                           &fingerprint, &answer, &error),
                     0);
    assert_int_equal(found, SPL_IDEMPOTENCY_NEW);
    store->functions->close(store);
}

static int count_rows(const char *table) {
    sqlite3 *db;
    sqlite3_stmt *row;
    char sql[100];
    snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", table);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &row, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(row), SQLITE_ROW);
    const int count = sqlite3_column_int(row, 0);
    sqlite3_finalize(row);
    sqlite3_close(db);
    return count;
}

/* The transaction of a pass has to fit into the space that is reserved for the log. */
static void a_pass_of_cleaning_is_limited(void **state) {
    (void)state;
    static const char *const tables[] = {"jobs", "idempotency", "owners", "ended_sessions",
                                         "owner_usage WHERE owner <> 'a'"};
    spl_store *store = open_store();
    run_sql("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) "
            "INSERT INTO owners SELECT 'gone' || i, i FROM n;"
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) "
            "INSERT INTO owner_usage SELECT 'gone' || i, 0, 0, 0 FROM n;"
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) "
            "INSERT INTO idempotency (owner, key, reserved_ms) SELECT 'a', i, 1 FROM n;"
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) "
            "INSERT INTO ended_sessions (id, expires_ms) SELECT i, 1 FROM n;"
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) "
            "INSERT INTO jobs (id, owner, state, priority, created_ms, started_ms, finished_ms, "
            "expires_ms, available_ms, attempts, cancel_requested, dead_letter, reused, "
            "input_bytes, input_s, progress, fence, version, stored_bytes) SELECT i, 'a', 5, 0, 1, "
            "0, 0, 1, 0, 0, 0, 0, 0, 5, 1, 0, 0, 1, 5 FROM n");
    for (int left = 90; left >= 0; left -= 10) {
        char(*expired)[SPL_ID_SIZE];
        size_t count;
        bool more;
        assert_int_equal(
            store->functions->expire(store, 5000, 1000, 10, &expired, &count, &more, &error), 0);
        free(expired);
        assert_true(more);
        for (size_t i = 0; i < SPL_ARRAY_SIZE(tables); i++)
            assert_int_equal(count_rows(tables[i]), left);
    }
    store->functions->close(store);
}

static void only_own_databases_are_opened(void **state) {
    (void)state;
    spl_store *store = open_store();
    store->functions->close(store);
    run_sql("PRAGMA user_version = 99");
    assert_refused(SPL_E_UNSUPPORTED);
    run_sql("PRAGMA user_version = 7");
    store = open_store();
    store->functions->close(store);
    run_sql("PRAGMA application_id = 5");
    assert_refused(SPL_E_FORMAT);

    remove(path);
    run_sql("CREATE TABLE songs (name TEXT)");
    assert_refused(SPL_E_FORMAT);

    FILE *file = fopen(path, "w");
    for (int i = 0; i < 1000; i++)
        fputs("no database ", file);
    fclose(file);
    assert_refused(SPL_E_FORMAT);

    remove(path);
    assert_int_equal(symlink("elsewhere.db", path), 0);
    assert_refused(SPL_E_IO);
    remove(path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_refused(SPL_E_IO);
    remove(path);
    folder_remove(folder);
    assert_refused(SPL_E_NOT_FOUND);
}

static void files_are_private(void **state) {
    (void)state;
    const mode_t mask = umask(0);
    spl_store *store = open_store();
    umask(mask);
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(suffixes); i++) {
        char file[320];
        struct stat status;
        snprintf(file, sizeof(file), "%s%s", path, suffixes[i]);
        assert_int_equal(stat(file, &status), 0);
        assert_int_equal(status.st_mode & 0777, 0600);
    }
    store->functions->close(store);
}

/* ----------------------------------------------------- a faulty disk ---- */

/* A scenario with every kind of change. attempt() runs one step; a failed step is repeated once the
 * disk works again. */
enum {
    OPEN,
    RESERVE,
    CREATE,
    CREATE_SECOND,
    CREATE_THIRD,
    CANCEL_THIRD,
    CLAIM,
    HEARTBEAT,
    OUTPUT,
    RELEASE,
    CLAIM_AGAIN,
    OUTPUT_AGAIN,
    FINISH,
    DELIVERY_CLAIM,
    DELIVERY_RETRY,
    DELIVERY_DONE,
    EXPIRE,
    REMOVE_SECOND,
    STEPS
};

static const char *const ids[] = {"first", "second", "third"};

static int create(spl_store *store, int which) {
    spl_job job = {.owner = (char *)(uintptr_t) "a", .created_ms = 1, .input_bytes = 10};
    snprintf(job.id, sizeof(job.id), "%s", ids[which]);
    const spl_store_create create = {.job = &job,
                                     .queue_max = 10,
                                     .owner_jobs_max = 10,
                                     .owner_bytes_max = INT64_MAX,
                                     .idempotency_key = which == 0 ? "key" : NULL,
                                     .fingerprint = "print",
                                     .answer = "answer"};
    spl_store_limit limit;
    return store->functions->create(store, &create, &limit, &error);
}

static int claim_first(spl_store *store, int64_t fence) {
    const spl_store_claim claim = {
        .worker = "w", .now_ms = 10, .lease_ms = 1000, .attempts_max = 3, .retention_ms = 1000};
    spl_job job;
    unsigned dead;
    int status = store->functions->claim(store, &claim, &job, &dead, &error);
    if (status == 0) {
        assert_string_equal(job.id, ids[0]);
        assert_int_equal(job.fence, fence);
        spl_job_free(&job);
    }
    return status;
}

static int finish_first(spl_store *store) {
    static spl_delivery delivery = {.id = "delivery", .job = "first", .next_ms = 20};
    delivery.owner = delivery.url = delivery.payload = (char *)(uintptr_t) "x";
    const spl_store_finish finish = {.state = SPL_JOB_SUCCEEDED,
                                     .now_ms = 20,
                                     .expires_ms = 1000,
                                     .result = "{}",
                                     .delivery = &delivery};
    return store->functions->finish(store, ids[0], 2, &finish, &error);
}

static int attempt(spl_store **store, int step) {
    const spl_store_functions *functions = *store ? (*store)->functions : NULL;
    const spl_job_output output = {.name = "vocals", .file = "vocals.wav"};
    const spl_store_finish canceled = {
        .state = SPL_JOB_CANCELED, .now_ms = 5, .expires_ms = INT64_MAX};
    bool flag;
    switch (step) {
    case OPEN:
        return spl_store_open_sqlite(folder, store, &error);
    case RESERVE: {
        spl_idempotency found;
        char *fingerprint, *answer;
        int status = functions->idempotency_reserve(*store, "a", "key", 1, &found, &fingerprint,
                                                    &answer, &error);
        if (status == 0)
            assert_int_equal(found, SPL_IDEMPOTENCY_NEW);
        return status;
    }
    case CREATE:
    case CREATE_SECOND:
    case CREATE_THIRD:
        return create(*store, step - CREATE);
    case CANCEL_THIRD:
        return functions->cancel(*store, "a", ids[2], &canceled, &flag, &error);
    case CLAIM:
        return claim_first(*store, 1);
    case HEARTBEAT:
        return functions->heartbeat(*store, ids[0], 1, 11, 1000, 0.5, &flag, &error);
    case OUTPUT:
        return functions->set_output(*store, ids[0], 1, &output, &error);
    case RELEASE:
        return functions->release(*store, ids[0], 1, 0, true, &error);
    case CLAIM_AGAIN:
        return claim_first(*store, 2);
    case OUTPUT_AGAIN:
        return functions->set_output(*store, ids[0], 2, &output, &error);
    case FINISH:
        return finish_first(*store);
    case DELIVERY_CLAIM: {
        spl_delivery delivery;
        int64_t next;
        int status = functions->delivery_claim(*store, 30, 100, "", "", &delivery, &next, &error);
        if (status == 0)
            spl_delivery_free(&delivery);
        return status;
    }
    case DELIVERY_RETRY:
        return functions->delivery_retry(*store, "delivery", 200, true, &error);
    case DELIVERY_DONE:
        return functions->delivery_done(*store, "delivery", &error);
    case EXPIRE: {
        char(*expired)[SPL_ID_SIZE];
        size_t count;
        bool more;
        int status = functions->expire(*store, 1000, 10000, 10, &expired, &count, &more, &error);
        if (status == 0) {
            assert_int_equal(count, 1);
            free(expired);
        }
        return status;
    }
    default:
        return functions->remove(*store, "a", ids[1], &error);
    }
}

static void assert_end_of_story(spl_store *store) {
    spl_job job;
    assert_int_equal(store->functions->get(store, "a", ids[0], &job, &error), 0);
    assert_int_equal(job.state, SPL_JOB_EXPIRED);
    assert_int_equal(job.attempts, 2);
    assert_int_equal(job.fence, 2);
    spl_job_free(&job);
    assert_int_equal(store->functions->get(store, "a", ids[1], &job, &error), SPL_E_NOT_FOUND);
    assert_int_equal(store->functions->get(store, "a", ids[2], &job, &error), 0);
    assert_int_equal(job.state, SPL_JOB_CANCELED);
    spl_job_free(&job);
    spl_store_stats stats;
    assert_int_equal(store->functions->stats(store, &stats, &error), 0);
    assert_int_equal(stats.deliveries, 0);
    spl_idempotency found;
    char *fingerprint, *answer;
    assert_int_equal(store->functions->idempotency_reserve(store, "a", "key", 1, &found,
                                                           &fingerprint, &answer, &error),
                     0);
    assert_int_equal(found, SPL_IDEMPOTENCY_DONE);
    assert_string_equal(answer, "answer");
    free(fingerprint);
    free(answer);
}

/* Runs the scenario with a failure of the `number`-th disk operation. Returns whether it had that
 * many operations. */
static bool tell_story(int number, int code, bool stays, int expected) {
    spl_store *store = NULL;
    unsigned failures = 0;
    faulty_vfs_fail(number, code, stays);
    for (int step = 0; step < STEPS; step++) {
        int status = attempt(&store, step);
        if (status == 0)
            continue;
        failures++;
        if (!faulty_vfs_heal())
            fail_msg("step %d failed on a good disk: %s", step, error.message);
        if (step != OPEN)
            assert_int_equal(status, expected);
        /* The failed change was rolled back, so it can be repeated. */
        status = attempt(&store, step);
        if (status < 0)
            fail_msg("operation %d: step %d does not work on the healed disk: %s", number, step,
                     error.message);
    }
    const bool failed = faulty_vfs_heal();
    assert_true(failures <= 1);
    assert_end_of_story(store);
    store->functions->close(store);
    store = open_store();
    assert_end_of_story(store);
    store->functions->close(store);
    assert_intact();
    return failed;
}

static void each_failure_of_the_disk(void **state) {
    (void)state;
    static const struct {
        int code, expected;
        bool stays;
    } kinds[] = {{SQLITE_IOERR_WRITE, SPL_E_IO, false},
                 {SQLITE_IOERR_FSYNC, SPL_E_IO, true},
                 {SQLITE_FULL, SPL_E_NO_SPACE, true}};
    /* Limit files to 1 MiB. Only the space that is reserved in advance needs more, and reserving it
     * is slow. */
    struct rlimit usual;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &usual), 0);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){1 << 20, usual.rlim_max}), 0);
    for (size_t i = 0; i < SPL_ARRAY_SIZE(kinds); i++) {
        int number = 0;
        while (tell_story(number, kinds[i].code, kinds[i].stays, kinds[i].expected)) {
            folder_remove(folder);
            set_up(NULL);
            number++;
        }
        assert_true(number > 2 * STEPS); /* at least one write and one flush per step */
        folder_remove(folder);
        set_up(NULL);
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &usual), 0);
}

/* ------------------------------------------------------- a slow disk ---- */

static atomic_bool created;

static void *create_slowly(void *user) {
    assert_int_equal(create(user, 1), 0);
    created = true;
    return NULL;
}

/* Jobs can be read while a commit is being flushed. */
static void readers_do_not_wait(void **state) {
    (void)state;
    spl_store *store = open_store();
    assert_int_equal(create(store, 2), 0);
    faulty_vfs_delay_flushes(1500);
    pthread_t thread;
    const double start_s = spl_now_s();
    pthread_create(&thread, NULL, create_slowly, store);
    unsigned reads = 0;
    while (spl_now_s() - start_s < 0.5) {
        spl_job job;
        assert_int_equal(store->functions->get(store, "a", ids[2], &job, &error), 0);
        spl_job_free(&job);
        reads++;
        usleep(1000);
    }
    assert_false(created);
    assert_true(reads > 50);
    pthread_join(thread, NULL);
    faulty_vfs_delay_flushes(0);
    store->functions->close(store);
}

/* Overwrites the first page of each table and index. */
static void damage(void) {
    sqlite3 *db;
    sqlite3_stmt *row;
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT rootpage FROM sqlite_schema WHERE rootpage > 1",
                                        -1, &row, NULL),
                     SQLITE_OK);
    while (sqlite3_step(row) == SQLITE_ROW) {
        uint8_t page[4096];
        memset(page, 0xa5, sizeof(page));
        fseek(file, (sqlite3_column_int64(row, 0) - 1) * (long)sizeof(page), SEEK_SET);
        assert_int_equal(fwrite(page, sizeof(page), 1, file), 1);
    }
    sqlite3_finalize(row);
    sqlite3_close(db);
    fclose(file);
}

static void assert_damaged(int status) {
    assert_int_equal(status, SPL_E_FORMAT);
    assert_non_null(strstr(error.message, path));
    assert_non_null(strstr(error.message, "damaged"));
    assert_non_null(strstr(error.message, "backup.md"));
    error = (spl_error){0};
}

/* Every function that reads a damaged page reports which file is damaged and what to do. */
static void a_damaged_database_is_named(void **state) {
    (void)state;
    spl_store *store = open_store();
    for (int i = 0; i < 3; i++)
        /* The first one fails, because its idempotency key is not reserved. */
        assert_int_equal(create(store, i), i == 0 ? SPL_E_ARGUMENT : 0);
    store->functions->close(store);
    damage();
    store = open_store();
    const spl_store_functions *functions = store->functions;
    spl_job job, *jobs;
    spl_store_stats stats;
    spl_idempotency found;
    int64_t next;
    uint64_t number;
    size_t count;
    bool more;
    bool flag;
    char *text, (*expired)[SPL_ID_SIZE];
    const spl_store_filter all = {.limit = 10, .examine_max = 100};
    char next_id[SPL_ID_SIZE];
    const spl_store_finish end = {.state = SPL_JOB_CANCELED, .now_ms = 5, .expires_ms = 6};
    spl_delivery delivery;
    assert_damaged(functions->ping(store, &error));
    assert_damaged(create(store, 1));
    assert_damaged(functions->get(store, NULL, ids[1], &job, &error));
    assert_damaged(functions->list(store, &all, &jobs, &count, next_id, &error));
    assert_damaged(functions->queue_length(store, &number, &error));
    assert_damaged(claim_first(store, 1));
    assert_damaged(functions->rescue(store, 1, &number, &error));
    assert_damaged(functions->cancel(store, NULL, ids[1], &end, &flag, &error));
    assert_damaged(functions->remove(store, NULL, ids[1], &error));
    assert_damaged(functions->expire(store, 1, 1, 1, &expired, &count, &more, &error));
    assert_damaged(functions->holds_files(store, ids[1], &flag, &error));
    assert_damaged(functions->stats(store, &stats, &error));
    assert_damaged(functions->delivery_claim(store, 1, 1, "", "", &delivery, &next, &error));
    assert_damaged(
        functions->idempotency_reserve(store, "a", "k", 1, &found, &text, &text, &error));
    functions->close(store);
}

static blkcnt_t blocks_of_log(void) {
    char log[320];
    struct stat status;
    snprintf(log, sizeof(log), "%s-wal", path);
    assert_int_equal(stat(log, &status), 0);
    return status.st_blocks;
}

/* The log's space is reserved before it is needed, and stays reserved while the database is closed.
 * A closed database's log is empty, so that no other database can use its content. */
static void the_log_has_reserved_space(void **state) {
    (void)state;
    const blkcnt_t room = (3 << 20) / 512;
    spl_store *store = open_store();
    assert_int_equal(store->functions->rescue(store, 1, &(uint64_t){0}, &error), 0);
    assert_true(blocks_of_log() >= room);
    assert_int_equal(create(store, 1), 0);
    store->functions->close(store);
    assert_true(blocks_of_log() >= room);
    char log[320];
    struct stat status;
    snprintf(log, sizeof(log), "%s-wal", path);
    assert_int_equal(stat(log, &status), 0);
    assert_int_equal(status.st_size, 0);
    assert_intact();
}

int main(void) {
    faulty_vfs_install();
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(older_databases_are_brought_forward),
        TEST(only_own_databases_are_opened),
        TEST(a_pass_of_cleaning_is_limited),
        TEST(files_are_private),
        TEST(the_log_has_reserved_space),
        TEST(a_damaged_database_is_named),
        TEST(each_failure_of_the_disk),
        TEST(readers_do_not_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

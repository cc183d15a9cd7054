/* SPDX-License-Identifier: MIT
 *
 * SQLite behind the job store.
 *
 * The database is in WAL mode with synchronous=FULL: a commit returns after its pages are flushed,
 * and readers see the last commit without waiting for a writer. One connection writes, under its
 * mutex. A few others read, each under its own mutex, so that looking up a job does not wait for a
 * commit's flush. Lists have connections of their own, so that it does not wait for them either.
 *
 * Disk space is reserved in advance for the log, and for the database past its last page. It stays
 * reserved while the database is closed. Jobs can therefore end, expire and be deleted while the
 * disk is full, and the service can start.
 */
#include "base/clock.h"
#include "base/file.h"
#include "service/store/schema_2_sql.h"
#include "service/store/schema_3_sql.h"
#include "service/store/schema_4_sql.h"
#include "service/store/schema_5_sql.h"
#include "service/store/schema_6_sql.h"
#include "service/store/schema_sql.h"
#include "service/store/sql.h"
#include "service/store/sqlite_usage_sql.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define READERS 2 /* of each kind of read */

#define APPLICATION_ID  0x53504c4a /* "SPLJ" */
#define BUSY_TIMEOUT_MS 5000       /* for locks of other programs that open the database */

/* SQLite copies the log into the database when it has LOG_PAGES pages, and then starts it over.
 * LOG_BYTES has room for more transactions, because a reader may delay that; DATABASE_BYTES is for
 * new pages that are still in the log. */
#define PAGE_BYTES     4096
#define LOG_PAGES      "250"
#define LOG_BYTES      ((off_t)3 << 20)
#define DATABASE_BYTES (1 << 20)

/* The i-th migration upgrades the tables from version i to i + 1. */
static const char *const migrations[] = {schema_sql,   schema_2_sql, schema_3_sql,    schema_4_sql,
                                         schema_5_sql, schema_6_sql, sqlite_usage_sql};

typedef struct connection {
    sqlite3 *db;
    pthread_mutex_t mutex; /* held during a transaction */
    sqlite3_stmt *begin, *commit, *rollback;
    sqlite3_stmt *page_count;                      /* of the writer only */
    sqlite3_stmt *statements[SPL_STATEMENT_COUNT]; /* prepared at first use */
} connection;

typedef struct sqlite_sql {
    spl_sql base;
    connection writer, readers[READERS], long_readers[READERS];
    atomic_uint next_reader, next_long_reader;
    bool has_log_room; /* guarded by the writer's mutex */
} sqlite_sql;

/* Reports the error of the last call on the connection. */
static int fail_database(sqlite3 *db, spl_error *ret_error) {
    const int code = sqlite3_errcode(db) & 0xff;
    const char *name = sqlite3_db_filename(db, "main"); /* NULL: it could not be opened */
    const int number = sqlite3_system_errno(db);
    const bool from_system = code == SQLITE_IOERR || code == SQLITE_CANTOPEN;
    spl_status status = SPL_E_IO;
    if (code == SQLITE_NOMEM)
        return spl_fail_memory(ret_error);
    if (code == SQLITE_FULL || (from_system && (number == ENOSPC || number == EDQUOT)))
        status = SPL_E_NO_SPACE;
    else if (from_system && (number == EMFILE || number == ENFILE))
        status = SPL_E_EXHAUSTED;
    else if (code == SQLITE_PERM || code == SQLITE_READONLY)
        status = SPL_E_PERMISSION;
    else if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT)
        return spl_fail(ret_error, SPL_E_FORMAT,
                        "the job database %s is damaged (%s); stop the service, check the disk, "
                        "and put the database back from the backup (docs/guides/backup.md)",
                        name ? name : "jobs.db", sqlite3_errmsg(db));
    return spl_fail(ret_error, status, "the job database %s: %s", name ? name : "jobs.db",
                    sqlite3_errmsg(db));
}

/* ------------------------------------------------------------ opening ---- */

static int run(sqlite3 *db, const char *sql, spl_error *ret_error) {
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail_database(db, ret_error);
}

/* Reads the first column of the first row; 0 if there is none. */
static int query_number(sqlite3 *db, const char *sql, int64_t *ret_number, spl_error *ret_error) {
    sqlite3_stmt *row;
    if (sqlite3_prepare_v2(db, sql, -1, &row, NULL) != SQLITE_OK)
        return fail_database(db, ret_error);
    int64_t number = sqlite3_step(row) == SQLITE_ROW ? sqlite3_column_int64(row, 0) : 0;
    if (sqlite3_finalize(row) != SQLITE_OK)
        return fail_database(db, ret_error);
    *ret_number = number;
    return 0;
}

/* Creates the file for its owner only (SQLite gives its other files the same mode), and flushes its
 * directory entry. */
static int make_file(const char *data_dir, const char *path, spl_error *ret_error) {
    SPL_CLEANUP(spl_close_p)
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
    if (fd < 0)
        return spl_fail_errno(ret_error, errno, "cannot open the job database %s", path);
    return spl_folder_flush(data_dir, ret_error);
}

static void close_connection(connection *own) {
    if (!own->db)
        return;
    for (size_t i = 0; i < SPL_STATEMENT_COUNT; i++)
        sqlite3_finalize(own->statements[i]);
    sqlite3_finalize(own->begin);
    sqlite3_finalize(own->commit);
    sqlite3_finalize(own->rollback);
    sqlite3_finalize(own->page_count);
    sqlite3_close(own->db);
    pthread_mutex_destroy(&own->mutex);
    *own = (connection){0};
}

static int open_connection(const char *data_dir, bool make, connection *own, spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char *path = NULL;
    if (asprintf(&path, "%s/jobs.db", data_dir) < 0)
        return spl_fail_memory(ret_error);
    int status = make ? make_file(data_dir, path, ret_error) : 0;
    if (status < 0)
        return status;
    pthread_mutex_init(&own->mutex, NULL);
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    if (sqlite3_open_v2(path, &own->db, flags, NULL) != SQLITE_OK)
        return own->db ? fail_database(own->db, ret_error) : spl_fail_memory(ret_error);
    sqlite3_busy_timeout(own->db, BUSY_TIMEOUT_MS);
    return run(own->db,
               "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;"
               "PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY;"
               "PRAGMA journal_size_limit = 67108864",
               ret_error);
}

static int prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret_statement,
                   spl_error *ret_error) {
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) != SQLITE_OK)
        return fail_database(db, ret_error);
    *ret_statement = statement;
    return 0;
}

static int prepare_transactions(connection *own, const char *begin, spl_error *ret_error) {
    int status = prepare(own->db, begin, &own->begin, ret_error);
    if (status == 0)
        status = prepare(own->db, "COMMIT", &own->commit, ret_error);
    if (status == 0)
        status = prepare(own->db, "ROLLBACK", &own->rollback, ret_error);
    return status;
}

/* The caller has begun a transaction. */
static int migrate(sqlite3 *db, spl_error *ret_error) {
    int64_t application, version, tables;
    int status = query_number(db, "PRAGMA application_id", &application, ret_error);
    if (status == 0)
        status = query_number(db, "PRAGMA user_version", &version, ret_error);
    if (status == 0)
        status = query_number(db, "SELECT count(*) FROM sqlite_schema", &tables, ret_error);
    if (status < 0)
        return status;
    const char *path = sqlite3_db_filename(db, "main");
    if (application != APPLICATION_ID && (application != 0 || version != 0 || tables != 0))
        return spl_fail(ret_error, SPL_E_FORMAT,
                        "%s is the database of another program; move it away", path);
    const int64_t newest = SPL_ARRAY_SIZE(migrations);
    if (version > newest)
        return spl_fail(ret_error, SPL_E_UNSUPPORTED,
                        "%s was written by a newer release (its tables have version %lld, this one "
                        "knows up to %lld); run that release",
                        path, (long long)version, (long long)newest);
    if (version == newest)
        return 0;
    for (int64_t i = version; i < newest && status == 0; i++)
        status = run(db, migrations[i], ret_error);
    char done[96];
    snprintf(done, sizeof(done), "PRAGMA application_id = %d; PRAGMA user_version = %lld",
             APPLICATION_ID, (long long)newest);
    return status < 0 ? status : run(db, done, ret_error);
}

static int use_wal(sqlite3 *db, spl_error *ret_error) {
    sqlite3_stmt *row;
    if (sqlite3_prepare_v2(db, "PRAGMA journal_mode = WAL", -1, &row, NULL) != SQLITE_OK)
        return fail_database(db, ret_error);
    const bool wal = sqlite3_step(row) == SQLITE_ROW &&
                     strcmp((const char *)sqlite3_column_text(row, 0), "wal") == 0;
    if (sqlite3_finalize(row) != SQLITE_OK)
        return fail_database(db, ret_error);
    return wal ? 0
               : spl_fail(ret_error, SPL_E_UNSUPPORTED,
                          "the file system of %s has no shared memory, which SQLite's write-ahead "
                          "log needs; use a local disk",
                          sqlite3_db_filename(db, "main"));
}

static int open_writer(const char *data_dir, connection *ret_connection, spl_error *ret_error) {
    connection own = {0};
    int status = open_connection(data_dir, true, &own, ret_error);
    if (status == 0)
        status = use_wal(own.db, ret_error);
    if (status == 0)
        status = run(own.db, "PRAGMA wal_autocheckpoint = " LOG_PAGES, ret_error);
    if (status == 0)
        status = prepare_transactions(&own, "BEGIN IMMEDIATE", ret_error);
    if (status == 0)
        status = prepare(own.db, "PRAGMA page_count", &own.page_count, ret_error);
    if (status == 0)
        status = run(own.db, "BEGIN IMMEDIATE", ret_error);
    if (status == 0)
        status = migrate(own.db, ret_error);
    if (status == 0)
        status = run(own.db, "COMMIT", ret_error);
    if (status < 0) {
        close_connection(&own);
        return status;
    }
    *ret_connection = own;
    return 0;
}

static int open_reader(const char *data_dir, connection *ret_connection, spl_error *ret_error) {
    connection own = {0};
    int status = open_connection(data_dir, false, &own, ret_error);
    if (status == 0)
        status = run(own.db, "PRAGMA query_only = ON", ret_error);
    if (status == 0)
        status = prepare_transactions(&own, "BEGIN", ret_error);
    if (status < 0) {
        close_connection(&own);
        return status;
    }
    *ret_connection = own;
    return 0;
}

/* ---------------------------------------------- reserved disk space ---- */

/* Reserves the log's disk space; returns whether it is reserved. The file size does not change, so
 * SQLite still reads the same content. */
static bool take_log_room(sqlite3 *db) {
    SPL_CLEANUP(spl_free_p) char *path = NULL;
    if (asprintf(&path, "%s-wal", sqlite3_db_filename(db, "main")) < 0)
        return false;
    SPL_CLEANUP(spl_close_p) int log = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    return log >= 0 && (fallocate(log, FALLOC_FL_KEEP_SIZE, 0, LOG_BYTES) == 0 ||
                        errno == EOPNOTSUPP); /* the file system cannot reserve space */
}

/* Reserves the database's disk space, within a transaction. SQLite extends the file in steps, and
 * may truncate it when the log is empty, so each transaction reserves the space again. */
static void take_database_room(const connection *own) {
    int step = DATABASE_BYTES;
    sqlite3_int64 bytes = 0;
    if (sqlite3_step(own->page_count) == SQLITE_ROW)
        bytes = sqlite3_column_int64(own->page_count, 0) * PAGE_BYTES + DATABASE_BYTES;
    sqlite3_reset(own->page_count);
    sqlite3_file_control(own->db, "main", SQLITE_FCNTL_CHUNK_SIZE, &step);
    sqlite3_file_control(own->db, "main", SQLITE_FCNTL_SIZE_HINT, &bytes);
}

/* Closes the last connection. Empties the log first, because a leftover log would change a database
 * that is restored beside it, but keeps the log file with its reserved space. */
static void close_writer(connection *own) {
    if (own->db) {
        int keep = 1;
        sqlite3_wal_checkpoint_v2(own->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
        if (take_log_room(own->db) && run(own->db, "PRAGMA journal_size_limit = -1", NULL) == 0)
            sqlite3_file_control(own->db, "main", SQLITE_FCNTL_PERSIST_WAL, &keep);
    }
    close_connection(own);
}

/* ------------------------------------------------------- transactions ---- */

static int run_prepared(connection *own, sqlite3_stmt *statement, spl_error *ret_error) {
    sqlite3_step(statement);
    return sqlite3_reset(statement) == SQLITE_OK ? 0 : fail_database(own->db, ret_error);
}

static int sqlite_begin(spl_sql *base, spl_transaction *transaction, spl_error *ret_error) {
    sqlite_sql *sql = (sqlite_sql *)base;
    connection *own = &sql->writer;
    if (transaction->kind == SPL_READ)
        own = &sql->readers[atomic_fetch_add(&sql->next_reader, 1) % READERS];
    else if (transaction->kind == SPL_READ_LONG)
        own = &sql->long_readers[atomic_fetch_add(&sql->next_long_reader, 1) % READERS];
    pthread_mutex_lock(&own->mutex);
    if (own == &sql->writer && !sql->has_log_room)
        sql->has_log_room = take_log_room(own->db);
    int status = run_prepared(own, own->begin, ret_error);
    if (status < 0)
        pthread_mutex_unlock(&own->mutex);
    else if (own == &sql->writer)
        take_database_room(own);
    transaction->connection = own;
    return status;
}

static int sqlite_commit(spl_transaction *transaction, spl_error *ret_error) {
    connection *own = transaction->connection;
    return run_prepared(own, own->commit, ret_error);
}

static void sqlite_end(spl_transaction *transaction) {
    connection *own = transaction->connection;
    if (!sqlite3_get_autocommit(own->db))
        run_prepared(own, own->rollback, NULL);
    pthread_mutex_unlock(&own->mutex);
}

/* --------------------------------------------------------- statements ---- */

/* The only writer has exclusive access to the database, so no statement locks. */
#define SPL_SKIP_LOCKED(of) ""
#define SPL_FOR_UPDATE      ""
#define SPL_LOCK(space)     "SELECT 1"
#define SPL_LOCK_OF(space)  "SELECT 1 WHERE $1 = $1"
#define SPL_TRY_LOCK(space) "SELECT 1"
static const char *const texts[] = {
#define STATEMENT_TEXT(name, text) text,
    SPL_STATEMENTS(STATEMENT_TEXT)
#undef STATEMENT_TEXT
};

/* SQLite assigns indices in the order in which $1, $2 ... appear, so look them up by name. */
static int bind(sqlite3_stmt *statement, size_t number, const spl_value *value) {
    char name[24];
    snprintf(name, sizeof(name), "$%zu", number);
    const int index = sqlite3_bind_parameter_index(statement, name);
    switch (value->kind) {
    case SPL_VALUE_TEXT:
        return sqlite3_bind_text(statement, index, value->text, -1, SQLITE_STATIC);
    case SPL_VALUE_WHOLE:
        return sqlite3_bind_int64(statement, index, value->whole);
    case SPL_VALUE_REAL:
        break;
    }
    return sqlite3_bind_double(statement, index, value->real);
}

static int sqlite_next(spl_rows *rows, spl_error *ret_error) {
    const connection *own = rows->connection;
    switch (sqlite3_step(rows->handle)) {
    case SQLITE_ROW:
        return 1;
    case SQLITE_DONE:
        return 0;
    default:
        return fail_database(own->db, ret_error);
    }
}

static int sqlite_query(spl_transaction *transaction, spl_statement statement,
                        const spl_value *values, size_t value_count, spl_rows *rows,
                        int *ret_changed, spl_error *ret_error) {
    connection *own = transaction->connection;
    sqlite3_stmt **prepared = &own->statements[statement];
    int status = *prepared ? 0 : prepare(own->db, texts[statement], prepared, ret_error);
    if (status < 0)
        return status;
    sqlite3_reset(*prepared);
    assert((size_t)sqlite3_bind_parameter_count(*prepared) == value_count);
    for (size_t i = 0; i < value_count; i++) {
        if (bind(*prepared, i + 1, &values[i]) != SQLITE_OK)
            return fail_database(own->db, ret_error);
    }
    rows->handle = *prepared;
    status = sqlite_next(rows, ret_error);
    if (status < 0)
        sqlite3_reset(*prepared);
    *ret_changed = sqlite3_changes(own->db);
    return status;
}

static void sqlite_end_rows(spl_rows *rows) {
    sqlite3_reset(rows->handle);
}

static const char *sqlite_text(const spl_rows *rows, int column) {
    return (const char *)sqlite3_column_text(rows->handle, column);
}

static int64_t sqlite_whole(const spl_rows *rows, int column) {
    return sqlite3_column_int64(rows->handle, column);
}

static double sqlite_real(const spl_rows *rows, int column) {
    return sqlite3_column_double(rows->handle, column);
}

/* --------------------------------------------------- opening, closing ---- */

static int64_t sqlite_now_ms(spl_sql *sql) {
    (void)sql;
    return spl_wall_ms();
}

static void sqlite_close(spl_sql *base) {
    sqlite_sql *sql = (sqlite_sql *)base;
    for (size_t i = 0; i < READERS; i++) {
        close_connection(&sql->readers[i]);
        close_connection(&sql->long_readers[i]);
    }
    close_writer(&sql->writer);
    free(sql);
}

static const spl_sql_functions functions = {
    .close = sqlite_close,
    .now_ms = sqlite_now_ms,
    .begin = sqlite_begin,
    .commit = sqlite_commit,
    .end = sqlite_end,
    .query = sqlite_query,
    .next = sqlite_next,
    .end_rows = sqlite_end_rows,
    .text = sqlite_text,
    .whole = sqlite_whole,
    .real = sqlite_real,
};

int spl_store_open_sqlite(const char *data_dir, spl_store **ret_store, spl_error *ret_error) {
    sqlite_sql *sql = calloc(1, sizeof(*sql));
    if (!sql)
        return spl_fail_memory(ret_error);
    sql->base.functions = &functions;
    int status = open_writer(data_dir, &sql->writer, ret_error);
    for (size_t i = 0; i < READERS && status == 0; i++) {
        status = open_reader(data_dir, &sql->readers[i], ret_error);
        if (status == 0)
            status = open_reader(data_dir, &sql->long_readers[i], ret_error);
    }
    if (status < 0) {
        sqlite_close(&sql->base);
        return status;
    }
    return spl_store_on_sql(&sql->base, ret_store, ret_error);
}

/* SPDX-License-Identifier: MIT
 *
 * Connections to the SQLite database: opening, versions of its tables, statements, transactions.
 */
#include "service/store/sqlite_connection.h"

#include "service/store/schema.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define APPLICATION_ID  0x53504c4a /* "SPLJ" */
#define BUSY_TIMEOUT_MS 5000       /* for other programs that look into the database */

/* The i-th brings the tables from version i to i + 1. */
static const char *const migrations[] = {schema_sql};

/* Says what the last call on the connection failed with. */
static int fail_database(sqlite3 *db, spl_error *ret_error) {
    const int code = sqlite3_errcode(db) & 0xff;
    const int number = sqlite3_system_errno(db);
    const bool from_system = code == SQLITE_IOERR || code == SQLITE_CANTOPEN;
    spl_status status = SPL_E_IO;
    if (code == SQLITE_NOMEM)
        return spl_fail_memory(ret_error);
    if (code == SQLITE_FULL || (from_system && (number == ENOSPC || number == EDQUOT)))
        status = SPL_E_NO_SPACE;
    else if (code == SQLITE_PERM || code == SQLITE_READONLY)
        status = SPL_E_PERMISSION;
    else if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT)
        status = SPL_E_FORMAT;
    return spl_fail(ret_error, status, "the job database %s: %s", sqlite3_db_filename(db, "main"),
                    sqlite3_errmsg(db));
}

/* ------------------------------------------------------------ opening ---- */

static int run(sqlite3 *db, const char *sql, spl_error *ret_error) {
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail_database(db, ret_error);
}

/* The first column of the first row. */
static int ask(sqlite3 *db, const char *sql, int64_t *ret_number, spl_error *ret_error) {
    sqlite3_stmt *row;
    if (sqlite3_prepare_v2(db, sql, -1, &row, NULL) != SQLITE_OK)
        return fail_database(db, ret_error);
    int64_t number = sqlite3_step(row) == SQLITE_ROW ? sqlite3_column_int64(row, 0) : 0;
    if (sqlite3_finalize(row) != SQLITE_OK)
        return fail_database(db, ret_error);
    *ret_number = number;
    return 0;
}

/* Makes the file as ours alone (SQLite gives its others the same mode), and flushes its name. */
static int make_file(const char *data_dir, const char *path, spl_error *ret_error) {
    SPL_CLEANUP(spl_close_p)
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
    if (fd < 0)
        return spl_fail_errno(ret_error, errno, "cannot open the job database %s", path);
    SPL_CLEANUP(spl_close_p) int folder = open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 || fsync(folder) < 0)
        return spl_fail_errno(ret_error, errno, "cannot flush the folder %s", data_dir);
    return 0;
}

static int open_connection(const char *data_dir, bool make, spl_connection *connection,
                           spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char *path = NULL;
    if (asprintf(&path, "%s/jobs.db", data_dir) < 0)
        return spl_fail_memory(ret_error);
    int status = make ? make_file(data_dir, path, ret_error) : 0;
    if (status < 0)
        return status;
    pthread_mutex_init(&connection->mutex, NULL);
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    if (sqlite3_open_v2(path, &connection->db, flags, NULL) != SQLITE_OK)
        return connection->db ? fail_database(connection->db, ret_error)
                              : spl_fail_memory(ret_error);
    sqlite3_busy_timeout(connection->db, BUSY_TIMEOUT_MS);
    return run(connection->db,
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

static int prepare_transactions(spl_connection *connection, const char *begin,
                                spl_error *ret_error) {
    int status = prepare(connection->db, begin, &connection->begin, ret_error);
    if (status == 0)
        status = prepare(connection->db, "COMMIT", &connection->commit, ret_error);
    if (status == 0)
        status = prepare(connection->db, "ROLLBACK", &connection->rollback, ret_error);
    return status;
}

/* Within a transaction. */
static int migrate(sqlite3 *db, spl_error *ret_error) {
    int64_t application, version, tables;
    int status = ask(db, "PRAGMA application_id", &application, ret_error);
    if (status == 0)
        status = ask(db, "PRAGMA user_version", &version, ret_error);
    if (status == 0)
        status = ask(db, "SELECT count(*) FROM sqlite_schema", &tables, ret_error);
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

int spl_connection_open_writer(const char *data_dir, spl_connection *ret_connection,
                               spl_error *ret_error) {
    spl_connection connection = {0};
    int status = open_connection(data_dir, true, &connection, ret_error);
    if (status == 0)
        status = use_wal(connection.db, ret_error);
    if (status == 0)
        status = prepare_transactions(&connection, "BEGIN IMMEDIATE", ret_error);
    if (status == 0)
        status = run(connection.db, "BEGIN IMMEDIATE", ret_error);
    if (status == 0)
        status = migrate(connection.db, ret_error);
    if (status == 0)
        status = run(connection.db, "COMMIT", ret_error);
    if (status < 0) {
        spl_connection_close(&connection);
        return status;
    }
    *ret_connection = connection;
    return 0;
}

int spl_connection_open_reader(const char *data_dir, spl_connection *ret_connection,
                               spl_error *ret_error) {
    spl_connection connection = {0};
    int status = open_connection(data_dir, false, &connection, ret_error);
    if (status == 0)
        status = run(connection.db, "PRAGMA query_only = ON", ret_error);
    if (status == 0)
        status = prepare_transactions(&connection, "BEGIN", ret_error);
    if (status < 0) {
        spl_connection_close(&connection);
        return status;
    }
    *ret_connection = connection;
    return 0;
}

void spl_connection_close(spl_connection *connection) {
    if (!connection->db)
        return;
    for (size_t i = 0; i < SPL_STATEMENT_COUNT; i++)
        sqlite3_finalize(connection->statements[i]);
    sqlite3_finalize(connection->begin);
    sqlite3_finalize(connection->commit);
    sqlite3_finalize(connection->rollback);
    sqlite3_close(connection->db);
    pthread_mutex_destroy(&connection->mutex);
    *connection = (spl_connection){0};
}

/* ------------------------------------------------------- transactions ---- */

static int run_prepared(spl_connection *connection, sqlite3_stmt *statement, spl_error *ret_error) {
    sqlite3_step(statement);
    return sqlite3_reset(statement) == SQLITE_OK ? 0 : fail_database(connection->db, ret_error);
}

int spl_transaction_begin(spl_connection *connection, spl_transaction *ret_transaction,
                          spl_error *ret_error) {
    pthread_mutex_lock(&connection->mutex);
    int status = run_prepared(connection, connection->begin, ret_error);
    if (status < 0) {
        pthread_mutex_unlock(&connection->mutex);
        return status;
    }
    *ret_transaction = (spl_transaction){.connection = connection};
    return 0;
}

int spl_transaction_commit(spl_transaction *transaction, spl_error *ret_error) {
    return run_prepared(transaction->connection, transaction->connection->commit, ret_error);
}

void spl_transaction_end_p(spl_transaction *transaction) {
    spl_connection *connection = SPL_STEAL(transaction->connection);
    if (!connection)
        return;
    if (!sqlite3_get_autocommit(connection->db))
        run_prepared(connection, connection->rollback, NULL);
    pthread_mutex_unlock(&connection->mutex);
}

/* --------------------------------------------------------- statements ---- */

static const char *const texts[] = {
#define STATEMENT_TEXT(name, text) text,
    SPL_STATEMENTS(STATEMENT_TEXT)
#undef STATEMENT_TEXT
};

/* SQLite numbers $1, $2 ... in the order in which they appear. */
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

int spl_row_next(spl_connection *connection, sqlite3_stmt *row, spl_error *ret_error) {
    switch (sqlite3_step(row)) {
    case SQLITE_ROW:
        return 1;
    case SQLITE_DONE:
        return 0;
    default:
        return fail_database(connection->db, ret_error);
    }
}

int spl_query(spl_connection *connection, spl_statement statement, const spl_value *values,
              size_t value_count, sqlite3_stmt **ret_row, spl_error *ret_error) {
    sqlite3_stmt **prepared = &connection->statements[statement];
    int status = *prepared ? 0 : prepare(connection->db, texts[statement], prepared, ret_error);
    if (status < 0)
        return status;
    sqlite3_reset(*prepared);
    assert((size_t)sqlite3_bind_parameter_count(*prepared) == value_count);
    for (size_t i = 0; i < value_count; i++) {
        if (bind(*prepared, i + 1, &values[i]) != SQLITE_OK)
            return fail_database(connection->db, ret_error);
    }
    status = spl_row_next(connection, *prepared, ret_error);
    if (status >= 0 && ret_row)
        *ret_row = *prepared;
    else
        sqlite3_reset(*prepared);
    return status;
}

int spl_change(spl_connection *connection, spl_statement statement, const spl_value *values,
               size_t value_count, int *ret_changed, spl_error *ret_error) {
    int status = spl_query(connection, statement, values, value_count, NULL, ret_error);
    if (status == 0 && ret_changed)
        *ret_changed = sqlite3_changes(connection->db);
    return status;
}

void spl_row_reset_p(sqlite3_stmt **row) {
    if (*row)
        sqlite3_reset(*row);
}

int spl_row_text(sqlite3_stmt *row, int column, char **ret_text, spl_error *ret_error) {
    char *copy = NULL;
    if (sqlite3_column_type(row, column) != SQLITE_NULL) {
        const char *text = (const char *)sqlite3_column_text(row, column);
        copy = text ? strdup(text) : NULL;
        if (!copy)
            return spl_fail_memory(ret_error);
    }
    *ret_text = copy;
    return 0;
}

void spl_row_fill(sqlite3_stmt *row, int column, char *text, size_t size) {
    const char *value = (const char *)sqlite3_column_text(row, column);
    snprintf(text, size, "%s", value ? value : "");
}

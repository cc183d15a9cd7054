/* SPDX-License-Identifier: MIT
 *
 * A connection to the SQLite database with its prepared statements, and transactions on it.
 *
 * The database is in WAL mode with synchronous=FULL: a commit returns after its pages are flushed, and readers see the last commit without
 * waiting for a writer.
 */
#ifndef SPL_SERVICE_STORE_SQLITE_CONNECTION_H
#define SPL_SERVICE_STORE_SQLITE_CONNECTION_H

#include "service/store/statements.h"

#include <pthread.h>
#include <sqlite3.h>

typedef struct spl_connection {
    sqlite3 *db;
    pthread_mutex_t mutex; /* held during a transaction */
    sqlite3_stmt *begin, *commit, *rollback;
    sqlite3_stmt *statements[SPL_STATEMENT_COUNT]; /* prepared at first use */
} spl_connection;

/* Opens DATA_DIR/jobs.db for writing: makes it when it is missing, and brings its tables to this version. Not for use by several
 * processes at once. Errors: UNSUPPORTED, FORMAT, IO, PERMISSION, NO_SPACE, MEMORY. */
SPL_WARN_UNUSED int spl_connection_open_writer(const char *data_dir, spl_connection *ret_connection,
                                               spl_error *ret_error);
/* Opens the same for reading, after a writer. */
SPL_WARN_UNUSED int spl_connection_open_reader(const char *data_dir, spl_connection *ret_connection,
                                               spl_error *ret_error);
void spl_connection_close(spl_connection *connection); /* a zeroed one is allowed */

/* Holds the connection's mutex from begin to end. What was not committed is rolled back at the end. */
typedef struct spl_transaction {
    spl_connection *connection;
} spl_transaction;

/* On the writer it takes the database's write lock at once. Nothing is to be ended when it fails. */
SPL_WARN_UNUSED int spl_transaction_begin(spl_connection *connection,
                                          spl_transaction *ret_transaction, spl_error *ret_error);
/* 0: it is on the disk. */
SPL_WARN_UNUSED int spl_transaction_commit(spl_transaction *transaction, spl_error *ret_error);
void spl_transaction_end_p(spl_transaction *transaction); /* for SPL_CLEANUP; zeroed: nothing */

/* A parameter of a statement. */
typedef struct spl_value {
    enum { SPL_VALUE_TEXT, SPL_VALUE_WHOLE, SPL_VALUE_REAL } kind;
    union {
        const char *text; /* may be NULL; must live until the statement is reset */
        int64_t whole;
        double real;
    };
} spl_value;

#define SPL_BIND_TEXT(x)  ((spl_value){.kind = SPL_VALUE_TEXT, .text = (x)})
#define SPL_BIND_WHOLE(x) ((spl_value){.kind = SPL_VALUE_WHOLE, .whole = (int64_t)(x)})
#define SPL_BIND_REAL(x)  ((spl_value){.kind = SPL_VALUE_REAL, .real = (x)})
/* The parameters $1, $2 ... */
#define SPL_BIND(...)                                                                              \
    (const spl_value[]){__VA_ARGS__}, sizeof((spl_value[]){__VA_ARGS__}) / sizeof(spl_value)

/* Runs a statement up to its first row. Returns 1 with *ret_row there, 0 when there is none, or a negative status; *ret_row (may be NULL)
 * is written also for 0. A statement that has rows is to be reset: SPL_CLEANUP(spl_row_reset_p) sqlite3_stmt *row = NULL; */
SPL_WARN_UNUSED int spl_query(spl_connection *connection, spl_statement statement,
                              const spl_value *values, size_t value_count, sqlite3_stmt **ret_row,
                              spl_error *ret_error);
/* Goes to the next row: 1, 0 or a negative status. */
SPL_WARN_UNUSED int spl_row_next(spl_connection *connection, sqlite3_stmt *row,
                                 spl_error *ret_error);
void spl_row_reset_p(sqlite3_stmt **row);
/* The column's text (NULL for NULL), copied. Errors: MEMORY. */
SPL_WARN_UNUSED int spl_row_text(sqlite3_stmt *row, int column, char **ret_text,
                                 spl_error *ret_error);
/* Copies it into `size` bytes, cut if need be. */
void spl_row_fill(sqlite3_stmt *row, int column, char *text, size_t size);

/* Runs a statement without rows; *ret_changed (may be NULL) is the number of rows that it changed. */
SPL_WARN_UNUSED int spl_change(spl_connection *connection, spl_statement statement,
                               const spl_value *values, size_t value_count, int *ret_changed,
                               spl_error *ret_error);

#endif

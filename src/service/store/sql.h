/* SPDX-License-Identifier: MIT
 *
 * A database as the job store (sql_store.c) uses it: transactions of the statements in
 * statements.h. One table of functions; behind it are SQLite (sqlite.c) and PostgreSQL
 * (postgres.c).
 *
 * Handles are thread-safe, transactions and rows belong to one thread. Errors of all: IO (the
 * database can't be used), NO_SPACE, PERMISSION, FORMAT, MEMORY.
 */
#ifndef SPL_SERVICE_STORE_SQL_H
#define SPL_SERVICE_STORE_SQL_H

#include "service/store/statements.h"

typedef struct spl_sql spl_sql;

/* What threads wait for. */
typedef enum spl_topic {
    SPL_TOPIC_JOB, /* the one named */
    SPL_TOPIC_ALL_JOBS,
    SPL_TOPIC_QUEUE,
    SPL_TOPIC_DELIVERIES,
} spl_topic;

typedef enum spl_transaction_kind {
    SPL_READ,       /* sees one state of the database */
    SPL_WRITE,      /* durable when commit returns */
    SPL_WRITE_SOON, /* durable a moment later, at the latest with the next SPL_WRITE, where that is
                       cheaper */
} spl_transaction_kind;

#define SPL_TOLD_MAX 4

typedef struct spl_transaction {
    spl_sql *sql; /* NULL: none */
    spl_transaction_kind kind;
    void *connection;
    double deadline_s; /* of spl_now_s, where there is one */
    struct {
        spl_topic topic;
        char id[SPL_ID_SIZE];
    } told[SPL_TOLD_MAX];
    size_t told_count;
} spl_transaction;

/* The rows that a statement gives, and where in them one is. */
typedef struct spl_rows {
    spl_sql *sql; /* NULL: none */
    void *connection, *handle;
    int at;
} spl_rows;

/* A parameter of a statement. */
typedef struct spl_value {
    enum { SPL_VALUE_TEXT, SPL_VALUE_WHOLE, SPL_VALUE_REAL } kind;
    union {
        const char *text; /* may be NULL; must live until the rows end */
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

typedef struct spl_sql_functions {
    void (*close)(spl_sql *sql);
    int64_t (*now_ms)(spl_sql *sql);
    /* Fills ret_transaction->connection and deadline_s. */
    int (*begin)(spl_sql *sql, spl_transaction *transaction, spl_error *ret_error);
    int (*commit)(spl_transaction *transaction, spl_error *ret_error);
    void (*end)(spl_transaction *transaction);
    /* Fills handle, and *ret_changed with the rows that were changed. Returns 1 when there is a
     * row, else 0. */
    int (*query)(spl_transaction *transaction, spl_statement statement, const spl_value *values,
                 size_t value_count, spl_rows *rows, int *ret_changed, spl_error *ret_error);
    int (*next)(spl_rows *rows, spl_error *ret_error);
    void (*end_rows)(spl_rows *rows);
    const char *(*text)(const spl_rows *rows, int column); /* NULL for NULL */
    int64_t (*whole)(const spl_rows *rows, int column);
    double (*real)(const spl_rows *rows, int column);
} spl_sql_functions;

struct spl_sql {
    const spl_sql_functions *functions;
    bool shared; /* by several processes */
    /* Called after each commit with what it told, and with what other processes told; set before
     * the first transaction. */
    void (*told)(void *user, spl_topic topic, const char *id);
    void *user;
};

/* Nothing is to be ended when it fails. */
SPL_WARN_UNUSED int spl_transaction_begin(spl_sql *sql, spl_transaction_kind kind,
                                          spl_transaction *ret_transaction, spl_error *ret_error);
/* To be told to those who wait, in all processes, when it is committed; `id` is of a job, or NULL.
 * At most SPL_TOLD_MAX. */
void spl_transaction_tell(spl_transaction *transaction, spl_topic topic, const char *id);
/* On failure of a shared database what was to be committed may come true all the same, then or
 * later. */
SPL_WARN_UNUSED int spl_transaction_commit(spl_transaction *transaction, spl_error *ret_error);
/* What was not committed is rolled back. */
void spl_transaction_end(spl_transaction *transaction); /* for SPL_CLEANUP; zeroed: nothing */

/* Runs a statement up to its first row. Returns 1 with *ret_rows there, 0 when there is none, or a
 * negative status; *ret_rows (may be NULL) is written also for 0, and is to be ended:
 * SPL_CLEANUP(spl_rows_end) spl_rows row = {0}; */
SPL_WARN_UNUSED int spl_query(spl_transaction *transaction, spl_statement statement,
                              const spl_value *values, size_t value_count, spl_rows *ret_rows,
                              spl_error *ret_error);
/* Goes to the next row: 1, 0 or a negative status. */
SPL_WARN_UNUSED int spl_rows_next(spl_rows *rows, spl_error *ret_error);
void spl_rows_end(spl_rows *rows);
/* The columns of the row, from 0. */
int64_t spl_row_whole(const spl_rows *rows, int column);
double spl_row_real(const spl_rows *rows, int column);
/* The text (NULL for NULL), copied. Errors: MEMORY. */
SPL_WARN_UNUSED int spl_row_text(const spl_rows *rows, int column, char **ret_text,
                                 spl_error *ret_error);
/* Copies it into `size` bytes, cut if need be. */
void spl_row_fill(const spl_rows *rows, int column, char *text, size_t size);

/* Runs a statement without rows; *ret_changed (may be NULL) is the number of rows that it changed.
 */
SPL_WARN_UNUSED int spl_change(spl_transaction *transaction, spl_statement statement,
                               const spl_value *values, size_t value_count, int *ret_changed,
                               spl_error *ret_error);

/* The store on it. `sql` is used up, also on failure. */
SPL_WARN_UNUSED int spl_store_on_sql(spl_sql *sql, spl_store **ret_store, spl_error *ret_error);

#endif

/* SPDX-License-Identifier: MIT
 *
 * The database interface of the job store (sql_store.c): transactions of the statements in
 * statements.h, behind a table of functions. The implementations are SQLite (sqlite.c) and
 * PostgreSQL (postgres.c).
 *
 * Handles are thread-safe; a transaction and its rows belong to one thread. Every function can
 * return IO (the database is unusable), NO_SPACE, PERMISSION, FORMAT and MEMORY.
 */
#ifndef SPL_SERVICE_STORE_SQL_H
#define SPL_SERVICE_STORE_SQL_H

#include "service/store/statements.h"

typedef struct spl_sql spl_sql;

/* What a thread can wait for. */
typedef enum spl_topic {
    SPL_TOPIC_JOB, /* the job with the given id */
    SPL_TOPIC_ALL_JOBS,
    SPL_TOPIC_QUEUE,
    SPL_TOPIC_DELIVERIES,
} spl_topic;

typedef enum spl_transaction_kind {
    SPL_READ,      /* reads a few rows of one snapshot of the database */
    SPL_READ_LONG, /* reads many; delays no SPL_READ */
    SPL_WRITE,     /* durable when commit returns */
    /* Durable a moment later where that is cheaper, at the latest with the next SPL_WRITE. */
    SPL_WRITE_SOON,
} spl_transaction_kind;

#define SPL_NOTIFICATIONS_MAX 4

typedef struct spl_transaction {
    spl_sql *sql; /* NULL: none */
    spl_transaction_kind kind;
    void *connection;
    double deadline_s; /* on the clock of spl_now_s; PostgreSQL only */
    struct {
        spl_topic topic;
        char id[SPL_ID_SIZE];
    } notifications[SPL_NOTIFICATIONS_MAX];
    size_t notification_count;
} spl_transaction;

/* The rows that a statement returns, and the current position in them. */
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
    /* Sets ret_transaction->connection, and deadline_s where it is used. */
    int (*begin)(spl_sql *sql, spl_transaction *transaction, spl_error *ret_error);
    int (*commit)(spl_transaction *transaction, spl_error *ret_error);
    void (*end)(spl_transaction *transaction);
    /* Sets rows->handle, and *ret_changed to the number of changed rows. Returns 1 if there is a
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
    /* Called after each commit for each of its notifications, and for those of other processes. Set
     * before the first transaction. */
    void (*notified)(void *user, spl_topic topic, const char *id);
    void *user;
};

/* On failure there is nothing to end. */
SPL_WARN_UNUSED int spl_transaction_begin(spl_sql *sql, spl_transaction_kind kind,
                                          spl_transaction *ret_transaction, spl_error *ret_error);
/* Notifies the waiting threads of all processes when the transaction commits. `id` is a job's id,
 * or NULL. At most SPL_NOTIFICATIONS_MAX notifications a transaction. */
void spl_transaction_notify(spl_transaction *transaction, spl_topic topic, const char *id);
/* A failed commit of a shared database may still take effect, at once or later. */
SPL_WARN_UNUSED int spl_transaction_commit(spl_transaction *transaction, spl_error *ret_error);
/* Rolls back what was not committed. For SPL_CLEANUP; does nothing for a zeroed transaction. */
void spl_transaction_end(spl_transaction *transaction);

/* Runs a statement up to its first row. Returns 1 if there is one, 0 if there is none, or a
 * negative status. *ret_rows (may be NULL) is also set for 0, and must be ended:
 * SPL_CLEANUP(spl_rows_end) spl_rows row = {0}; */
SPL_WARN_UNUSED int spl_query(spl_transaction *transaction, spl_statement statement,
                              const spl_value *values, size_t value_count, spl_rows *ret_rows,
                              spl_error *ret_error);
/* Advances to the next row. Returns 1, 0 or a negative status. */
SPL_WARN_UNUSED int spl_rows_next(spl_rows *rows, spl_error *ret_error);
void spl_rows_end(spl_rows *rows);
/* Columns of the current row, counted from 0. */
int64_t spl_row_whole(const spl_rows *rows, int column);
double spl_row_real(const spl_rows *rows, int column);
/* A copy of the text, which the caller owns; NULL for NULL. Errors: MEMORY. */
SPL_WARN_UNUSED int spl_row_text(const spl_rows *rows, int column, char **ret_text,
                                 spl_error *ret_error);
/* Copies the text into `size` bytes, truncated if necessary. */
void spl_row_fill(const spl_rows *rows, int column, char *text, size_t size);

/* Runs a statement without rows. *ret_changed (may be NULL) is the number of changed rows. */
SPL_WARN_UNUSED int spl_change(spl_transaction *transaction, spl_statement statement,
                               const spl_value *values, size_t value_count, int *ret_changed,
                               spl_error *ret_error);

/* Makes the store that uses `sql`, and takes ownership of it, also on failure. */
SPL_WARN_UNUSED int spl_store_on_sql(spl_sql *sql, spl_store **ret_store, spl_error *ret_error);

#endif

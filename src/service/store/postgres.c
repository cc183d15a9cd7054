/* SPDX-License-Identifier: MIT
 *
 * PostgreSQL behind the job store.
 *
 * Connections form a pool. A separate thread opens them on demand, so a caller waits no longer than
 * its transaction's deadline, however long a host takes to answer. A failed connection is closed,
 * and a transaction whose BEGIN failed on it continues with another one.
 *
 * A further thread listens for the changes that other processes announce within their transactions
 * (NOTIFY). When it has to reconnect, it ends all waits, because it may have missed a notification.
 *
 * A connection keeps no state between transactions: statements are not prepared and settings are
 * local. Processes that do not listen can therefore use a pooler in transaction mode.
 */
#include "base/clock.h"
#include "service/store/postgres_sql.h"
#include "service/store/postgres_usage_sql.h"
#include "service/store/schema_2_sql.h"
#include "service/store/schema_3_sql.h"
#include "service/store/schema_4_sql.h"
#include "service/store/schema_5_sql.h"
#include "service/store/schema_6_sql.h"
#include "service/store/schema_sql.h"
#include "service/store/sql.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <libpq-fe.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEADLINE_S      3.5
#define DOWN_S          0.4 /* instead of DEADLINE_S, while the server is down */
#define CONNECT_S       "2" /* for each address of each host */
#define RECONNECT_MS    200
#define LISTEN_CHECK_MS 10000 /* after this silence the listener checks the connection */
#define CHANNEL         "spleeterd"
#define TEXT_OID        25
#define INT8_OID        20
#define FLOAT8_OID      701
#define PARAMETERS_MAX  40
#define MIGRATION_LOCK  "1936747636"

/* The i-th migration upgrades the tables from version i to i + 1. */
static const char *const migrations[] = {schema_sql,   schema_2_sql,      postgres_sql,
                                         schema_3_sql, schema_4_sql,      schema_5_sql,
                                         schema_6_sql, postgres_usage_sql};

typedef struct pooled {
    PGconn *pg;
    struct pooled *next;
    bool warned; /* the server sent a warning during the last statement */
    bool late;   /* it did not answer in time */
} pooled;

typedef struct postgres {
    spl_sql base;
    char *url;
    unsigned most;
    atomic_int_least64_t offset_ms; /* the server's clock minus spl_steady_ms */
    pthread_mutex_t lock;           /* guards the members below */
    pthread_cond_t changed;         /* monotonic clock */
    pooled *idle;                   /* a stack: the last used on top */
    unsigned made, waiting;
    bool ending;
    /* A wait for a connection or an answer failed, and no connection was made since. */
    bool down;
    char reason[512]; /* why the last attempt to connect failed */
    pthread_t connector, listener;
    bool listens, has_connector, has_listener;
    int end_listening; /* eventfd */
} postgres;

/* ------------------------------------------------------------- errors ---- */

/* Copies the first line of a message of libpq. */
static void first_line(const char *text, char *ret_line, size_t size) {
    snprintf(ret_line, size, "%.*s", (int)strcspn(text, "\n"), text);
}

static int fail_postgres(PGconn *pg, const PGresult *result, spl_error *ret_error) {
    const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    const char *message = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    char line[400];
    first_line(message ? message : PQerrorMessage(pg), line, sizeof(line));
    spl_status status = SPL_E_IO;
    if (state && strcmp(state, "53100") == 0)
        status = SPL_E_NO_SPACE;
    else if (state && (strncmp(state, "28", 2) == 0 || strcmp(state, "42501") == 0))
        status = SPL_E_PERMISSION;
    return spl_fail(ret_error, status, "the job database: %s%s%s%s", line, state ? " (" : "",
                    state ? state : "", state ? ")" : "");
}

static void take_notice(void *user, const PGresult *result) {
    pooled *connection = user;
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    if (severity && strcmp(severity, "WARNING") == 0)
        connection->warned = true;
}

/* --------------------------------------------------------- connecting ---- */

/* Blocks for up to CONNECT_S for each address. Returns NULL on failure, with the reason. */
static PGconn *connect_to(const char *url, char *ret_reason, size_t size) {
    /* The URL overrides the settings that precede it. */
    static const char *const names[] = {"application_name", "target_session_attrs",
                                        "connect_timeout",  "tcp_user_timeout",
                                        "keepalives_idle",  "keepalives_interval",
                                        "keepalives_count", "client_encoding",
                                        "dbname",           NULL};
    const char *const values[] = {"spleeterd", "read-write", CONNECT_S, "4000", "5",
                                  "2",         "2",          "UTF8",    url,    NULL};
    PGconn *pg = PQconnectdbParams(names, values, 1);
    if (pg && PQstatus(pg) == CONNECTION_OK)
        return pg;
    first_line(pg ? PQerrorMessage(pg) : "out of memory", ret_reason, size);
    PQfinish(pg);
    return NULL;
}

int spl_store_probe_postgres(const char *url, spl_error *ret_error) {
    char reason[256];
    PGconn *pg = connect_to(url, reason, sizeof(reason));
    PQfinish(pg);
    return pg ? 0 : spl_fail(ret_error, SPL_E_IO, "cannot reach the database: %s", reason);
}

static bool learn_clock(postgres *sql, PGconn *pg) {
    const int64_t before_ms = spl_steady_ms();
    PGresult *result = PQexec(pg, "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint");
    const bool known = PQresultStatus(result) == PGRES_TUPLES_OK;
    if (known)
        atomic_store(&sql->offset_ms, strtoll(PQgetvalue(result, 0, 0), NULL, 10) -
                                          (before_ms + spl_steady_ms()) / 2);
    PQclear(result);
    return known;
}

static void close_pooled(pooled *connection) {
    PQfinish(connection->pg);
    free(connection);
}

static pooled *make_pooled(postgres *sql, char *ret_reason, size_t size) {
    PGconn *pg = connect_to(sql->url, ret_reason, size);
    if (!pg)
        return NULL;
    pooled *connection = calloc(1, sizeof(*connection));
    if (!connection || PQsetnonblocking(pg, 1) < 0 || !learn_clock(sql, pg)) {
        first_line(PQerrorMessage(pg), ret_reason, size);
        PQfinish(pg);
        free(connection);
        return NULL;
    }
    connection->pg = pg;
    PQsetNoticeReceiver(pg, take_notice, connection);
    return connection;
}

/* The thread that opens connections. */
static void *connect_when_needed(void *user) {
    postgres *sql = user;
    char reason[sizeof(sql->reason)];
    pthread_mutex_lock(&sql->lock);
    while (!sql->ending) {
        if (sql->waiting == 0 || sql->idle || sql->made >= sql->most) {
            pthread_cond_wait(&sql->changed, &sql->lock);
            continue;
        }
        sql->made++;
        pthread_mutex_unlock(&sql->lock);
        pooled *connection = make_pooled(sql, reason, sizeof(reason));
        pthread_mutex_lock(&sql->lock);
        if (connection) {
            connection->next = sql->idle;
            sql->idle = connection;
            sql->reason[0] = '\0';
            sql->down = false;
            pthread_cond_broadcast(&sql->changed);
            continue;
        }
        sql->made--;
        memcpy(sql->reason, reason, sizeof(reason));
        const struct timespec deadline = spl_clock_in(RECONNECT_MS);
        for (int failed = 0; !failed && !sql->ending;)
            failed = pthread_cond_timedwait(&sql->changed, &sql->lock, &deadline);
    }
    pthread_mutex_unlock(&sql->lock);
    return NULL;
}

static int take_connection(postgres *sql, double deadline_s, pooled **ret_connection,
                           spl_error *ret_error) {
    pthread_mutex_lock(&sql->lock);
    const double wait_s = fmin(fmax(deadline_s - spl_now_s(), 0), sql->down ? DOWN_S : DEADLINE_S);
    const struct timespec deadline = spl_clock_in((uint64_t)(1000 * wait_s));
    sql->waiting++;
    pthread_cond_broadcast(&sql->changed);
    int failed = 0;
    while (!sql->idle && !failed)
        failed = pthread_cond_timedwait(&sql->changed, &sql->lock, &deadline);
    sql->waiting--;
    pooled *connection = sql->idle;
    int status = 0;
    if (connection) {
        sql->idle = connection->next;
    } else {
        sql->down = sql->down || sql->reason[0];
        status = spl_fail(ret_error, SPL_E_IO, "the job database can't be reached: %s",
                          sql->reason[0] ? sql->reason : "all connections are busy");
    }
    pthread_mutex_unlock(&sql->lock);
    if (connection)
        *ret_connection = connection;
    return status;
}

static void give_connection(postgres *sql, pooled *connection) {
    const bool good = PQstatus(connection->pg) == CONNECTION_OK &&
                      PQtransactionStatus(connection->pg) == PQTRANS_IDLE;
    pooled *bad = NULL;
    pthread_mutex_lock(&sql->lock);
    if (good) {
        connection->next = sql->idle;
        sql->idle = connection;
    } else {
        bad = connection;
        bad->next = bad->late ? sql->idle : NULL; /* the idle ones would not answer either */
        sql->down = sql->down || bad->late;
        if (bad->late)
            sql->idle = NULL;
        for (const pooled *each = bad; each; each = each->next)
            sql->made--;
    }
    pthread_cond_broadcast(&sql->changed);
    pthread_mutex_unlock(&sql->lock);
    while (bad) {
        pooled *next = bad->next;
        close_pooled(bad);
        bad = next;
    }
}

/* --------------------------------------------------------- statements ---- */

/* Waits for the server's answer. Returns false if the deadline passes or the connection fails. */
static bool wait_for_answer(PGconn *pg, double deadline_s) {
    for (;;) {
        const int unsent = PQflush(pg);
        if (unsent < 0)
            return false;
        if (!unsent && !PQisBusy(pg))
            return true;
        const double left_s = deadline_s - spl_now_s();
        struct pollfd socket = {.fd = PQsocket(pg),
                                .events = (short)(POLLIN | (unsent ? POLLOUT : 0))};
        if (left_s <= 0 || (poll(&socket, 1, (int)(left_s * 1000) + 1) < 0 && errno != EINTR))
            return false;
        if ((socket.revents & ~POLLOUT) && !PQconsumeInput(pg))
            return false;
    }
}

/* Reads all results of what was sent. *ret_result is the last one; the status is that of the first
 * failure. If the answer is late or the connection breaks, the connection is unusable
 * afterwards. */
static int finish_sent(spl_transaction *transaction, PGresult **ret_result, spl_error *ret_error) {
    pooled *connection = transaction->connection;
    PGresult *kept = NULL;
    for (;;) {
        if (!wait_for_answer(connection->pg, transaction->deadline_s)) {
            PQclear(kept);
            connection->late = PQstatus(connection->pg) == CONNECTION_OK;
            int status = connection->late
                             ? spl_fail(ret_error, SPL_E_IO,
                                        "the job database did not answer in %g s", DEADLINE_S)
                             : fail_postgres(connection->pg, NULL, ret_error);
            shutdown(PQsocket(connection->pg), SHUT_RDWR);
            PQconsumeInput(connection->pg); /* marks the connection as bad */
            return status;
        }
        PGresult *result = PQgetResult(connection->pg);
        if (!result)
            break;
        if (kept && PQresultStatus(kept) == PGRES_FATAL_ERROR) {
            PQclear(result);
            continue;
        }
        PQclear(kept);
        kept = result;
    }
    const ExecStatusType state = PQresultStatus(kept);
    if (state != PGRES_COMMAND_OK && state != PGRES_TUPLES_OK) {
        int status = fail_postgres(connection->pg, kept, ret_error);
        const char *code = kept ? PQresultErrorField(kept, PG_DIAG_SQLSTATE) : NULL;
        if (code && strcmp(code, "25006") == 0) /* read-only: not the primary any more */
            shutdown(PQsocket(connection->pg), SHUT_RDWR);
        PQclear(kept);
        return status;
    }
    *ret_result = kept;
    return 0;
}

/* Runs statements without parameters. */
static int run_simple(spl_transaction *transaction, const char *text, spl_error *ret_error) {
    pooled *connection = transaction->connection;
    PGresult *result;
    if (!PQsendQuery(connection->pg, text))
        return fail_postgres(connection->pg, NULL, ret_error);
    int status = finish_sent(transaction, &result, ret_error);
    if (status == 0)
        PQclear(result);
    return status;
}

#define SPL_SKIP_LOCKED(of) " FOR UPDATE OF " of " SKIP LOCKED"
#define SPL_FOR_UPDATE      " FOR UPDATE"
#define SPL_LOCK(space)     "SELECT pg_advisory_xact_lock(1936747636, " space ")"
#define SPL_LOCK_OF(space)  "SELECT pg_advisory_xact_lock(1936747637, hashtext($1) # " space ")"
#define SPL_TRY_LOCK(space)                                                                        \
    "SELECT CAST(pg_try_advisory_xact_lock(1936747636, " space ") AS INTEGER)"
static const char *const texts[] = {
#define STATEMENT_TEXT(name, text) text,
    SPL_STATEMENTS(STATEMENT_TEXT)
#undef STATEMENT_TEXT
};

static int postgres_query(spl_transaction *transaction, spl_statement statement,
                          const spl_value *values, size_t value_count, spl_rows *rows,
                          int *ret_changed, spl_error *ret_error) {
    pooled *connection = transaction->connection;
    Oid types[PARAMETERS_MAX];
    const char *arguments[PARAMETERS_MAX];
    char numbers[PARAMETERS_MAX][32];
    assert(value_count <= PARAMETERS_MAX);
    for (size_t i = 0; i < value_count; i++) {
        arguments[i] = numbers[i];
        switch (values[i].kind) {
        case SPL_VALUE_TEXT:
            types[i] = TEXT_OID;
            arguments[i] = values[i].text;
            break;
        case SPL_VALUE_WHOLE:
            types[i] = INT8_OID;
            snprintf(numbers[i], sizeof(numbers[i]), "%" PRId64, values[i].whole);
            break;
        case SPL_VALUE_REAL:
            types[i] = FLOAT8_OID;
            snprintf(numbers[i], sizeof(numbers[i]),
                     isinf(values[i].real) ? "%sInfinity" : "%s%.17g",
                     isinf(values[i].real) && values[i].real < 0 ? "-" : "", values[i].real);
            break;
        }
    }
    if (!PQsendQueryParams(connection->pg, texts[statement], (int)value_count, types, arguments,
                           NULL, NULL, 0))
        return fail_postgres(connection->pg, NULL, ret_error);
    PGresult *result;
    int status = finish_sent(transaction, &result, ret_error);
    if (status < 0)
        return status;
    *ret_changed = atoi(PQcmdTuples(result));
    rows->handle = result;
    rows->at = 0;
    return PQntuples(result) > 0;
}

static int postgres_next(spl_rows *rows, spl_error *ret_error) {
    (void)ret_error;
    rows->at++;
    return rows->at < PQntuples(rows->handle);
}

static void postgres_end_rows(spl_rows *rows) {
    PQclear(rows->handle);
}

static const char *postgres_text(const spl_rows *rows, int column) {
    return PQgetisnull(rows->handle, rows->at, column) ? NULL
                                                       : PQgetvalue(rows->handle, rows->at, column);
}

static int64_t postgres_whole(const spl_rows *rows, int column) {
    return strtoll(PQgetvalue(rows->handle, rows->at, column), NULL, 10);
}

static double postgres_real(const spl_rows *rows, int column) {
    return strtod(PQgetvalue(rows->handle, rows->at, column), NULL);
}

/* ------------------------------------------------------- transactions ---- */

/* The server ends the transaction of a stopped process soon, so that its locks are released, and
 * abandons statements whose deadline has passed here. */
#define LIMITS                                                                                     \
    "; SET LOCAL idle_in_transaction_session_timeout = '5s'; SET LOCAL lock_timeout = '4s'"        \
    "; SET LOCAL statement_timeout = '4s'"
static const char *const begin_texts[] = {
    [SPL_READ] = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    [SPL_READ_LONG] = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    [SPL_WRITE] = "BEGIN" LIMITS,
    [SPL_WRITE_SOON] = "BEGIN" LIMITS "; SET LOCAL synchronous_commit = off",
};

static int postgres_begin(spl_sql *base, spl_transaction *transaction, spl_error *ret_error) {
    postgres *sql = (postgres *)base;
    transaction->deadline_s = spl_now_s() + DEADLINE_S;
    for (;;) {
        pooled *connection = NULL;
        int status = take_connection(sql, transaction->deadline_s, &connection, ret_error);
        if (status < 0)
            return status;
        transaction->connection = connection;
        status = run_simple(transaction, begin_texts[transaction->kind], ret_error);
        if (status == 0)
            return 0;
        give_connection(sql, connection); /* closes the failed one */
        if (spl_now_s() >= transaction->deadline_s)
            return status;
    }
}

static const char *const topic_names[] = {
    [SPL_TOPIC_JOB] = "job",
    [SPL_TOPIC_ALL_JOBS] = "jobs",
    [SPL_TOPIC_QUEUE] = "queue",
    [SPL_TOPIC_DELIVERIES] = "deliveries",
};

/* Writes "COMMIT", preceded by the notifications. Ids are letters, digits and '-'. */
static void write_commit(const spl_transaction *transaction, char *ret_text, size_t size) {
    size_t used = 0;
    for (size_t i = 0; i < transaction->notification_count; i++) {
        const char *id = transaction->notifications[i].id;
        assert(id[strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-")] ==
               '\0');
        used += (size_t)snprintf(ret_text + used, size - used, "NOTIFY " CHANNEL ", '%s %s'; ",
                                 topic_names[transaction->notifications[i].topic], id);
    }
    snprintf(ret_text + used, size - used, "COMMIT");
}

static int postgres_commit(spl_transaction *transaction, spl_error *ret_error) {
    pooled *connection = transaction->connection;
    char text[SPL_NOTIFICATIONS_MAX * 100];
    write_commit(transaction, text, sizeof(text));
    connection->warned = false;
    int status = run_simple(transaction, text, ret_error);
    /* The server warns when it stops waiting for its standby. The change would then be lost with
     * the primary. */
    if (status == 0 && connection->warned)
        status = spl_fail(ret_error, SPL_E_IO,
                          "the job database did not confirm that its standby has the change");
    return status;
}

static void postgres_end(spl_transaction *transaction) {
    pooled *connection = transaction->connection;
    if (PQstatus(connection->pg) == CONNECTION_OK &&
        PQtransactionStatus(connection->pg) != PQTRANS_IDLE)
        (void)!run_simple(transaction, "ROLLBACK", NULL);
    give_connection((postgres *)transaction->sql, connection);
}

/* ---------------------------------------------------------- listening ---- */

static void deliver_notification(const postgres *sql, const char *payload) {
    for (size_t i = 0; i < SPL_ARRAY_SIZE(topic_names); i++) {
        const size_t length = strlen(topic_names[i]);
        if (strncmp(payload, topic_names[i], length) == 0 && payload[length] == ' ')
            sql->base.notified(sql->base.user, (spl_topic)i, payload + length + 1);
    }
}

static void notify_all_topics(const postgres *sql) {
    for (size_t i = SPL_TOPIC_ALL_JOBS; i < SPL_ARRAY_SIZE(topic_names); i++)
        sql->base.notified(sql->base.user, (spl_topic)i, "");
}

static bool command(PGconn *pg, const char *text) {
    PGresult *result = PQexec(pg, text);
    const ExecStatusType state = PQresultStatus(result);
    PQclear(result);
    return state == PGRES_COMMAND_OK || state == PGRES_TUPLES_OK;
}

/* Handles notifications until the connection fails (false) or the listener must end (true). */
static bool listen_on(postgres *sql, PGconn *pg) {
    for (;;) {
        struct pollfd sockets[] = {{.fd = PQsocket(pg), .events = POLLIN},
                                   {.fd = sql->end_listening, .events = POLLIN}};
        const int ready = poll(sockets, 2, LISTEN_CHECK_MS);
        if (sockets[1].revents)
            return true;
        if (ready == 0 ? !learn_clock(sql, pg) : !PQconsumeInput(pg))
            return false;
        PGnotify *notice;
        while ((notice = PQnotifies(pg))) {
            deliver_notification(sql, notice->extra);
            PQfreemem(notice);
        }
    }
}

static void *listen_always(void *user) {
    postgres *sql = user;
    bool ended = false;
    while (!ended) {
        char reason[200];
        PGconn *pg = connect_to(sql->url, reason, sizeof(reason));
        if (pg && command(pg, "LISTEN " CHANNEL)) {
            notify_all_topics(sql);
            ended = listen_on(sql, pg);
        }
        PQfinish(pg);
        struct pollfd end = {.fd = sql->end_listening, .events = POLLIN};
        ended = ended || poll(&end, 1, RECONNECT_MS) > 0;
    }
    return NULL;
}

/* --------------------------------------------------- opening, closing ---- */

static int fail_migration(PGconn *pg, spl_error *ret_error) {
    char line[400];
    first_line(PQerrorMessage(pg), line, sizeof(line));
    return spl_fail(ret_error, SPL_E_IO, "the job database can't be prepared: %s", line);
}

static void ignore_notice(void *user, const PGresult *result) {
    (void)user;
    (void)result;
}

static int64_t query_number(PGconn *pg, const char *text) {
    PGresult *result = PQexec(pg, text);
    const bool found = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1;
    const int64_t number = found ? strtoll(PQgetvalue(result, 0, 0), NULL, 10) : -1;
    PQclear(result);
    return number;
}

/* The caller has begun a transaction that holds the migration lock. */
static int migrate_locked(PGconn *pg, spl_error *ret_error) {
    const int64_t newest = SPL_ARRAY_SIZE(migrations);
    if (!command(pg, "CREATE TABLE IF NOT EXISTS spleeterd_schema (version INTEGER NOT NULL)"))
        return fail_migration(pg, ret_error);
    int64_t version = query_number(pg, "SELECT coalesce(max(version), 0) FROM spleeterd_schema");
    if (version < 0)
        return fail_migration(pg, ret_error);
    if (version > newest)
        return spl_fail(ret_error, SPL_E_UNSUPPORTED,
                        "the job database was written by a newer release (its tables have version "
                        "%lld, this one knows up to %lld); run that release",
                        (long long)version, (long long)newest);
    for (; version < newest; version++) {
        char done[80];
        snprintf(done, sizeof(done), "INSERT INTO spleeterd_schema VALUES (%lld)",
                 (long long)version + 1);
        if (!command(pg, migrations[version]) || !command(pg, done))
            return fail_migration(pg, ret_error);
    }
    return 0;
}

static int migrate(const char *url, spl_error *ret_error) {
    char reason[400];
    PGconn *pg = connect_to(url, reason, sizeof(reason));
    if (!pg)
        return spl_fail(ret_error, SPL_E_IO, "the job database can't be reached: %s", reason);
    PQsetNoticeReceiver(pg, ignore_notice, NULL);
    int status = 0;
    if (!command(pg, "BEGIN") ||
        !command(pg, "SELECT pg_advisory_xact_lock(" MIGRATION_LOCK ", 0)"))
        status = fail_migration(pg, ret_error);
    if (status == 0)
        status = migrate_locked(pg, ret_error);
    if (status == 0 && !command(pg, "COMMIT"))
        status = fail_migration(pg, ret_error);
    PQfinish(pg);
    return status;
}

static int64_t postgres_now_ms(spl_sql *base) {
    return spl_steady_ms() + atomic_load(&((postgres *)base)->offset_ms);
}

static void postgres_close(spl_sql *base) {
    postgres *sql = (postgres *)base;
    pthread_mutex_lock(&sql->lock);
    sql->ending = true;
    pthread_cond_broadcast(&sql->changed);
    pthread_mutex_unlock(&sql->lock);
    if (sql->end_listening >= 0)
        eventfd_write(sql->end_listening, 1);
    if (sql->has_listener)
        pthread_join(sql->listener, NULL);
    if (sql->has_connector)
        pthread_join(sql->connector, NULL);
    while (sql->idle) {
        pooled *connection = sql->idle;
        sql->idle = connection->next;
        close_pooled(connection);
    }
    spl_close_p(&sql->end_listening);
    pthread_cond_destroy(&sql->changed);
    pthread_mutex_destroy(&sql->lock);
    if (sql->url)
        explicit_bzero(sql->url, strlen(sql->url));
    free(sql->url);
    free(sql);
}

static const spl_sql_functions functions = {
    .close = postgres_close,
    .now_ms = postgres_now_ms,
    .begin = postgres_begin,
    .commit = postgres_commit,
    .end = postgres_end,
    .query = postgres_query,
    .next = postgres_next,
    .end_rows = postgres_end_rows,
    .text = postgres_text,
    .whole = postgres_whole,
    .real = postgres_real,
};

static int start_threads(postgres *sql, spl_error *ret_error) {
    int failed = pthread_create(&sql->connector, NULL, connect_when_needed, sql);
    sql->has_connector = !failed;
    if (!failed && sql->listens) {
        failed = pthread_create(&sql->listener, NULL, listen_always, sql);
        sql->has_listener = !failed;
    }
    return failed ? spl_fail_errno(ret_error, failed, "cannot start a thread") : 0;
}

int spl_store_open_postgres(const spl_store_postgres *options, spl_store **ret_store,
                            spl_error *ret_error) {
    int status = migrate(options->url, ret_error);
    if (status < 0)
        return status;
    postgres *sql = calloc(1, sizeof(*sql));
    if (!sql)
        return spl_fail_memory(ret_error);
    *sql = (postgres){.base = {.functions = &functions, .shared = true},
                      .most = options->connections,
                      .listens = options->listens,
                      .url = strdup(options->url),
                      .end_listening = eventfd(0, EFD_CLOEXEC)};
    pthread_mutex_init(&sql->lock, NULL);
    atomic_init(&sql->offset_ms, spl_wall_ms() - spl_steady_ms());
    spl_clock_cond_init(&sql->changed);
    if (!sql->url)
        status = spl_fail_memory(ret_error);
    else if (sql->end_listening < 0)
        status = spl_fail_errno(ret_error, errno, "cannot make an eventfd");
    spl_store *store = NULL;
    if (status == 0)
        status = spl_store_on_sql(&sql->base, &store, ret_error); /* closes it on failure */
    else
        postgres_close(&sql->base);
    if (status < 0)
        return status;
    status = start_threads(sql, ret_error);
    if (status < 0)
        store->functions->close(store);
    else
        *ret_store = store;
    return status;
}

/* SPDX-License-Identifier: MIT
 *
 * The job store on SQLite.
 *
 * One connection writes, under its mutex; a few others read, each under its own, so that looking up a job waits neither for a commit that is
 * being flushed nor for a long list. Each function is one transaction. Threads that wait are told after the commit: one signal for the
 * queue, one for deliveries, and one for each of a fixed number of groups of jobs.
 */
#include "service/store/signals.h"
#include "service/store/sqlite_connection.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define READERS        4
#define JOB_GROUPS     64
#define WOKEN_WAIT_MS  20
#define LIST_MAX       200
#define AFTER_EVERY_ID "~"
#define EXHAUSTED_CODE "attempts-exhausted"

/* What threads wait for, and what its counter was when the last claim found nothing. */
typedef struct supply {
    spl_signal signal;
    atomic_uint_least64_t seen;
} supply;

typedef struct sqlite_store {
    spl_store base;
    spl_connection writer, readers[READERS];
    atomic_uint next_reader;
    supply queue, deliveries;
    spl_signal jobs[JOB_GROUPS];
    atomic_bool woken;
} sqlite_store;

static sqlite_store *of(spl_store *store) {
    return (sqlite_store *)store;
}

static spl_signal *signal_of_job(sqlite_store *store, const char *id) {
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (const char *c = id; *c; c++)
        hash = (hash ^ (uint8_t)*c) * 16777619u;
    return &store->jobs[hash % JOB_GROUPS];
}

static void tell_job(sqlite_store *store, const char *id) {
    spl_signal_raise(signal_of_job(store, id));
}

static void tell_all_jobs(sqlite_store *store) {
    for (size_t i = 0; i < JOB_GROUPS; i++)
        spl_signal_raise(&store->jobs[i]);
}

static int begin_write(sqlite_store *store, spl_transaction *ret_transaction,
                       spl_error *ret_error) {
    return spl_transaction_begin(&store->writer, ret_transaction, ret_error);
}

/* Takes the readers in turn. */
static int begin_read(sqlite_store *store, spl_transaction *ret_transaction, spl_error *ret_error) {
    const unsigned turn = atomic_fetch_add(&store->next_reader, 1);
    return spl_transaction_begin(&store->readers[turn % READERS], ret_transaction, ret_error);
}

static int no_such_job(const char *id, spl_error *ret_error) {
    return spl_fail(ret_error, SPL_E_NOT_FOUND, "there is no job %s", id);
}

static int lost(const char *id, spl_error *ret_error) {
    return spl_fail(ret_error, SPL_E_CANCELED, "the job %s is not this worker's any more", id);
}

/* -------------------------------------------------------------- rows ---- */

/* The outputs of a job that is being read. */
static int read_outputs(spl_connection *connection, spl_job *job, spl_error *ret_error) {
    SPL_CLEANUP(spl_row_reset_p) sqlite3_stmt *row = NULL;
    int more = spl_query(connection, SPL_SQL_GET_OUTPUTS, SPL_BIND(SPL_BIND_TEXT(job->id)), &row,
                         ret_error);
    for (; more > 0; more = spl_row_next(connection, row, ret_error)) {
        spl_job_output *grown =
            reallocarray(job->outputs, job->output_count + 1, sizeof(job->outputs[0]));
        if (!grown)
            return spl_fail_memory(ret_error);
        job->outputs = grown;
        spl_job_output *output = &grown[job->output_count++];
        *output = (spl_job_output){
            .complete = sqlite3_column_int(row, 2),
            .bytes = (uint64_t)sqlite3_column_int64(row, 3),
            .samples = (uint64_t)sqlite3_column_int64(row, 4),
            .clipped = (uint64_t)sqlite3_column_int64(row, 5),
            .peak_dbfs = sqlite3_column_double(row, 6),
        };
        spl_row_fill(row, 0, output->name, sizeof(output->name));
        spl_row_fill(row, 1, output->file, sizeof(output->file));
        spl_row_fill(row, 7, output->sha256, sizeof(output->sha256));
    }
    return more;
}

/* The job of a row that starts with SPL_JOB, without its outputs. */
static int read_columns(sqlite3_stmt *row, spl_job *job, spl_error *ret_error) {
    int column = 0, status = 0;
    spl_row_fill(row, column++, job->id, sizeof(job->id));
#define READ_TEXT(name)                                                                            \
    if (status == 0)                                                                               \
        status = spl_row_text(row, column++, &job->name, ret_error);
#define READ_WHOLE(name) job->name = (__typeof__(job->name))sqlite3_column_int64(row, column++);
#define READ_REAL(name)  job->name = sqlite3_column_double(row, column++);
    SPL_JOB_COLUMNS(READ_TEXT, READ_WHOLE, READ_REAL)
#undef READ_TEXT
#undef READ_WHOLE
#undef READ_REAL
    return status;
}

static int read_job(spl_connection *connection, sqlite3_stmt *row, spl_job *ret_job,
                    spl_error *ret_error) {
    SPL_CLEANUP(spl_job_free) spl_job job = {0};
    int status = read_columns(row, &job, ret_error);
    if (status == 0)
        status = read_outputs(connection, &job, ret_error);
    if (status < 0)
        return status;
    *ret_job = job;
    job = (spl_job){0};
    return 0;
}

/* The one job that the statement finds. */
static int query_job(spl_connection *connection, spl_statement statement, const spl_value *values,
                     size_t value_count, spl_job *ret_job, spl_error *ret_error) {
    SPL_CLEANUP(spl_row_reset_p) sqlite3_stmt *row = NULL;
    int found = spl_query(connection, statement, values, value_count, &row, ret_error);
    if (found < 0)
        return found;
    return found ? read_job(connection, row, ret_job, ret_error)
                 : spl_fail(ret_error, SPL_E_NOT_FOUND, "there is no such job");
}

/* The first column of the only row. */
static int query_whole(spl_connection *connection, spl_statement statement, const spl_value *values,
                       size_t value_count, int64_t *ret_whole, spl_error *ret_error) {
    SPL_CLEANUP(spl_row_reset_p) sqlite3_stmt *row = NULL;
    int found = spl_query(connection, statement, values, value_count, &row, ret_error);
    if (found > 0)
        *ret_whole = sqlite3_column_int64(row, 0);
    return SPL_MIN(found, 0);
}

/* The state of a job; NOT_FOUND. */
static int query_state(spl_connection *connection, const char *owner, const char *id,
                       spl_job_state *ret_state, spl_error *ret_error) {
    int64_t state = -1;
    int status = query_whole(connection, SPL_SQL_JOB_STATE,
                             SPL_BIND(SPL_BIND_TEXT(id), SPL_BIND_TEXT(owner)), &state, ret_error);
    if (status < 0)
        return status;
    if (state < 0)
        return no_such_job(id, ret_error);
    *ret_state = (spl_job_state)state;
    return 0;
}

/* ----------------------------------------------------------- creating ---- */

static int check_limits(spl_connection *connection, const spl_store_create *create,
                        uint64_t stored_bytes, spl_store_limit *ret_limit, spl_error *ret_error) {
    const spl_job *job = create->job;
    const bool queues = job->state == SPL_JOB_QUEUED;
    int64_t queued = 0;
    int status = query_whole(connection, SPL_SQL_COUNT_QUEUED, NULL, 0, &queued, ret_error);
    if (status < 0)
        return status;
    SPL_CLEANUP(spl_row_reset_p) sqlite3_stmt *row = NULL;
    status = spl_query(connection, SPL_SQL_OWNER_USAGE, SPL_BIND(SPL_BIND_TEXT(job->owner)), &row,
                       ret_error);
    if (status < 0)
        return status;
    const uint64_t jobs = (uint64_t)sqlite3_column_int64(row, 0);
    const uint64_t bytes = (uint64_t)sqlite3_column_int64(row, 1);

    spl_store_limit limit = SPL_LIMIT_NONE;
    if (queues && (uint64_t)queued >= create->queue_max)
        limit = SPL_LIMIT_QUEUE;
    else if (queues && jobs >= create->owner_jobs_max)
        limit = SPL_LIMIT_OWNER_JOBS;
    else if (stored_bytes > create->owner_bytes_max ||
             bytes > create->owner_bytes_max - stored_bytes)
        limit = SPL_LIMIT_OWNER_BYTES;
    *ret_limit = limit;
    return limit == SPL_LIMIT_NONE ? 0
                                   : spl_fail(ret_error, SPL_E_LIMIT, "a limit on jobs is reached");
}

static int insert_job(spl_connection *connection, const spl_job *job, spl_error *ret_error) {
    return spl_change(
        connection, SPL_SQL_INSERT_JOB,
#define BIND_TEXT(name)  , SPL_BIND_TEXT(job->name)
#define BIND_WHOLE(name) , SPL_BIND_WHOLE(job->name)
#define BIND_REAL(name)  , SPL_BIND_REAL(job->name)
        SPL_BIND(SPL_BIND_TEXT(job->id) SPL_JOB_COLUMNS(BIND_TEXT, BIND_WHOLE, BIND_REAL)),
#undef BIND_TEXT
#undef BIND_WHOLE
#undef BIND_REAL
        NULL, ret_error);
}

static int put_output(spl_connection *connection, const char *id, const spl_job_output *output,
                      spl_error *ret_error) {
    return spl_change(connection, SPL_SQL_PUT_OUTPUT,
                      SPL_BIND(SPL_BIND_TEXT(id), SPL_BIND_TEXT(output->name),
                               SPL_BIND_TEXT(output->file), SPL_BIND_WHOLE(output->complete),
                               SPL_BIND_WHOLE(output->bytes), SPL_BIND_WHOLE(output->samples),
                               SPL_BIND_WHOLE(output->clipped), SPL_BIND_REAL(output->peak_dbfs),
                               SPL_BIND_TEXT(output->sha256)),
                      NULL, ret_error);
}

static int store_answer(spl_connection *connection, const spl_store_create *create,
                        spl_error *ret_error) {
    int changed;
    int status = spl_change(
        connection, SPL_SQL_ANSWER_KEY,
        SPL_BIND(SPL_BIND_TEXT(create->job->owner), SPL_BIND_TEXT(create->idempotency_key),
                 SPL_BIND_TEXT(create->fingerprint), SPL_BIND_TEXT(create->answer)),
        &changed, ret_error);
    if (status == 0 && changed == 0)
        status = spl_fail(ret_error, SPL_E_ARGUMENT, "the idempotency key was not reserved");
    return status;
}

static int insert_delivery(spl_connection *connection, const spl_delivery *delivery,
                           spl_error *ret_error) {
    return spl_change(connection, SPL_SQL_INSERT_DELIVERY,
                      SPL_BIND(SPL_BIND_TEXT(delivery->id), SPL_BIND_TEXT(delivery->job),
                               SPL_BIND_TEXT(delivery->owner), SPL_BIND_TEXT(delivery->url),
                               SPL_BIND_TEXT(delivery->payload), SPL_BIND_WHOLE(delivery->next_ms)),
                      NULL, ret_error);
}

static int sqlite_create(spl_store *base, const spl_store_create *create,
                         spl_store_limit *ret_limit, spl_error *ret_error) {
    sqlite_store *store = of(base);
    spl_job job = *create->job;
    assert(job.state == SPL_JOB_QUEUED || job.state == SPL_JOB_SUCCEEDED);
    job.fence = 0;
    job.version = 1;
    if (job.state == SPL_JOB_QUEUED)
        job.stored_bytes = job.input_bytes;

    SPL_CLEANUP(spl_transaction_end_p) spl_transaction transaction = {0};
    int status = begin_write(store, &transaction, ret_error);
    if (status == 0)
        status =
            check_limits(transaction.connection, create, job.stored_bytes, ret_limit, ret_error);
    if (status == 0)
        status = insert_job(transaction.connection, &job, ret_error);
    for (size_t i = 0; i < job.output_count && status == 0; i++)
        status = put_output(transaction.connection, job.id, &job.outputs[i], ret_error);
    if (status == 0 && create->delivery)
        status = insert_delivery(transaction.connection, create->delivery, ret_error);
    if (status == 0 && create->idempotency_key)
        status = store_answer(transaction.connection, create, ret_error);
    if (status == 0)
        status = spl_transaction_commit(&transaction, ret_error);
    if (status == 0)
        spl_signal_raise(&store->queue.signal);
    if (status == 0 && create->delivery)
        spl_signal_raise(&store->deliveries.signal);
    return status;
}

/* ------------------------------------------------------------ reading ---- */

static int sqlite_ping(spl_store *base, spl_error *ret_error) {
    SPL_CLEANUP(spl_transaction_end_p) spl_transaction transaction = {0};
    int status = begin_read(of(base), &transaction, ret_error);
    if (status == 0)
        status = spl_query(transaction.connection, SPL_SQL_PING, NULL, 0, NULL, ret_error);
    return SPL_MIN(status, 0);
}

static int sqlite_get(spl_store *base, const char *owner, const char *id, spl_job *ret_job,
                      spl_error *ret_error) {
    SPL_CLEANUP(spl_transaction_end_p) spl_transaction transaction = {0};
    int status = begin_read(of(base), &transaction, ret_error);
    if (status < 0)
        return status;
    status = query_job(transaction.connection, SPL_SQL_GET_JOB,
                       SPL_BIND(SPL_BIND_TEXT(id), SPL_BIND_TEXT(owner)), ret_job, ret_error);
    return status == SPL_E_NOT_FOUND ? no_such_job(id, ret_error) : status;
}

static void free_jobs(spl_job *jobs, size_t count) {
    for (size_t i = 0; i < count; i++)
        spl_job_free(&jobs[i]);
    free(jobs);
}

static int sqlite_list(spl_store *base, const spl_store_filter *filter, spl_job **ret_jobs,
                       size_t *ret_count, bool *ret_more, spl_error *ret_error) {
    assert(filter->limit >= 1 && filter->limit <= LIST_MAX);
    SPL_CLEANUP(spl_transaction_end_p) spl_transaction transaction = {0};
    int status = begin_read(of(base), &transaction, ret_error);
    if (status < 0)
        return status;
    spl_connection *connection = transaction.connection;
    const spl_value values[] = {
        SPL_BIND_TEXT(filter->before_id ? filter->before_id : AFTER_EVERY_ID),
        SPL_BIND_WHOLE(filter->states),
        SPL_BIND_TEXT(filter->model),
        SPL_BIND_WHOLE(filter->created_after_ms),
        SPL_BIND_WHOLE(filter->created_before_ms),
        SPL_BIND_WHOLE(filter->limit + 1),
        SPL_BIND_TEXT(filter->owner),
    };
    SPL_CLEANUP(spl_row_reset_p) sqlite3_stmt *row = NULL;
    int found = filter->owner ? spl_query(connection, SPL_SQL_LIST_OWNED, values,
                                          SPL_ARRAY_SIZE(values), &row, ret_error)
                              : spl_query(connection, SPL_SQL_LIST_ALL, values,
                                          SPL_ARRAY_SIZE(values) - 1, &row, ret_error);
    spl_job *jobs = calloc(filter->limit, sizeof(*jobs));
    if (!jobs)
        return spl_fail_memory(ret_error);
    size_t count = 0;
    while (found > 0 && count < filter->limit) {
        found = read_job(connection, row, &jobs[count], ret_error);
        if (found < 0)
            break;
        count++;
        found = spl_row_next(connection, row, ret_error);
    }
    if (found < 0) {
        free_jobs(jobs, count);
        return found;
    }
    *ret_jobs = jobs;
    *ret_count = count;
    *ret_more = found > 0;
    return 0;
}

static int sqlite_queue_position(spl_store *base, const char *id, uint64_t *ret_before,
                                 double *ret_audio_s, spl_error *ret_error) {
    SPL_CLEANUP(spl_transaction_end_p) spl_transaction transaction = {0};
    int status = begin_read(of(base), &transaction, ret_error);
    if (status < 0)
        return status;
    spl_job_state state;
    status = query_state(transaction.connection, NULL, id, &state, ret_error);
    if (status < 0)
        return status;
    uint64_t before = 0;
    double audio_s = 0;
    if (state == SPL_JOB_QUEUED) {
        SPL_CLEANUP(spl_row_reset_p) sqlite3_stmt *row = NULL;
        status = spl_query(transaction.connection, SPL_SQL_QUEUE_POSITION,
                           SPL_BIND(SPL_BIND_TEXT(id)), &row, ret_error);
        if (status < 0)
            return status;
        before = (uint64_t)sqlite3_column_int64(row, 0);
        audio_s = sqlite3_column_double(row, 1);
    }
    *ret_before = before;
    *ret_audio_s = audio_s;
    return 0;
}

static int sqlite_find_result(spl_store *base, const char *owner, const char *cache_key,
                              int64_t now_ms, spl_job *ret_job, spl_error *ret_error) {
    SPL_CLEANUP(spl_transaction_end_p) spl_transaction transaction = {0};
    int status = begin_read(of(base), &transaction, ret_error);
    if (status < 0)
        return status;
    return query_job(
        transaction.connection, SPL_SQL_FIND_RESULT,
        SPL_BIND(SPL_BIND_TEXT(owner), SPL_BIND_TEXT(cache_key), SPL_BIND_WHOLE(now_ms)), ret_job,
        ret_error);
}

static int sqlite_owner_usage(spl_store *base, const char *owner, uint64_t *ret_jobs,
                              uint64_t *ret_bytes, spl_error *ret_error) {
    SPL_CLEANUP(spl_transaction_end_p) spl_transaction transaction = {0};
    int status = begin_read(of(base), &transaction, ret_error);
    if (status < 0)
        return status;
    SPL_CLEANUP(spl_row_reset_p) sqlite3_stmt *row = NULL;
    status = spl_query(transaction.connection, SPL_SQL_OWNER_USAGE, SPL_BIND(SPL_BIND_TEXT(owner)),
                       &row, ret_error);
    if (status < 0)
        return status;
    *ret_jobs = (uint64_t)sqlite3_column_int64(row, 0);
    *ret_bytes = (uint64_t)sqlite3_column_int64(row, 1);
    return 0;
}

static int sqlite_holds_files(spl_store *base, const char *id, bool *ret_holds,
                              spl_error *ret_error) {
    SPL_CLEANUP(spl_transaction_end_p) spl_transaction transaction = {0};
    int status = begin_read(of(base), &transaction, ret_error);
    if (status < 0)
        return status;
    spl_job_state state;
    status = query_state(transaction.connection, NULL, id, &state, ret_error);
    if (status < 0 && status != SPL_E_NOT_FOUND)
        return status;
    *ret_holds = status == 0 && state != SPL_JOB_EXPIRED;
    return 0;
}

static int sqlite_stats(spl_store *base, spl_store_stats *ret_stats, spl_error *ret_error) {
    SPL_CLEANUP(spl_transaction_end_p) spl_transaction transaction = {0};
    int status = begin_read(of(base), &transaction, ret_error);
    if (status < 0)
        return status;
    SPL_CLEANUP(spl_row_reset_p) sqlite3_stmt *row = NULL;
    status = spl_query(transaction.connection, SPL_SQL_STATS, NULL, 0, &row, ret_error);
    if (status < 0)
        return status;
    *ret_stats = (spl_store_stats){
        .queued = (uint64_t)sqlite3_column_int64(row, 0),
        .running = (uint64_t)sqlite3_column_int64(row, 1),
        .oldest_queued_ms = sqlite3_column_int64(row, 2),
        .stored_bytes = (uint64_t)sqlite3_column_int64(row, 3),
        .deliveries = (uint64_t)sqlite3_column_int64(row, 4),
    };
    return 0;
}

/* ------------------------------------------------------------- ending ---- */

/* Ends a job with what belongs to it. `fence` < 0: it is queued. CANCELED: it is not in the state that this needs. */
static int end_job(spl_connection *connection, const char *id, int64_t fence,
                   const spl_store_finish *finish, spl_error *ret_error) {
    const spl_value values[] = {
        SPL_BIND_TEXT(id),
        SPL_BIND_WHOLE(finish->state),
        SPL_BIND_WHOLE(finish->now_ms),
        SPL_BIND_WHOLE(finish->expires_ms),
        SPL_BIND_TEXT(finish->result),
        SPL_BIND_TEXT(finish->error_code),
        SPL_BIND_TEXT(finish->error_detail),
        SPL_BIND_WHOLE(finish->dead_letter),
        SPL_BIND_WHOLE(finish->stored_bytes),
        SPL_BIND_WHOLE(fence),
    };
    int changed;
    int status = fence < 0 ? spl_change(connection, SPL_SQL_END_QUEUED, values,
                                        SPL_ARRAY_SIZE(values) - 1, &changed, ret_error)
                           : spl_change(connection, SPL_SQL_FINISH, values, SPL_ARRAY_SIZE(values),
                                        &changed, ret_error);
    if (status == 0 && changed == 0)
        status = lost(id, ret_error);
    if (status == 0 && finish->state != SPL_JOB_SUCCEEDED)
        status = spl_change(connection, SPL_SQL_FORGET_OUTPUTS, SPL_BIND(SPL_BIND_TEXT(id)), NULL,
                            ret_error);
    if (status == 0 && finish->delivery)
        status = insert_delivery(connection, finish->delivery, ret_error);
    return status;
}

static int sqlite_finish(spl_store *base, const char *id, int64_t fence,
                         const spl_store_finish *finish, spl_error *ret_error) {
    sqlite_store *store = of(base);
    SPL_CLEANUP(spl_transaction_end_p) spl_transaction transaction = {0};
    int status = begin_write(store, &transaction, ret_error);
    if (status == 0)
        status = end_job(transaction.connection, id, fence, finish, ret_error);
    if (status == 0)
        status = spl_transaction_commit(&transaction, ret_error);
    if (status < 0)
        return status;
    tell_job(store, id);
    spl_signal_raise(&store->deliveries.signal);
    return 0;
}

static int sqlite_cancel(spl_store *base, const char *owner, const char *id,
                         const spl_store_finish *finish, bool *ret_now, spl_error *ret_error) {
    sqlite_store *store = of(base);
    SPL_CLEANUP(spl_transaction_end_p) spl_transaction transaction = {0};
    int status = begin_write(store, &transaction, ret_error);
    if (status < 0)
        return status;
    spl_connection *connection = transaction.connection;
    spl_job_state state;
    status = query_state(connection, owner, id, &state, ret_error);
    if (status < 0)
        return status;
    if (state == SPL_JOB_QUEUED)
        status = end_job(connection, id, -1, finish, ret_error);
    else if (state == SPL_JOB_RUNNING)
        status = spl_change(connection, SPL_SQL_ASK_TO_CANCEL, SPL_BIND(SPL_BIND_TEXT(id)), NULL,
                            ret_error);
    else
        status = spl_fail(ret_error, SPL_E_ARGUMENT, "the job %s is %s already", id,
                          spl_job_state_text(state));
    if (status == 0)
        status = spl_transaction_commit(&transaction, ret_error);
    if (status < 0)
        return status;
    tell_job(store, id);
    spl_signal_raise(&store->deliveries.signal);
    *ret_now = state == SPL_JOB_QUEUED;
    return 0;
}

static int sqlite_remove(spl_store *base, const char *owner, const char *id, spl_error *ret_error) {
    sqlite_store *store = of(base);
    SPL_CLEANUP(spl_transaction_end_p) spl_transaction transaction = {0};
    int status = begin_write(store, &transaction, ret_error);
    int changed = 0;
    if (status == 0)
        status = spl_change(transaction.connection, SPL_SQL_REMOVE_JOB,
                            SPL_BIND(SPL_BIND_TEXT(id), SPL_BIND_TEXT(owner)), &changed, ret_error);
    if (status == 0 && changed == 0)
        status = no_such_job(id, ret_error);
    if (status == 0)
        status = spl_transaction_commit(&transaction, ret_error);
    if (status == 0)
        tell_job(store, id);
    return status;
}

/* The ids of the rows that EXPIRE gives, up to `limit`. */
static int expire_some(spl_connection *connection, int64_t now_ms, size_t limit,
                       char (*ids)[SPL_ID_SIZE], size_t *ret_count, spl_error *ret_error) {
    SPL_CLEANUP(spl_row_reset_p) sqlite3_stmt *row = NULL;
    size_t count = 0;
    int more = spl_query(connection, SPL_SQL_EXPIRE,
                         SPL_BIND(SPL_BIND_WHOLE(now_ms), SPL_BIND_WHOLE(limit)), &row, ret_error);
    for (; more > 0 && count < limit; more = spl_row_next(connection, row, ret_error))
        spl_row_fill(row, 0, ids[count++], sizeof(ids[0]));
    *ret_count = count;
    return SPL_MIN(more, 0);
}

static int sqlite_expire(spl_store *base, int64_t now_ms, int64_t keep_ms, size_t limit,
                         char (**ret_ids)[SPL_ID_SIZE], size_t *ret_count, spl_error *ret_error) {
    sqlite_store *store = of(base);
    SPL_CLEANUP(spl_free_p) char(*ids)[SPL_ID_SIZE] = calloc(SPL_MAX(limit, 1u), sizeof(*ids));
    if (!ids)
        return spl_fail_memory(ret_error);
    SPL_CLEANUP(spl_transaction_end_p) spl_transaction transaction = {0};
    int status = begin_write(store, &transaction, ret_error);
    if (status < 0)
        return status;
    spl_connection *connection = transaction.connection;
    size_t count = 0;
    status = expire_some(connection, now_ms, limit, ids, &count, ret_error);
    for (size_t i = 0; i < count && status == 0; i++)
        status = spl_change(connection, SPL_SQL_FORGET_OUTPUTS, SPL_BIND(SPL_BIND_TEXT(ids[i])),
                            NULL, ret_error);
    const spl_value oldest = SPL_BIND_WHOLE(now_ms - keep_ms);
    if (status == 0)
        status = spl_change(connection, SPL_SQL_REMOVE_EXPIRED, &oldest, 1, NULL, ret_error);
    if (status == 0)
        status = spl_change(connection, SPL_SQL_REMOVE_OLD_KEYS, &oldest, 1, NULL, ret_error);
    if (status == 0)
        status = spl_change(connection, SPL_SQL_REMOVE_IDLE_OWNERS, NULL, 0, NULL, ret_error);
    if (status == 0)
        status = spl_transaction_commit(&transaction, ret_error);
    if (status < 0)
        return status;
    for (size_t i = 0; i < count; i++)
        tell_job(store, ids[i]);
    *ret_ids = SPL_STEAL(ids);
    *ret_count = count;
    return 0;
}

/* ------------------------------------------------------------ working ---- */

/* Queues the jobs again whose leases ran out. */
static int requeue_lost(spl_connection *connection, int64_t now_ms, unsigned *ret_count,
                        spl_error *ret_error) {
    const spl_value now = SPL_BIND_WHOLE(now_ms);
    for (unsigned count = 0;; count++) {
        char id[SPL_ID_SIZE];
        SPL_CLEANUP(spl_row_reset_p) sqlite3_stmt *row = NULL;
        int found =
            spl_query(connection, SPL_SQL_REQUEUE_LOST, SPL_BIND(now, now), &row, ret_error);
        if (found <= 0) {
            *ret_count = count;
            return found;
        }
        spl_row_fill(row, 0, id, sizeof(id));
        spl_row_reset_p(&row);
        int status = spl_change(connection, SPL_SQL_FORGET_OUTPUTS, SPL_BIND(SPL_BIND_TEXT(id)),
                                NULL, ret_error);
        if (status < 0)
            return status;
    }
}

/* Ends one queued job that is not to be tried again. Returns 1 when there was one, 0 when there is none. */
static int end_next(spl_connection *connection, const spl_store_claim *claim, bool *ret_dead,
                    spl_error *ret_error) {
    SPL_CLEANUP(spl_row_reset_p) sqlite3_stmt *row = NULL;
    int found = spl_query(connection, SPL_SQL_NEXT_TO_END,
                          SPL_BIND(SPL_BIND_WHOLE(claim->attempts_max)), &row, ret_error);
    if (found <= 0)
        return found;
    const bool dead = sqlite3_column_int(row, 4) == 0;
    SPL_CLEANUP(spl_delivery_free) spl_delivery delivery = {.next_ms = claim->now_ms};
    spl_row_fill(row, 0, delivery.id, sizeof(delivery.id)); /* a job ends once */
    spl_row_fill(row, 0, delivery.job, sizeof(delivery.job));
    int status = spl_row_text(row, 1, &delivery.owner, ret_error);
    if (status == 0)
        status = spl_row_text(row, 2, &delivery.url, ret_error);
    if (status < 0)
        return status;
    const spl_store_finish finish = {
        .state = dead ? SPL_JOB_FAILED : SPL_JOB_CANCELED,
        .now_ms = claim->now_ms,
        .expires_ms = claim->now_ms + claim->retention_ms,
        .error_code = dead ? EXHAUSTED_CODE : NULL,
        .error_detail = dead ? "The job was begun as often as is allowed and never finished" : NULL,
        .dead_letter = dead,
        .stored_bytes = (uint64_t)sqlite3_column_int64(row, 3),
        .delivery = delivery.url ? &delivery : NULL,
    };
    spl_row_reset_p(&row);
    status = end_job(connection, delivery.job, -1, &finish, ret_error);
    if (status < 0)
        return status;
    *ret_dead = dead;
    return 1;
}

static int sqlite_claim(spl_store *base, const spl_store_claim *claim, spl_job *ret_job,
                        unsigned *ret_dead, spl_error *ret_error) {
    sqlite_store *store = of(base);
    SPL_CLEANUP(spl_job_free) spl_job job = {0};
    SPL_CLEANUP(spl_transaction_end_p) spl_transaction transaction = {0};
    int status = begin_write(store, &transaction, ret_error);
    if (status < 0)
        return status;
    const uint64_t seen = spl_signal_count(&store->queue.signal);
    spl_connection *connection = transaction.connection;
    unsigned requeued = 0, ended = 0, dead = 0;
    status = requeue_lost(connection, claim->now_ms, &requeued, ret_error);
    if (status < 0)
        return status;
    for (bool is_dead; (status = end_next(connection, claim, &is_dead, ret_error)) > 0; ended++)
        dead += is_dead;
    if (status < 0)
        return status;
    status = query_job(connection, SPL_SQL_CLAIM,
                       SPL_BIND(SPL_BIND_WHOLE(claim->now_ms),
                                SPL_BIND_WHOLE(claim->now_ms + claim->lease_ms),
                                SPL_BIND_TEXT(claim->worker)),
                       &job, ret_error);
    const bool nothing = status == SPL_E_NOT_FOUND;
    if (status == 0)
        status = spl_change(connection, SPL_SQL_TAKE_TURN, SPL_BIND(SPL_BIND_TEXT(job.owner)), NULL,
                            ret_error);
    if (status == 0 || nothing) {
        int committed = spl_transaction_commit(&transaction, ret_error);
        status = committed < 0 ? committed : status;
    }
    if (status < 0 && status != SPL_E_NOT_FOUND)
        return status;

    *ret_dead = dead;
    if (requeued > 0 || ended > 0) {
        tell_all_jobs(store);
        spl_signal_raise(&store->deliveries.signal);
    }
    if (nothing) {
        atomic_store(&store->queue.seen, seen);
        return status;
    }
    tell_job(store, job.id);
    if (requeued > 1)
        spl_signal_raise(&store->queue.signal);
    *ret_job = job;
    job = (spl_job){0};
    return 0;
}

static int sqlite_heartbeat(spl_store *base, const char *id, int64_t fence, int64_t now_ms,
                            int64_t lease_ms, double progress, bool *ret_cancel,
                            spl_error *ret_error) {
    sqlite_store *store = of(base);
    SPL_CLEANUP(spl_transaction_end_p) spl_transaction transaction = {0};
    int status = begin_write(store, &transaction, ret_error);
    if (status < 0)
        return status;
    int64_t cancel = -1;
    status = query_whole(transaction.connection, SPL_SQL_HEARTBEAT,
                         SPL_BIND(SPL_BIND_TEXT(id), SPL_BIND_WHOLE(fence), SPL_BIND_WHOLE(now_ms),
                                  SPL_BIND_WHOLE(now_ms + lease_ms), SPL_BIND_REAL(progress)),
                         &cancel, ret_error);
    if (status == 0 && cancel < 0)
        status = lost(id, ret_error);
    if (status == 0)
        status = spl_transaction_commit(&transaction, ret_error);
    if (status < 0)
        return status;
    tell_job(store, id);
    *ret_cancel = cancel;
    return 0;
}

static int sqlite_set_output(spl_store *base, const char *id, int64_t fence,
                             const spl_job_output *output, spl_error *ret_error) {
    sqlite_store *store = of(base);
    SPL_CLEANUP(spl_transaction_end_p) spl_transaction transaction = {0};
    int status = begin_write(store, &transaction, ret_error);
    int changed = 0;
    if (status == 0)
        status =
            spl_change(transaction.connection, SPL_SQL_TOUCH_CLAIMED,
                       SPL_BIND(SPL_BIND_TEXT(id), SPL_BIND_WHOLE(fence)), &changed, ret_error);
    if (status == 0 && changed == 0)
        status = lost(id, ret_error);
    if (status == 0)
        status = put_output(transaction.connection, id, output, ret_error);
    if (status == 0)
        status = spl_transaction_commit(&transaction, ret_error);
    if (status == 0)
        tell_job(store, id);
    return status;
}

static int sqlite_release(spl_store *base, const char *id, int64_t fence, int64_t available_ms,
                          bool counts, spl_error *ret_error) {
    sqlite_store *store = of(base);
    SPL_CLEANUP(spl_transaction_end_p) spl_transaction transaction = {0};
    int status = begin_write(store, &transaction, ret_error);
    int changed = 0;
    if (status == 0)
        status = spl_change(transaction.connection, SPL_SQL_RELEASE,
                            SPL_BIND(SPL_BIND_WHOLE(available_ms), SPL_BIND_TEXT(id),
                                     SPL_BIND_WHOLE(fence), SPL_BIND_WHOLE(!counts)),
                            &changed, ret_error);
    if (status == 0 && changed == 0)
        status = lost(id, ret_error);
    if (status == 0)
        status = spl_change(transaction.connection, SPL_SQL_FORGET_OUTPUTS,
                            SPL_BIND(SPL_BIND_TEXT(id)), NULL, ret_error);
    if (status == 0)
        status = spl_transaction_commit(&transaction, ret_error);
    if (status < 0)
        return status;
    tell_job(store, id);
    spl_signal_raise(&store->queue.signal);
    return 0;
}

static int sqlite_rescue(spl_store *base, int64_t now_ms, uint64_t *ret_jobs,
                         spl_error *ret_error) {
    sqlite_store *store = of(base);
    SPL_CLEANUP(spl_transaction_end_p) spl_transaction transaction = {0};
    int status = begin_write(store, &transaction, ret_error);
    if (status < 0)
        return status;
    spl_connection *connection = transaction.connection;
    int rescued;
    status = spl_change(connection, SPL_SQL_RESCUE, SPL_BIND(SPL_BIND_WHOLE(now_ms)), &rescued,
                        ret_error);
    if (status == 0)
        status = spl_change(connection, SPL_SQL_FORGET_OUTPUTS_OF_QUEUED, NULL, 0, NULL, ret_error);
    if (status == 0)
        status = spl_change(connection, SPL_SQL_FREE_ALL_KEYS, NULL, 0, NULL, ret_error);
    if (status == 0)
        status = spl_transaction_commit(&transaction, ret_error);
    if (status < 0)
        return status;
    tell_all_jobs(store);
    spl_signal_raise(&store->queue.signal);
    *ret_jobs = (uint64_t)rescued;
    return 0;
}

/* -------------------------------------------------------- idempotency ---- */

/* What is stored with a key that was reserved before. */
static int read_key(spl_connection *connection, const char *owner, const char *key,
                    spl_idempotency *ret_state, char **ret_fingerprint, char **ret_answer,
                    spl_error *ret_error) {
    SPL_CLEANUP(spl_row_reset_p) sqlite3_stmt *row = NULL;
    int found = spl_query(connection, SPL_SQL_GET_KEY,
                          SPL_BIND(SPL_BIND_TEXT(owner), SPL_BIND_TEXT(key)), &row, ret_error);
    if (found < 0)
        return found;
    SPL_CLEANUP(spl_free_p) char *fingerprint = NULL;
    SPL_CLEANUP(spl_free_p) char *answer = NULL;
    int status = spl_row_text(row, 0, &fingerprint, ret_error);
    if (status == 0)
        status = spl_row_text(row, 1, &answer, ret_error);
    if (status < 0)
        return status;
    *ret_state = answer ? SPL_IDEMPOTENCY_DONE : SPL_IDEMPOTENCY_BUSY;
    if (answer) {
        *ret_fingerprint = SPL_STEAL(fingerprint);
        *ret_answer = SPL_STEAL(answer);
    }
    return 0;
}

static int sqlite_idempotency_reserve(spl_store *base, const char *owner, const char *key,
                                      int64_t now_ms, spl_idempotency *ret_state,
                                      char **ret_fingerprint, char **ret_answer,
                                      spl_error *ret_error) {
    SPL_CLEANUP(spl_transaction_end_p) spl_transaction transaction = {0};
    int status = begin_write(of(base), &transaction, ret_error);
    int changed = 0;
    if (status == 0)
        status =
            spl_change(transaction.connection, SPL_SQL_RESERVE_KEY,
                       SPL_BIND(SPL_BIND_TEXT(owner), SPL_BIND_TEXT(key), SPL_BIND_WHOLE(now_ms)),
                       &changed, ret_error);
    if (status < 0)
        return status;
    if (changed == 0)
        return read_key(transaction.connection, owner, key, ret_state, ret_fingerprint, ret_answer,
                        ret_error);
    status = spl_transaction_commit(&transaction, ret_error);
    if (status == 0)
        *ret_state = SPL_IDEMPOTENCY_NEW;
    return status;
}

static int sqlite_idempotency_release(spl_store *base, const char *owner, const char *key,
                                      spl_error *ret_error) {
    SPL_CLEANUP(spl_transaction_end_p) spl_transaction transaction = {0};
    int status = begin_write(of(base), &transaction, ret_error);
    if (status == 0)
        status = spl_change(transaction.connection, SPL_SQL_FREE_KEY,
                            SPL_BIND(SPL_BIND_TEXT(owner), SPL_BIND_TEXT(key)), NULL, ret_error);
    return status == 0 ? spl_transaction_commit(&transaction, ret_error) : status;
}

/* --------------------------------------------------------- deliveries ---- */

static int read_delivery(sqlite3_stmt *row, spl_delivery *ret_delivery, spl_error *ret_error) {
    SPL_CLEANUP(spl_delivery_free)
    spl_delivery delivery = {.attempts = (unsigned)sqlite3_column_int64(row, 5)};
    spl_row_fill(row, 0, delivery.id, sizeof(delivery.id));
    spl_row_fill(row, 1, delivery.job, sizeof(delivery.job));
    int status = spl_row_text(row, 2, &delivery.owner, ret_error);
    if (status == 0)
        status = spl_row_text(row, 3, &delivery.url, ret_error);
    if (status == 0)
        status = spl_row_text(row, 4, &delivery.payload, ret_error);
    if (status < 0)
        return status;
    *ret_delivery = delivery;
    delivery = (spl_delivery){0};
    return 0;
}

static int sqlite_delivery_claim(spl_store *base, int64_t now_ms, int64_t lease_ms,
                                 spl_delivery *ret_delivery, int64_t *ret_next_ms,
                                 spl_error *ret_error) {
    sqlite_store *store = of(base);
    SPL_CLEANUP(spl_delivery_free) spl_delivery delivery = {0};
    SPL_CLEANUP(spl_transaction_end_p) spl_transaction transaction = {0};
    int status = begin_write(store, &transaction, ret_error);
    if (status < 0)
        return status;
    const uint64_t seen = spl_signal_count(&store->deliveries.signal);
    spl_connection *connection = transaction.connection;
    SPL_CLEANUP(spl_row_reset_p) sqlite3_stmt *row = NULL;
    int found = spl_query(connection, SPL_SQL_CLAIM_DELIVERY,
                          SPL_BIND(SPL_BIND_WHOLE(now_ms), SPL_BIND_WHOLE(now_ms + lease_ms)), &row,
                          ret_error);
    if (found < 0)
        return found;
    if (!found) {
        status = query_whole(connection, SPL_SQL_NEXT_DELIVERY, NULL, 0, ret_next_ms, ret_error);
        atomic_store(&store->deliveries.seen, seen);
        return status < 0 ? status
                          : spl_fail(ret_error, SPL_E_NOT_FOUND, "there is no delivery to make");
    }
    status = read_delivery(row, &delivery, ret_error);
    spl_row_reset_p(&row);
    if (status == 0)
        status = spl_transaction_commit(&transaction, ret_error);
    if (status < 0)
        return status;
    *ret_delivery = delivery;
    ret_delivery->next_ms = now_ms + lease_ms;
    delivery = (spl_delivery){0};
    return 0;
}

/* Runs a statement on the delivery `id`, the first of `values`. */
static int change_delivery(spl_store *base, spl_statement statement, const spl_value *values,
                           size_t value_count, spl_error *ret_error) {
    sqlite_store *store = of(base);
    SPL_CLEANUP(spl_transaction_end_p) spl_transaction transaction = {0};
    int status = begin_write(store, &transaction, ret_error);
    int changed = 0;
    if (status == 0)
        status =
            spl_change(transaction.connection, statement, values, value_count, &changed, ret_error);
    if (status == 0 && changed == 0)
        status = spl_fail(ret_error, SPL_E_NOT_FOUND, "there is no delivery %s", values[0].text);
    if (status == 0)
        status = spl_transaction_commit(&transaction, ret_error);
    if (status == 0)
        spl_signal_raise(&store->deliveries.signal);
    return status;
}

static int sqlite_delivery_done(spl_store *base, const char *id, spl_error *ret_error) {
    return change_delivery(base, SPL_SQL_REMOVE_DELIVERY, SPL_BIND(SPL_BIND_TEXT(id)), ret_error);
}

static int sqlite_delivery_retry(spl_store *base, const char *id, int64_t next_ms,
                                 spl_error *ret_error) {
    return change_delivery(base, SPL_SQL_RETRY_DELIVERY,
                           SPL_BIND(SPL_BIND_TEXT(id), SPL_BIND_WHOLE(next_ms)), ret_error);
}

/* ------------------------------------------------------------ waiting ---- */

static unsigned wait_at_most(sqlite_store *store, unsigned timeout_ms) {
    return atomic_load(&store->woken) ? SPL_MIN(timeout_ms, WOKEN_WAIT_MS) : timeout_ms;
}

/* Whether the job is gone or not at this version; true also when that can't be found out. */
static bool has_changed(sqlite_store *store, const char *id, int64_t version) {
    SPL_CLEANUP(spl_transaction_end_p) spl_transaction transaction = {0};
    SPL_CLEANUP(spl_row_reset_p) sqlite3_stmt *row = NULL;
    return begin_read(store, &transaction, NULL) < 0 ||
           spl_query(transaction.connection, SPL_SQL_JOB_STATE,
                     SPL_BIND(SPL_BIND_TEXT(id), SPL_BIND_TEXT(NULL)), &row, NULL) <= 0 ||
           sqlite3_column_int64(row, 1) != version;
}

static void sqlite_wait_job(spl_store *base, const char *id, int64_t version, unsigned timeout_ms) {
    sqlite_store *store = of(base);
    spl_signal *signal = signal_of_job(store, id);
    const uint64_t seen = spl_signal_count(signal);
    if (!has_changed(store, id, version))
        spl_signal_wait(signal, seen, wait_at_most(store, timeout_ms));
}

static void wait_supply(sqlite_store *store, supply *waited, unsigned timeout_ms) {
    spl_signal_wait(&waited->signal, atomic_load(&waited->seen), wait_at_most(store, timeout_ms));
}

static void sqlite_wait_queue(spl_store *base, unsigned timeout_ms) {
    wait_supply(of(base), &of(base)->queue, timeout_ms);
}

static void sqlite_wait_delivery(spl_store *base, unsigned timeout_ms) {
    wait_supply(of(base), &of(base)->deliveries, timeout_ms);
}

static void sqlite_wake(spl_store *base) {
    sqlite_store *store = of(base);
    atomic_store(&store->woken, true);
    tell_all_jobs(store);
    spl_signal_raise(&store->queue.signal);
    spl_signal_raise(&store->deliveries.signal);
}

/* --------------------------------------------------- opening, closing ---- */

static void sqlite_close(spl_store *base) {
    sqlite_store *store = of(base);
    for (size_t i = 0; i < READERS; i++)
        spl_connection_close(&store->readers[i]);
    spl_connection_close(&store->writer);
    for (size_t i = 0; i < JOB_GROUPS; i++)
        spl_signal_destroy(&store->jobs[i]);
    spl_signal_destroy(&store->queue.signal);
    spl_signal_destroy(&store->deliveries.signal);
    free(store);
}

static const spl_store_functions sqlite_functions = {
    .close = sqlite_close,
    .ping = sqlite_ping,
    .create = sqlite_create,
    .get = sqlite_get,
    .list = sqlite_list,
    .queue_position = sqlite_queue_position,
    .find_result = sqlite_find_result,
    .owner_usage = sqlite_owner_usage,
    .claim = sqlite_claim,
    .heartbeat = sqlite_heartbeat,
    .set_output = sqlite_set_output,
    .finish = sqlite_finish,
    .release = sqlite_release,
    .rescue = sqlite_rescue,
    .cancel = sqlite_cancel,
    .remove = sqlite_remove,
    .expire = sqlite_expire,
    .holds_files = sqlite_holds_files,
    .idempotency_reserve = sqlite_idempotency_reserve,
    .idempotency_release = sqlite_idempotency_release,
    .delivery_claim = sqlite_delivery_claim,
    .delivery_done = sqlite_delivery_done,
    .delivery_retry = sqlite_delivery_retry,
    .stats = sqlite_stats,
    .wait_job = sqlite_wait_job,
    .wait_queue = sqlite_wait_queue,
    .wait_delivery = sqlite_wait_delivery,
    .wake = sqlite_wake,
};

int spl_store_open_sqlite(const char *data_dir, spl_store **ret_store, spl_error *ret_error) {
    sqlite_store *store = calloc(1, sizeof(*store));
    if (!store)
        return spl_fail_memory(ret_error);
    store->base.functions = &sqlite_functions;
    spl_signal_init(&store->queue.signal);
    spl_signal_init(&store->deliveries.signal);
    for (size_t i = 0; i < JOB_GROUPS; i++)
        spl_signal_init(&store->jobs[i]);

    int status = spl_connection_open_writer(data_dir, &store->writer, ret_error);
    for (size_t i = 0; i < READERS && status == 0; i++)
        status = spl_connection_open_reader(data_dir, &store->readers[i], ret_error);
    if (status < 0) {
        sqlite_close(&store->base);
        return status;
    }
    *ret_store = &store->base;
    return 0;
}

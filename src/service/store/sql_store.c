/* SPDX-License-Identifier: MIT
 *
 * The job store on a database. Each function is one transaction. Waiting threads are notified after
 * the commit: through one signal for the queue, one for deliveries, and one for each of a fixed
 * number of groups of jobs.
 */
#include "service/store/signals.h"

#include "base/digest.h"
#include "service/store/sql.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define JOB_GROUPS     64
#define ENDED_WAIT_MS  20
#define LIST_MAX       200
#define AFTER_EVERY_ID "~"
#define EXHAUSTED_CODE "attempts-exhausted"
#define NEARLY_FULL    256 /* free places of the queue; with fewer, creations are serialized */
#define KEY_LEASE_MS   60000
#define UNFREED_MAX    1000

/* A signal, and the value that its counter had when the last claim found nothing. */
typedef struct supply {
    spl_signal signal;
    atomic_uint_least64_t seen;
} supply;

typedef struct sql_store {
    spl_store base;
    spl_sql *sql;
    char holder[SPL_ID_SIZE]; /* the holder of idempotency keys: this store */
    supply queue, deliveries;
    atomic_bool idle; /* the last claim found nothing */
    spl_signal jobs[JOB_GROUPS];
    atomic_bool waits_ended;
    /* Guards the members below: the keys to free when the database is back. */
    pthread_mutex_t lock;
    struct unfreed {
        char *owner, *key;
    } unfreed[UNFREED_MAX];
    size_t unfreed_count;
} sql_store;

static sql_store *of(spl_store *store) {
    return (sql_store *)store;
}

static spl_signal *signal_of_job(sql_store *store, const char *id) {
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (const char *c = id; *c; c++)
        hash = (hash ^ (uint8_t)*c) * 16777619u;
    return &store->jobs[hash % JOB_GROUPS];
}

static void notify_all_jobs(sql_store *store) {
    for (size_t i = 0; i < JOB_GROUPS; i++)
        spl_signal_raise(&store->jobs[i]);
}

/* Implements spl_sql.notified. */
static void take_notification(void *user, spl_topic topic, const char *id) {
    sql_store *store = user;
    switch (topic) {
    case SPL_TOPIC_JOB:
        spl_signal_raise(signal_of_job(store, id));
        break;
    case SPL_TOPIC_ALL_JOBS:
        notify_all_jobs(store);
        break;
    case SPL_TOPIC_QUEUE:
        spl_signal_raise(&store->queue.signal);
        break;
    case SPL_TOPIC_DELIVERIES:
        spl_signal_raise(&store->deliveries.signal);
        break;
    }
}

static int begin_write(sql_store *store, spl_transaction *ret_transaction, spl_error *ret_error) {
    return spl_transaction_begin(store->sql, SPL_WRITE, ret_transaction, ret_error);
}

static int begin_read(sql_store *store, spl_transaction *ret_transaction, spl_error *ret_error) {
    return spl_transaction_begin(store->sql, SPL_READ, ret_transaction, ret_error);
}

static int no_such_job(const char *id, spl_error *ret_error) {
    return spl_fail(ret_error, SPL_E_NOT_FOUND, "there is no job %s", id);
}

static int lost(const char *id, spl_error *ret_error) {
    return spl_fail(ret_error, SPL_E_CANCELED, "the lease of the job %s is lost", id);
}

/* -------------------------------------------------------------- rows ---- */

/* Reads the outputs of a job. */
static int read_outputs(spl_transaction *transaction, spl_job *job, spl_error *ret_error) {
    SPL_CLEANUP(spl_rows_end) spl_rows row = {0};
    int more = spl_query(transaction, SPL_SQL_GET_OUTPUTS, SPL_BIND(SPL_BIND_TEXT(job->id)), &row,
                         ret_error);
    for (; more > 0; more = spl_rows_next(&row, ret_error)) {
        spl_job_output *grown =
            reallocarray(job->outputs, job->output_count + 1, sizeof(job->outputs[0]));
        if (!grown)
            return spl_fail_memory(ret_error);
        job->outputs = grown;
        spl_job_output *output = &grown[job->output_count++];
        *output = (spl_job_output){
            .complete = spl_row_whole(&row, 2),
            .bytes = (uint64_t)spl_row_whole(&row, 3),
            .samples = (uint64_t)spl_row_whole(&row, 4),
            .clipped = (uint64_t)spl_row_whole(&row, 5),
            .peak_dbfs = spl_row_real(&row, 6),
        };
        spl_row_fill(&row, 0, output->name, sizeof(output->name));
        spl_row_fill(&row, 1, output->file, sizeof(output->file));
        spl_row_fill(&row, 7, output->sha256, sizeof(output->sha256));
    }
    return more;
}

/* Reads a job from a row that starts with SPL_JOB, without its outputs. */
static int read_columns(spl_rows *row, spl_job *job, spl_error *ret_error) {
    int column = 0, status = 0;
    spl_row_fill(row, column++, job->id, sizeof(job->id));
#define READ_TEXT(name)                                                                            \
    if (status == 0)                                                                               \
        status = spl_row_text(row, column++, &job->name, ret_error);
#define READ_WHOLE(name) job->name = (__typeof__(job->name))spl_row_whole(row, column++);
#define READ_REAL(name)  job->name = spl_row_real(row, column++);
    SPL_JOB_COLUMNS(READ_TEXT, READ_WHOLE, READ_REAL)
#undef READ_TEXT
#undef READ_WHOLE
#undef READ_REAL
    return status;
}

static int read_job(spl_transaction *transaction, spl_rows *row, spl_job *ret_job,
                    spl_error *ret_error) {
    SPL_CLEANUP(spl_job_free) spl_job job = {0};
    int status = read_columns(row, &job, ret_error);
    if (status == 0)
        status = read_outputs(transaction, &job, ret_error);
    if (status < 0)
        return status;
    *ret_job = job;
    job = (spl_job){0};
    return 0;
}

/* Reads the only job that the statement returns. Errors: NOT_FOUND. */
static int query_job(spl_transaction *transaction, spl_statement statement, const spl_value *values,
                     size_t value_count, spl_job *ret_job, spl_error *ret_error) {
    SPL_CLEANUP(spl_rows_end) spl_rows row = {0};
    int found = spl_query(transaction, statement, values, value_count, &row, ret_error);
    if (found < 0)
        return found;
    return found ? read_job(transaction, &row, ret_job, ret_error)
                 : spl_fail(ret_error, SPL_E_NOT_FOUND, "there is no such job");
}

/* Reads the first column of the only row. *ret_whole is untouched if there is no row. */
static int query_whole(spl_transaction *transaction, spl_statement statement,
                       const spl_value *values, size_t value_count, int64_t *ret_whole,
                       spl_error *ret_error) {
    SPL_CLEANUP(spl_rows_end) spl_rows row = {0};
    int found = spl_query(transaction, statement, values, value_count, &row, ret_error);
    if (found > 0)
        *ret_whole = spl_row_whole(&row, 0);
    return SPL_MIN(found, 0);
}

/* The state of a job. Errors: NOT_FOUND. */
static int query_state(spl_transaction *transaction, const char *owner, const char *id,
                       spl_job_state *ret_state, spl_error *ret_error) {
    int64_t state = -1;
    int status = query_whole(transaction, SPL_SQL_JOB_STATE,
                             SPL_BIND(SPL_BIND_TEXT(id), SPL_BIND_TEXT(owner)), &state, ret_error);
    if (status < 0)
        return status;
    if (state < 0)
        return no_such_job(id, ret_error);
    *ret_state = (spl_job_state)state;
    return 0;
}

static int query_usage(spl_transaction *transaction, const char *owner, uint64_t *ret_jobs,
                       uint64_t *ret_bytes, spl_error *ret_error) {
    SPL_CLEANUP(spl_rows_end) spl_rows row = {0};
    int status = spl_query(transaction, SPL_SQL_OWNER_USAGE, SPL_BIND(SPL_BIND_TEXT(owner)), &row,
                           ret_error);
    if (status < 0)
        return status;
    *ret_jobs = (uint64_t)spl_row_whole(&row, 0);
    *ret_bytes = (uint64_t)spl_row_whole(&row, 1);
    return 0;
}

/* ----------------------------------------------------------- creating ---- */

static int check_limits(spl_transaction *transaction, const spl_store_create *create,
                        uint64_t more_bytes, spl_store_limit *ret_limit, spl_error *ret_error) {
    const spl_job *job = create->job;
    const bool queues = job->state == SPL_JOB_QUEUED;
    int64_t queued = 0;
    int status = spl_change(transaction, SPL_SQL_LOCK_OWNER, SPL_BIND(SPL_BIND_TEXT(job->owner)),
                            NULL, ret_error);
    if (status == 0)
        status = query_whole(transaction, SPL_SQL_COUNT_QUEUED, NULL, 0, &queued, ret_error);
    if (status == 0 && queues && (uint64_t)queued + NEARLY_FULL >= create->queue_max) {
        status = spl_change(transaction, SPL_SQL_LOCK_QUEUE, NULL, 0, NULL, ret_error);
        if (status == 0)
            status = query_whole(transaction, SPL_SQL_COUNT_QUEUED, NULL, 0, &queued, ret_error);
    }
    uint64_t jobs = 0, bytes = 0;
    if (status == 0)
        status = query_usage(transaction, job->owner, &jobs, &bytes, ret_error);
    int64_t deliveries = 0;
    if (status == 0 && job->webhook_url)
        status = query_whole(transaction, SPL_SQL_COUNT_DELIVERIES,
                             SPL_BIND(SPL_BIND_TEXT(job->owner)), &deliveries, ret_error);
    if (status < 0)
        return status;

    spl_store_limit limit = SPL_LIMIT_NONE;
    if (queues && (uint64_t)queued >= create->queue_max)
        limit = SPL_LIMIT_QUEUE;
    else if (jobs + (uint64_t)deliveries >= create->owner_jobs_max)
        limit = SPL_LIMIT_OWNER_JOBS;
    else if (more_bytes > create->owner_bytes_max || bytes > create->owner_bytes_max - more_bytes)
        limit = SPL_LIMIT_OWNER_BYTES;
    *ret_limit = limit;
    return limit == SPL_LIMIT_NONE ? 0
                                   : spl_fail(ret_error, SPL_E_LIMIT, "a limit on jobs is reached");
}

static int insert_job(spl_transaction *transaction, const spl_job *job, spl_error *ret_error) {
    return spl_change(
        transaction, SPL_SQL_INSERT_JOB,
#define BIND_TEXT(name)  , SPL_BIND_TEXT(job->name)
#define BIND_WHOLE(name) , SPL_BIND_WHOLE(job->name)
#define BIND_REAL(name)  , SPL_BIND_REAL(job->name)
        SPL_BIND(SPL_BIND_TEXT(job->id) SPL_JOB_COLUMNS(BIND_TEXT, BIND_WHOLE, BIND_REAL)),
#undef BIND_TEXT
#undef BIND_WHOLE
#undef BIND_REAL
        NULL, ret_error);
}

static int put_output(spl_transaction *transaction, const char *id, const spl_job_output *output,
                      spl_error *ret_error) {
    return spl_change(transaction, SPL_SQL_PUT_OUTPUT,
                      SPL_BIND(SPL_BIND_TEXT(id), SPL_BIND_TEXT(output->name),
                               SPL_BIND_TEXT(output->file), SPL_BIND_WHOLE(output->complete),
                               SPL_BIND_WHOLE(output->bytes), SPL_BIND_WHOLE(output->samples),
                               SPL_BIND_WHOLE(output->clipped), SPL_BIND_REAL(output->peak_dbfs),
                               SPL_BIND_TEXT(output->sha256)),
                      NULL, ret_error);
}

static int store_answer(const sql_store *store, spl_transaction *transaction,
                        const spl_store_create *create, spl_error *ret_error) {
    int changed;
    int status = spl_change(transaction, SPL_SQL_ANSWER_KEY,
                            SPL_BIND(SPL_BIND_TEXT(create->job->owner),
                                     SPL_BIND_TEXT(create->idempotency_key),
                                     SPL_BIND_TEXT(create->fingerprint),
                                     SPL_BIND_TEXT(create->answer), SPL_BIND_TEXT(store->holder)),
                            &changed, ret_error);
    if (status == 0 && changed == 0)
        status = spl_fail(ret_error, SPL_E_ARGUMENT,
                          "the idempotency key is not reserved here (any more)");
    return status;
}

static int insert_delivery(spl_transaction *transaction, const spl_delivery *delivery,
                           spl_error *ret_error) {
    return spl_change(transaction, SPL_SQL_INSERT_DELIVERY,
                      SPL_BIND(SPL_BIND_TEXT(delivery->id), SPL_BIND_TEXT(delivery->job),
                               SPL_BIND_TEXT(delivery->owner), SPL_BIND_TEXT(delivery->url),
                               SPL_BIND_TEXT(delivery->payload), SPL_BIND_WHOLE(delivery->next_ms)),
                      NULL, ret_error);
}

static int store_create(spl_store *base, const spl_store_create *create, spl_store_limit *ret_limit,
                        spl_error *ret_error) {
    sql_store *store = of(base);
    spl_job job = *create->job;
    assert(job.state == SPL_JOB_QUEUED || job.state == SPL_JOB_SUCCEEDED);
    job.version = 1;
    if (job.state == SPL_JOB_QUEUED) {
        job.fence = 0;
        job.stored_bytes = job.input_bytes + create->output_bytes;
        job.storage_max = create->owner_bytes_max;
    }

    SPL_CLEANUP(spl_transaction_end) spl_transaction transaction = {0};
    int status = begin_write(store, &transaction, ret_error);
    if (status == 0)
        status = check_limits(&transaction, create, job.stored_bytes + SPL_JOB_ROW_BYTES, ret_limit,
                              ret_error);
    if (status == 0)
        status = insert_job(&transaction, &job, ret_error);
    for (size_t i = 0; i < job.output_count && status == 0; i++)
        status = put_output(&transaction, job.id, &job.outputs[i], ret_error);
    if (status == 0 && create->delivery)
        status = insert_delivery(&transaction, create->delivery, ret_error);
    if (status == 0 && create->idempotency_key)
        status = store_answer(store, &transaction, create, ret_error);
    if (status < 0)
        return status;
    if (job.state == SPL_JOB_QUEUED)
        spl_transaction_notify(&transaction, SPL_TOPIC_QUEUE, NULL);
    if (create->delivery)
        spl_transaction_notify(&transaction, SPL_TOPIC_DELIVERIES, NULL);
    return spl_transaction_commit(&transaction, ret_error);
}

/* ------------------------------------------------------------ reading ---- */

static int store_ping(spl_store *base, spl_error *ret_error) {
    SPL_CLEANUP(spl_transaction_end) spl_transaction transaction = {0};
    int status = begin_read(of(base), &transaction, ret_error);
    if (status == 0)
        status = spl_query(&transaction, SPL_SQL_PING, NULL, 0, NULL, ret_error);
    return SPL_MIN(status, 0);
}

static int store_get(spl_store *base, const char *owner, const char *id, spl_job *ret_job,
                     spl_error *ret_error) {
    SPL_CLEANUP(spl_transaction_end) spl_transaction transaction = {0};
    int status = begin_read(of(base), &transaction, ret_error);
    if (status < 0)
        return status;
    status = query_job(&transaction, SPL_SQL_GET_JOB,
                       SPL_BIND(SPL_BIND_TEXT(id), SPL_BIND_TEXT(owner)), ret_job, ret_error);
    return status == SPL_E_NOT_FOUND ? no_such_job(id, ret_error) : status;
}

static void free_jobs(spl_job *jobs, size_t count) {
    for (size_t i = 0; i < count; i++)
        spl_job_free(&jobs[i]);
    free(jobs);
}

/* Finds the range of ids that a page examines. *ret_last is its last id, or "" if the range has all
 * older jobs; *ret_more: there are jobs beyond it. */
static int find_list_end(spl_transaction *transaction, const spl_store_filter *filter,
                         char ret_last[SPL_ID_SIZE], bool *ret_more, spl_error *ret_error) {
    const spl_value values[] = {
        SPL_BIND_TEXT(filter->before_id ? filter->before_id : AFTER_EVERY_ID),
        SPL_BIND_WHOLE(filter->examine_max - 1),
        SPL_BIND_TEXT(filter->owner),
    };
    const size_t count = SPL_ARRAY_SIZE(values);
    SPL_CLEANUP(spl_rows_end) spl_rows row = {0};
    int found =
        filter->owner
            ? spl_query(transaction, SPL_SQL_LIST_END_OWNED, values, count, &row, ret_error)
            : spl_query(transaction, SPL_SQL_LIST_END_ALL, values, count - 1, &row, ret_error);
    ret_last[0] = '\0';
    if (found > 0) {
        spl_row_fill(&row, 0, ret_last, SPL_ID_SIZE);
        found = spl_rows_next(&row, ret_error);
    }
    *ret_more = found > 0;
    return SPL_MIN(found, 0);
}

static int store_list(spl_store *base, const spl_store_filter *filter, spl_job **ret_jobs,
                      size_t *ret_count, char ret_next[SPL_ID_SIZE], spl_error *ret_error) {
    assert(filter->limit >= 1 && filter->limit <= LIST_MAX && filter->examine_max >= 1);
    SPL_CLEANUP(spl_transaction_end) spl_transaction transaction = {0};
    char last[SPL_ID_SIZE];
    bool beyond = false;
    int status = spl_transaction_begin(of(base)->sql, SPL_READ_LONG, &transaction, ret_error);
    if (status == 0)
        status = find_list_end(&transaction, filter, last, &beyond, ret_error);
    if (status < 0)
        return status;
    const spl_value values[] = {
        SPL_BIND_TEXT(filter->before_id ? filter->before_id : AFTER_EVERY_ID),
        SPL_BIND_WHOLE(filter->states),
        SPL_BIND_TEXT(filter->model),
        SPL_BIND_WHOLE(filter->created_after_ms),
        SPL_BIND_WHOLE(filter->created_before_ms),
        SPL_BIND_WHOLE(filter->limit + 1),
        SPL_BIND_TEXT(last),
        SPL_BIND_TEXT(filter->owner),
    };
    SPL_CLEANUP(spl_rows_end) spl_rows row = {0};
    int found = filter->owner ? spl_query(&transaction, SPL_SQL_LIST_OWNED, values,
                                          SPL_ARRAY_SIZE(values), &row, ret_error)
                              : spl_query(&transaction, SPL_SQL_LIST_ALL, values,
                                          SPL_ARRAY_SIZE(values) - 1, &row, ret_error);
    spl_job *jobs = calloc(filter->limit, sizeof(*jobs));
    if (!jobs)
        return spl_fail_memory(ret_error);
    size_t count = 0;
    while (found > 0 && count < filter->limit) {
        found = read_job(&transaction, &row, &jobs[count], ret_error);
        if (found < 0)
            break;
        count++;
        found = spl_rows_next(&row, ret_error);
    }
    if (found < 0) {
        free_jobs(jobs, count);
        return found;
    }
    const char *next = found > 0 ? jobs[count - 1].id : beyond ? last : "";
    snprintf(ret_next, SPL_ID_SIZE, "%s", next);
    *ret_jobs = jobs;
    *ret_count = count;
    return 0;
}

static int store_queue_position(spl_store *base, const char *id, uint64_t *ret_before,
                                double *ret_audio_s, spl_error *ret_error) {
    SPL_CLEANUP(spl_transaction_end) spl_transaction transaction = {0};
    int status = begin_read(of(base), &transaction, ret_error);
    if (status < 0)
        return status;
    spl_job_state state;
    status = query_state(&transaction, NULL, id, &state, ret_error);
    if (status < 0)
        return status;
    uint64_t before = 0;
    double audio_s = 0;
    if (state == SPL_JOB_QUEUED) {
        SPL_CLEANUP(spl_rows_end) spl_rows row = {0};
        status = spl_query(&transaction, SPL_SQL_QUEUE_POSITION, SPL_BIND(SPL_BIND_TEXT(id)), &row,
                           ret_error);
        if (status < 0)
            return status;
        before = (uint64_t)spl_row_whole(&row, 0);
        audio_s = spl_row_real(&row, 1);
    }
    *ret_before = before;
    *ret_audio_s = audio_s;
    return 0;
}

static int store_find_result(spl_store *base, const char *owner, const char *cache_key,
                             int64_t now_ms, spl_job *ret_job, spl_error *ret_error) {
    SPL_CLEANUP(spl_transaction_end) spl_transaction transaction = {0};
    int status = begin_read(of(base), &transaction, ret_error);
    if (status < 0)
        return status;
    return query_job(
        &transaction, SPL_SQL_FIND_RESULT,
        SPL_BIND(SPL_BIND_TEXT(owner), SPL_BIND_TEXT(cache_key), SPL_BIND_WHOLE(now_ms)), ret_job,
        ret_error);
}

static int store_queue_length(spl_store *base, uint64_t *ret_jobs, spl_error *ret_error) {
    SPL_CLEANUP(spl_transaction_end) spl_transaction transaction = {0};
    int status = begin_read(of(base), &transaction, ret_error);
    int64_t queued = 0;
    if (status == 0)
        status = query_whole(&transaction, SPL_SQL_COUNT_QUEUED, NULL, 0, &queued, ret_error);
    if (status == 0)
        *ret_jobs = (uint64_t)queued;
    return status;
}

static int store_owner_usage(spl_store *base, const char *owner, uint64_t *ret_jobs,
                             uint64_t *ret_bytes, spl_error *ret_error) {
    SPL_CLEANUP(spl_transaction_end) spl_transaction transaction = {0};
    int status = begin_read(of(base), &transaction, ret_error);
    return status < 0 ? status : query_usage(&transaction, owner, ret_jobs, ret_bytes, ret_error);
}

static int store_holds_files(spl_store *base, const char *id, bool *ret_holds,
                             spl_error *ret_error) {
    SPL_CLEANUP(spl_transaction_end) spl_transaction transaction = {0};
    int status = begin_read(of(base), &transaction, ret_error);
    if (status < 0)
        return status;
    spl_job_state state;
    status = query_state(&transaction, NULL, id, &state, ret_error);
    if (status < 0)
        return status;
    *ret_holds = state != SPL_JOB_EXPIRED;
    return 0;
}

/* Sets `held` of up to SPL_FILES_AT_ONCE files. */
static int check_some_files(spl_transaction *transaction, spl_store_file *files, size_t count,
                            spl_error *ret_error) {
    spl_value ids[SPL_FILES_AT_ONCE];
    for (size_t i = 0; i < SPL_FILES_AT_ONCE; i++)
        ids[i] = SPL_BIND_TEXT(i < count ? files[i].job : NULL);
    SPL_CLEANUP(spl_rows_end) spl_rows row = {0};
    int more =
        spl_query(transaction, SPL_SQL_JOBS_WITH_FILES, ids, SPL_FILES_AT_ONCE, &row, ret_error);
    for (; more > 0; more = spl_rows_next(&row, ret_error)) {
        char id[SPL_ID_SIZE];
        spl_row_fill(&row, 0, id, sizeof(id));
        for (size_t i = 0; i < count; i++)
            files[i].held |=
                strcmp(files[i].job, id) == 0 && files[i].fence == spl_row_whole(&row, 1);
    }
    return more;
}

static int store_check_files(spl_store *base, spl_store_file *files, size_t count,
                             spl_error *ret_error) {
    SPL_CLEANUP(spl_transaction_end) spl_transaction transaction = {0};
    int status = begin_read(of(base), &transaction, ret_error);
    for (size_t i = 0; i < count; i++)
        files[i].held = false;
    for (size_t i = 0; status == 0 && i < count; i += SPL_FILES_AT_ONCE)
        status = check_some_files(&transaction, files + i,
                                  SPL_MIN(count - i, (size_t)SPL_FILES_AT_ONCE), ret_error);
    return status;
}

static int store_stats(spl_store *base, spl_store_stats *ret_stats, spl_error *ret_error) {
    SPL_CLEANUP(spl_transaction_end) spl_transaction transaction = {0};
    int status = spl_transaction_begin(of(base)->sql, SPL_READ_LONG, &transaction, ret_error);
    if (status < 0)
        return status;
    SPL_CLEANUP(spl_rows_end) spl_rows row = {0};
    status = spl_query(&transaction, SPL_SQL_STATS, NULL, 0, &row, ret_error);
    if (status < 0)
        return status;
    *ret_stats = (spl_store_stats){
        .queued = (uint64_t)spl_row_whole(&row, 0),
        .running = (uint64_t)spl_row_whole(&row, 1),
        .oldest_queued_ms = spl_row_whole(&row, 2),
        .stored_bytes = (uint64_t)spl_row_whole(&row, 3),
        .deliveries = (uint64_t)spl_row_whole(&row, 4),
    };
    return 0;
}

/* ------------------------------------------------------------- ending ---- */

/* Ends a job, drops its outputs unless it succeeded, and stores its delivery. The job must be
 * queued if `fence` < 0, else running with that fence. CANCELED: it is not. */
static int end_job(spl_transaction *transaction, const char *id, int64_t fence,
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
        SPL_BIND_TEXT(finish->warning),
        SPL_BIND_WHOLE(fence),
    };
    int changed;
    int status = fence < 0 ? spl_change(transaction, SPL_SQL_END_QUEUED, values,
                                        SPL_ARRAY_SIZE(values) - 1, &changed, ret_error)
                           : spl_change(transaction, SPL_SQL_FINISH, values, SPL_ARRAY_SIZE(values),
                                        &changed, ret_error);
    if (status == 0 && changed == 0)
        status = lost(id, ret_error);
    if (status == 0 && finish->state != SPL_JOB_SUCCEEDED)
        status = spl_change(transaction, SPL_SQL_FORGET_OUTPUTS, SPL_BIND(SPL_BIND_TEXT(id)), NULL,
                            ret_error);
    if (status == 0 && finish->delivery) {
        status = insert_delivery(transaction, finish->delivery, ret_error);
        spl_transaction_notify(transaction, SPL_TOPIC_DELIVERIES, NULL);
    }
    return status;
}

static int store_finish(spl_store *base, const char *id, int64_t fence,
                        const spl_store_finish *finish, spl_error *ret_error) {
    sql_store *store = of(base);
    SPL_CLEANUP(spl_transaction_end) spl_transaction transaction = {0};
    int status = begin_write(store, &transaction, ret_error);
    if (status == 0)
        status = end_job(&transaction, id, fence, finish, ret_error);
    if (status < 0)
        return status;
    spl_transaction_notify(&transaction, SPL_TOPIC_JOB, id);
    return spl_transaction_commit(&transaction, ret_error);
}

static int store_cancel(spl_store *base, const char *owner, const char *id,
                        const spl_store_finish *finish, bool *ret_now, spl_error *ret_error) {
    sql_store *store = of(base);
    SPL_CLEANUP(spl_transaction_end) spl_transaction transaction = {0};
    int status = begin_write(store, &transaction, ret_error);
    if (status < 0)
        return status;
    int64_t state = -1;
    status = query_whole(&transaction, SPL_SQL_LOCK_JOB,
                         SPL_BIND(SPL_BIND_TEXT(id), SPL_BIND_TEXT(owner)), &state, ret_error);
    if (status < 0)
        return status;
    if (state < 0)
        return no_such_job(id, ret_error);
    if (state == SPL_JOB_QUEUED)
        status = end_job(&transaction, id, -1, finish, ret_error);
    else if (state == SPL_JOB_RUNNING)
        status = spl_change(&transaction, SPL_SQL_REQUEST_CANCEL, SPL_BIND(SPL_BIND_TEXT(id)), NULL,
                            ret_error);
    else
        status = spl_fail(ret_error, SPL_E_ARGUMENT, "the job %s is %s already", id,
                          spl_job_state_text((spl_job_state)state));
    if (status < 0)
        return status;
    spl_transaction_notify(&transaction, SPL_TOPIC_JOB, id);
    status = spl_transaction_commit(&transaction, ret_error);
    if (status < 0)
        return status;
    *ret_now = state == SPL_JOB_QUEUED;
    return 0;
}

static int store_remove(spl_store *base, const char *owner, const char *id, spl_error *ret_error) {
    sql_store *store = of(base);
    SPL_CLEANUP(spl_transaction_end) spl_transaction transaction = {0};
    int status = begin_write(store, &transaction, ret_error);
    int changed = 0;
    if (status == 0)
        status = spl_change(&transaction, SPL_SQL_REMOVE_JOB,
                            SPL_BIND(SPL_BIND_TEXT(id), SPL_BIND_TEXT(owner)), &changed, ret_error);
    if (status == 0 && changed == 0)
        status = no_such_job(id, ret_error);
    if (status < 0)
        return status;
    spl_transaction_notify(&transaction, SPL_TOPIC_JOB, id);
    return spl_transaction_commit(&transaction, ret_error);
}

/* Expires up to `limit` jobs and returns their ids. */
static int expire_some(spl_transaction *transaction, int64_t now_ms, size_t limit,
                       char (*ids)[SPL_ID_SIZE], size_t *ret_count, spl_error *ret_error) {
    SPL_CLEANUP(spl_rows_end) spl_rows row = {0};
    size_t count = 0;
    int more = spl_query(transaction, SPL_SQL_EXPIRE,
                         SPL_BIND(SPL_BIND_WHOLE(now_ms), SPL_BIND_WHOLE(limit)), &row, ret_error);
    for (; more > 0 && count < limit; more = spl_rows_next(&row, ret_error))
        spl_row_fill(&row, 0, ids[count++], sizeof(ids[0]));
    *ret_count = count;
    return SPL_MIN(more, 0);
}

/* Deletes rows that are no longer needed; `limit` keeps the transaction within the space that is
 * reserved for the log. *ret_more: there may be more of them. */
static int clean(const sql_store *store, spl_transaction *transaction, int64_t now_ms,
                 int64_t keep_ms, size_t limit, bool *ret_more, spl_error *ret_error) {
    const spl_value oldest[] = {SPL_BIND_WHOLE(now_ms - keep_ms), SPL_BIND_WHOLE(limit)};
    const spl_value now[] = {SPL_BIND_WHOLE(now_ms), SPL_BIND_WHOLE(limit)};
    const spl_value now_us = SPL_BIND_WHOLE(1000 * now_ms), most = SPL_BIND_WHOLE(limit);
    const struct {
        spl_statement statement;
        const spl_value *values;
        size_t count;
    } steps[] = {{SPL_SQL_REMOVE_EXPIRED, oldest, 2},
                 {SPL_SQL_REMOVE_OLD_KEYS, oldest, 2},
                 {SPL_SQL_REMOVE_IDLE_OWNERS, &most, 1},
                 {SPL_SQL_REMOVE_IDLE_USAGE, &most, 1},
                 {SPL_SQL_REMOVE_OLD_SESSIONS, now, 2}};
    bool more = false;
    int status = 0;
    for (size_t i = 0; status == 0 && i < SPL_ARRAY_SIZE(steps); i++) {
        int changed = 0;
        status = spl_change(transaction, steps[i].statement, steps[i].values, steps[i].count,
                            &changed, ret_error);
        more = more || (size_t)changed >= limit;
    }
    if (status == 0 && store->base.shared)
        status = spl_change(transaction, SPL_SQL_REMOVE_OLD_RATES, &now_us, 1, NULL, ret_error);
    *ret_more = more;
    return status;
}

static int store_expire(spl_store *base, int64_t now_ms, int64_t keep_ms, size_t limit,
                        char (**ret_ids)[SPL_ID_SIZE], size_t *ret_count, bool *ret_more,
                        spl_error *ret_error) {
    sql_store *store = of(base);
    SPL_CLEANUP(spl_free_p) char(*ids)[SPL_ID_SIZE] = calloc(SPL_MAX(limit, 1u), sizeof(*ids));
    if (!ids)
        return spl_fail_memory(ret_error);
    SPL_CLEANUP(spl_transaction_end) spl_transaction transaction = {0};
    int status = begin_write(store, &transaction, ret_error);
    if (status < 0)
        return status;
    size_t count = 0;
    int64_t ours = 0;
    bool more = false;
    status = query_whole(&transaction, SPL_SQL_TRY_LOCK_OWNERS, NULL, 0, &ours, ret_error);
    if (status == 0 && ours)
        status = expire_some(&transaction, now_ms, limit, ids, &count, ret_error);
    for (size_t i = 0; i < count && status == 0; i++)
        status = spl_change(&transaction, SPL_SQL_FORGET_OUTPUTS, SPL_BIND(SPL_BIND_TEXT(ids[i])),
                            NULL, ret_error);
    if (status == 0 && ours)
        status = clean(store, &transaction, now_ms, keep_ms, limit, &more, ret_error);
    if (status < 0)
        return status;
    if (count > 0)
        spl_transaction_notify(&transaction, SPL_TOPIC_ALL_JOBS, NULL);
    status = spl_transaction_commit(&transaction, ret_error);
    if (status < 0)
        return status;
    *ret_ids = SPL_STEAL(ids);
    *ret_count = count;
    *ret_more = more || count == limit;
    return 0;
}

/* ------------------------------------------------------------ working ---- */

/* Requeues the jobs whose lease has expired. */
static int requeue_lost(spl_transaction *transaction, int64_t now_ms, unsigned *ret_count,
                        spl_error *ret_error) {
    const spl_value now = SPL_BIND_WHOLE(now_ms);
    for (unsigned count = 0;; count++) {
        char id[SPL_ID_SIZE];
        SPL_CLEANUP(spl_rows_end) spl_rows row = {0};
        int found =
            spl_query(transaction, SPL_SQL_REQUEUE_LOST, SPL_BIND(now, now), &row, ret_error);
        if (found <= 0) {
            *ret_count = count;
            return found;
        }
        spl_row_fill(&row, 0, id, sizeof(id));
        spl_rows_end(&row);
        int status = spl_change(transaction, SPL_SQL_FORGET_OUTPUTS, SPL_BIND(SPL_BIND_TEXT(id)),
                                NULL, ret_error);
        if (status < 0)
            return status;
    }
}

/* Ends one queued job that must not be tried again. Returns 1 if there was one, else 0. */
static int end_next(spl_transaction *transaction, const spl_store_claim *claim, bool *ret_dead,
                    spl_error *ret_error) {
    SPL_CLEANUP(spl_rows_end) spl_rows row = {0};
    int found = spl_query(transaction, SPL_SQL_NEXT_TO_END,
                          SPL_BIND(SPL_BIND_WHOLE(claim->attempts_max)), &row, ret_error);
    if (found <= 0)
        return found;
    const bool dead = spl_row_whole(&row, 4) == 0;
    SPL_CLEANUP(spl_delivery_free) spl_delivery delivery = {.next_ms = claim->now_ms};
    spl_row_fill(&row, 0, delivery.id, sizeof(delivery.id)); /* unique, because a job ends once */
    spl_row_fill(&row, 0, delivery.job, sizeof(delivery.job));
    int status = spl_row_text(&row, 1, &delivery.owner, ret_error);
    if (status == 0)
        status = spl_row_text(&row, 2, &delivery.url, ret_error);
    if (status < 0)
        return status;
    const spl_store_finish finish = {
        .state = dead ? SPL_JOB_FAILED : SPL_JOB_CANCELED,
        .now_ms = claim->now_ms,
        .expires_ms = claim->now_ms + claim->retention_ms,
        .error_code = dead ? EXHAUSTED_CODE : NULL,
        .error_detail =
            dead ? "The job was started SPLEETER_ATTEMPTS times and never finished" : NULL,
        .dead_letter = dead,
        .stored_bytes = (uint64_t)spl_row_whole(&row, 3),
        .delivery = delivery.url ? &delivery : NULL,
    };
    spl_rows_end(&row);
    status = spl_change(transaction, SPL_SQL_LOCK_OWNERS, NULL, 0, NULL, ret_error);
    if (status == 0)
        status = end_job(transaction, delivery.job, -1, &finish, ret_error);
    if (status < 0)
        return status;
    *ret_dead = dead;
    return 1;
}

/* Checks for work before the next claim. Idle workers poll this, because it is cheaper than a
 * claim. */
static int look_for_work(sql_store *store, const spl_store_claim *claim, bool *ret_found,
                         spl_error *ret_error) {
    SPL_CLEANUP(spl_transaction_end) spl_transaction transaction = {0};
    int64_t found = 0;
    int status = begin_read(store, &transaction, ret_error);
    if (status == 0)
        status = query_whole(
            &transaction, SPL_SQL_ANYTHING_TO_DO,
            SPL_BIND(SPL_BIND_WHOLE(claim->now_ms), SPL_BIND_WHOLE(claim->attempts_max)), &found,
            ret_error);
    *ret_found = found;
    return status;
}

/* What a claim found and changed. */
typedef struct claim_outcome {
    unsigned requeued, ended; /* jobs of lost workers; jobs that must not be tried again */
    unsigned dead;            /* of the ended ones */
    bool claimed;
    spl_job job; /* if claimed */
} claim_outcome;

/* Requeues and ends what earlier workers left behind. */
static int reap(spl_transaction *transaction, const spl_store_claim *claim, claim_outcome *outcome,
                spl_error *ret_error) {
    /* Without this lock, two threads could both find their process without a running job. */
    int status = spl_change(transaction, SPL_SQL_LOCK_WORKER,
                            SPL_BIND(SPL_BIND_TEXT(claim->worker)), NULL, ret_error);
    if (status == 0)
        status = requeue_lost(transaction, claim->now_ms, &outcome->requeued, ret_error);
    if (status < 0)
        return status;
    for (bool is_dead; (status = end_next(transaction, claim, &is_dead, ret_error)) > 0;) {
        outcome->ended++;
        outcome->dead += is_dead;
    }
    return status;
}

/* Claims the next job, if there is one, and passes the turn to the next owner. */
static int claim_next(spl_transaction *transaction, const spl_store_claim *claim,
                      claim_outcome *outcome, spl_error *ret_error) {
    int status = query_job(transaction, SPL_SQL_CLAIM,
                           SPL_BIND(SPL_BIND_WHOLE(claim->now_ms),
                                    SPL_BIND_WHOLE(claim->now_ms + claim->lease_ms),
                                    SPL_BIND_TEXT(claim->worker)),
                           &outcome->job, ret_error);
    if (status == SPL_E_NOT_FOUND)
        return 0;
    if (status < 0)
        return status;
    outcome->claimed = true;
    return spl_change(transaction, SPL_SQL_TAKE_TURN, SPL_BIND(SPL_BIND_TEXT(outcome->job.owner)),
                      NULL, ret_error);
}

static void notify_claim(spl_transaction *transaction, const claim_outcome *outcome) {
    if (outcome->requeued > 0 || outcome->ended > 0) {
        spl_transaction_notify(transaction, SPL_TOPIC_ALL_JOBS, NULL);
        spl_transaction_notify(transaction, SPL_TOPIC_DELIVERIES, NULL);
    } else if (outcome->claimed) {
        spl_transaction_notify(transaction, SPL_TOPIC_JOB, outcome->job.id);
    }
    if (outcome->claimed && outcome->requeued > 1)
        spl_transaction_notify(transaction, SPL_TOPIC_QUEUE, NULL);
}

static int claim_and_commit(sql_store *store, const spl_store_claim *claim, claim_outcome *outcome,
                            spl_error *ret_error) {
    SPL_CLEANUP(spl_transaction_end) spl_transaction transaction = {0};
    int status = begin_write(store, &transaction, ret_error);
    if (status == 0)
        status = reap(&transaction, claim, outcome, ret_error);
    if (status == 0)
        status = claim_next(&transaction, claim, outcome, ret_error);
    if (status < 0)
        return status;
    notify_claim(&transaction, outcome);
    return spl_transaction_commit(&transaction, ret_error);
}

static int store_claim(spl_store *base, const spl_store_claim *claim, spl_job *ret_job,
                       unsigned *ret_dead, spl_error *ret_error) {
    sql_store *store = of(base);
    const uint64_t seen = spl_signal_count(&store->queue.signal);
    bool something = true;
    claim_outcome outcome = {0};
    int status = 0;
    if (atomic_load(&store->idle))
        status = look_for_work(store, claim, &something, ret_error);
    if (status == 0 && something)
        status = claim_and_commit(store, claim, &outcome, ret_error);
    if (status < 0) {
        spl_job_free(&outcome.job);
        return status;
    }
    *ret_dead = outcome.dead;
    atomic_store(&store->idle, !outcome.claimed);
    if (!outcome.claimed) {
        atomic_store(&store->queue.seen, seen);
        return spl_fail(ret_error, SPL_E_NOT_FOUND, "there is no job to do");
    }
    *ret_job = outcome.job;
    return 0;
}

static int store_heartbeat(spl_store *base, const char *id, int64_t fence, int64_t now_ms,
                           int64_t lease_ms, double progress, bool *ret_cancel,
                           spl_error *ret_error) {
    sql_store *store = of(base);
    SPL_CLEANUP(spl_transaction_end) spl_transaction transaction = {0};
    int status = spl_transaction_begin(store->sql, SPL_WRITE_SOON, &transaction, ret_error);
    if (status < 0)
        return status;
    int64_t cancel = -1;
    status = query_whole(&transaction, SPL_SQL_HEARTBEAT,
                         SPL_BIND(SPL_BIND_TEXT(id), SPL_BIND_WHOLE(fence), SPL_BIND_WHOLE(now_ms),
                                  SPL_BIND_WHOLE(now_ms + lease_ms), SPL_BIND_REAL(progress)),
                         &cancel, ret_error);
    if (status == 0 && cancel < 0)
        status = lost(id, ret_error);
    if (status < 0)
        return status;
    spl_transaction_notify(&transaction, SPL_TOPIC_JOB, id);
    status = spl_transaction_commit(&transaction, ret_error);
    if (status < 0)
        return status;
    *ret_cancel = cancel;
    return 0;
}

static int store_set_output(spl_store *base, const char *id, int64_t fence,
                            const spl_job_output *output, spl_error *ret_error) {
    sql_store *store = of(base);
    SPL_CLEANUP(spl_transaction_end) spl_transaction transaction = {0};
    int status = spl_transaction_begin(store->sql, SPL_WRITE_SOON, &transaction, ret_error);
    int changed = 0;
    if (status == 0)
        status =
            spl_change(&transaction, SPL_SQL_TOUCH_CLAIMED,
                       SPL_BIND(SPL_BIND_TEXT(id), SPL_BIND_WHOLE(fence)), &changed, ret_error);
    if (status == 0 && changed == 0)
        status = lost(id, ret_error);
    if (status == 0)
        status = put_output(&transaction, id, output, ret_error);
    if (status < 0)
        return status;
    spl_transaction_notify(&transaction, SPL_TOPIC_JOB, id);
    return spl_transaction_commit(&transaction, ret_error);
}

static int store_extend(spl_store *base, const char *id, int64_t fence, uint64_t least_bytes,
                        uint64_t best_bytes, uint64_t *ret_bytes, spl_error *ret_error) {
    SPL_CLEANUP(spl_transaction_end) spl_transaction transaction = {0};
    SPL_CLEANUP(spl_rows_end) spl_rows row = {0};
    SPL_CLEANUP(spl_free_p) char *owner = NULL;
    int status = begin_write(of(base), &transaction, ret_error);
    if (status < 0)
        return status;
    const int found =
        spl_query(&transaction, SPL_SQL_CLAIMED_STORAGE,
                  SPL_BIND(SPL_BIND_TEXT(id), SPL_BIND_WHOLE(fence)), &row, ret_error);
    if (found <= 0)
        return found < 0 ? found : lost(id, ret_error);
    const uint64_t input_bytes = (uint64_t)spl_row_whole(&row, 1);
    const uint64_t stored_bytes = (uint64_t)spl_row_whole(&row, 2);
    const uint64_t limit_bytes = (uint64_t)spl_row_whole(&row, 3);
    status = spl_row_text(&row, 0, &owner, ret_error);
    spl_rows_end(&row);
    uint64_t jobs, used_bytes = 0;
    if (status == 0)
        status = spl_change(&transaction, SPL_SQL_LOCK_OWNER, SPL_BIND(SPL_BIND_TEXT(owner)), NULL,
                            ret_error);
    if (status == 0)
        status = query_usage(&transaction, owner, &jobs, &used_bytes, ret_error);
    if (status < 0)
        return status;
    const uint64_t had_bytes = stored_bytes - input_bytes, others_bytes = used_bytes - had_bytes;
    uint64_t bytes = best_bytes;
    if (limit_bytes > 0)
        bytes = SPL_MIN(bytes, limit_bytes - SPL_MIN(limit_bytes, others_bytes));
    bytes = SPL_MAX(bytes, had_bytes);
    if (bytes < least_bytes)
        return spl_fail(ret_error, SPL_E_LIMIT,
                        "the job %s writes %llu bytes, more than its owner may store", id,
                        (unsigned long long)least_bytes);
    status = spl_change(
        &transaction, SPL_SQL_EXTEND,
        SPL_BIND(SPL_BIND_TEXT(id), SPL_BIND_WHOLE(fence), SPL_BIND_WHOLE(input_bytes + bytes)),
        NULL, ret_error);
    if (status == 0)
        status = spl_transaction_commit(&transaction, ret_error);
    if (status == 0)
        *ret_bytes = bytes;
    return status;
}

static int store_release(spl_store *base, const char *id, int64_t fence, int64_t available_ms,
                         bool counts, spl_error *ret_error) {
    sql_store *store = of(base);
    SPL_CLEANUP(spl_transaction_end) spl_transaction transaction = {0};
    int status = begin_write(store, &transaction, ret_error);
    int changed = 0;
    if (status == 0)
        status = spl_change(&transaction, SPL_SQL_RELEASE,
                            SPL_BIND(SPL_BIND_WHOLE(available_ms), SPL_BIND_TEXT(id),
                                     SPL_BIND_WHOLE(fence), SPL_BIND_WHOLE(!counts)),
                            &changed, ret_error);
    if (status == 0 && changed == 0)
        status = lost(id, ret_error);
    if (status == 0)
        status = spl_change(&transaction, SPL_SQL_FORGET_OUTPUTS, SPL_BIND(SPL_BIND_TEXT(id)), NULL,
                            ret_error);
    if (status < 0)
        return status;
    spl_transaction_notify(&transaction, SPL_TOPIC_JOB, id);
    spl_transaction_notify(&transaction, SPL_TOPIC_QUEUE, NULL);
    return spl_transaction_commit(&transaction, ret_error);
}

static int store_rescue(spl_store *base, int64_t now_ms, uint64_t *ret_jobs, spl_error *ret_error) {
    sql_store *store = of(base);
    SPL_CLEANUP(spl_transaction_end) spl_transaction transaction = {0};
    int status = begin_write(store, &transaction, ret_error);
    if (status < 0)
        return status;
    int rescued;
    status = spl_change(&transaction, SPL_SQL_RESCUE, SPL_BIND(SPL_BIND_WHOLE(now_ms)), &rescued,
                        ret_error);
    if (status == 0)
        status =
            spl_change(&transaction, SPL_SQL_FORGET_OUTPUTS_OF_QUEUED, NULL, 0, NULL, ret_error);
    if (status == 0)
        status = spl_change(&transaction, SPL_SQL_FREE_ALL_KEYS, NULL, 0, NULL, ret_error);
    if (status < 0)
        return status;
    spl_transaction_notify(&transaction, SPL_TOPIC_ALL_JOBS, NULL);
    spl_transaction_notify(&transaction, SPL_TOPIC_QUEUE, NULL);
    status = spl_transaction_commit(&transaction, ret_error);
    if (status < 0)
        return status;
    *ret_jobs = (uint64_t)rescued;
    return 0;
}

/* -------------------------------------------------------- idempotency ---- */

/* Reads the state of a key that is already reserved. */
static int read_key(spl_transaction *transaction, const char *owner, const char *key,
                    spl_idempotency *ret_state, char **ret_fingerprint, char **ret_answer,
                    spl_error *ret_error) {
    SPL_CLEANUP(spl_rows_end) spl_rows row = {0};
    int found = spl_query(transaction, SPL_SQL_GET_KEY,
                          SPL_BIND(SPL_BIND_TEXT(owner), SPL_BIND_TEXT(key)), &row, ret_error);
    if (found < 0)
        return found;
    SPL_CLEANUP(spl_free_p) char *fingerprint = NULL;
    SPL_CLEANUP(spl_free_p) char *answer = NULL;
    int status = spl_row_text(&row, 0, &fingerprint, ret_error);
    if (status == 0)
        status = spl_row_text(&row, 1, &answer, ret_error);
    if (status < 0)
        return status;
    *ret_state = answer ? SPL_IDEMPOTENCY_DONE : SPL_IDEMPOTENCY_BUSY;
    if (answer) {
        *ret_fingerprint = SPL_STEAL(fingerprint);
        *ret_answer = SPL_STEAL(answer);
    }
    return 0;
}

/* Schedules a key to be freed; this process would otherwise renew it as long as it lives. */
static void free_later(sql_store *store, const char *owner, const char *key) {
    struct unfreed later = {strdup(owner), strdup(key)};
    pthread_mutex_lock(&store->lock);
    const bool kept = later.owner && later.key && store->unfreed_count < UNFREED_MAX;
    if (kept)
        store->unfreed[store->unfreed_count++] = later;
    pthread_mutex_unlock(&store->lock);
    if (!kept) {
        free(later.owner);
        free(later.key);
    }
}

/* Takes a key off the list of keys to free, because it is reserved again. */
static void cancel_free(sql_store *store, const char *owner, const char *key) {
    pthread_mutex_lock(&store->lock);
    for (size_t i = store->unfreed_count; i-- > 0;) {
        struct unfreed *later = &store->unfreed[i];
        if (strcmp(later->owner, owner) == 0 && strcmp(later->key, key) == 0) {
            free(later->owner);
            free(later->key);
            *later = store->unfreed[--store->unfreed_count];
        }
    }
    pthread_mutex_unlock(&store->lock);
}

static int store_idempotency_reserve(spl_store *base, const char *owner, const char *key,
                                     int64_t now_ms, spl_idempotency *ret_state,
                                     char **ret_fingerprint, char **ret_answer,
                                     spl_error *ret_error) {
    sql_store *store = of(base);
    SPL_CLEANUP(spl_transaction_end) spl_transaction transaction = {0};
    int status = begin_write(store, &transaction, ret_error);
    int changed = 0;
    if (status == 0)
        status = spl_change(&transaction, SPL_SQL_RESERVE_KEY,
                            SPL_BIND(SPL_BIND_TEXT(owner), SPL_BIND_TEXT(key),
                                     SPL_BIND_WHOLE(now_ms), SPL_BIND_TEXT(store->holder),
                                     SPL_BIND_WHOLE(now_ms - KEY_LEASE_MS)),
                            &changed, ret_error);
    if (status < 0)
        return status;
    if (changed == 0)
        return read_key(&transaction, owner, key, ret_state, ret_fingerprint, ret_answer,
                        ret_error);
    status = spl_transaction_commit(&transaction, ret_error);
    if (status < 0) {
        /* The commit may have taken effect. */
        free_later(store, owner, key);
        return status;
    }
    cancel_free(store, owner, key);
    *ret_state = SPL_IDEMPOTENCY_NEW;
    return 0;
}

static int free_key(const sql_store *store, const char *owner, const char *key,
                    spl_error *ret_error) {
    SPL_CLEANUP(spl_transaction_end) spl_transaction transaction = {0};
    int status = spl_transaction_begin(store->sql, SPL_WRITE, &transaction, ret_error);
    if (status == 0)
        status = spl_change(
            &transaction, SPL_SQL_FREE_KEY,
            SPL_BIND(SPL_BIND_TEXT(owner), SPL_BIND_TEXT(key), SPL_BIND_TEXT(store->holder)), NULL,
            ret_error);
    return status == 0 ? spl_transaction_commit(&transaction, ret_error) : status;
}

static int store_idempotency_release(spl_store *base, const char *owner, const char *key,
                                     spl_error *ret_error) {
    int status = free_key(of(base), owner, key, ret_error);
    if (status < 0)
        free_later(of(base), owner, key);
    return status;
}

static int store_idempotency_renew(spl_store *base, int64_t now_ms, spl_error *ret_error) {
    sql_store *store = of(base);
    for (;;) {
        pthread_mutex_lock(&store->lock);
        struct unfreed next = {0};
        if (store->unfreed_count > 0)
            next = store->unfreed[--store->unfreed_count];
        pthread_mutex_unlock(&store->lock);
        if (!next.owner)
            break;
        int status = store_idempotency_release(base, next.owner, next.key, ret_error);
        free(next.owner);
        free(next.key);
        if (status < 0)
            return status;
    }
    SPL_CLEANUP(spl_transaction_end) spl_transaction transaction = {0};
    int status = begin_write(store, &transaction, ret_error);
    if (status == 0)
        status = spl_change(&transaction, SPL_SQL_RENEW_KEYS,
                            SPL_BIND(SPL_BIND_TEXT(store->holder), SPL_BIND_WHOLE(now_ms)), NULL,
                            ret_error);
    return status == 0 ? spl_transaction_commit(&transaction, ret_error) : status;
}

/* -------------------------------------------------------------- rates ---- */

static int store_take_rate(spl_store *base, const char *name, int64_t one_us, int64_t now_us,
                           bool *ret_granted, int64_t *ret_full_us, spl_error *ret_error) {
    SPL_CLEANUP(spl_transaction_end) spl_transaction transaction = {0};
    int status = spl_transaction_begin(of(base)->sql, SPL_WRITE_SOON, &transaction, ret_error);
    int64_t full_us = -1;
    if (status == 0)
        status = query_whole(
            &transaction, SPL_SQL_TAKE_RATE,
            SPL_BIND(SPL_BIND_TEXT(name), SPL_BIND_WHOLE(now_us), SPL_BIND_WHOLE(one_us)), &full_us,
            ret_error);
    const bool granted = full_us >= 0;
    if (status == 0 && !granted)
        status = query_whole(&transaction, SPL_SQL_GET_RATE, SPL_BIND(SPL_BIND_TEXT(name)),
                             &full_us, ret_error);
    if (status == 0)
        status = spl_transaction_commit(&transaction, ret_error);
    if (status < 0)
        return status;
    *ret_granted = granted;
    *ret_full_us = full_us;
    return 0;
}

/* ----------------------------------------------------------- sessions ---- */

static int store_end_session(spl_store *base, const char *id, int64_t expires_ms,
                             spl_error *ret_error) {
    SPL_CLEANUP(spl_transaction_end) spl_transaction transaction = {0};
    int status = begin_write(of(base), &transaction, ret_error);
    if (status == 0)
        status =
            spl_change(&transaction, SPL_SQL_END_SESSION,
                       SPL_BIND(SPL_BIND_TEXT(id), SPL_BIND_WHOLE(expires_ms)), NULL, ret_error);
    return status < 0 ? status : spl_transaction_commit(&transaction, ret_error);
}

static int store_session_ended(spl_store *base, const char *id, bool *ret_ended,
                               spl_error *ret_error) {
    SPL_CLEANUP(spl_transaction_end) spl_transaction transaction = {0};
    int64_t count = 0;
    int status = begin_read(of(base), &transaction, ret_error);
    if (status == 0)
        status = query_whole(&transaction, SPL_SQL_SESSION_ENDED, SPL_BIND(SPL_BIND_TEXT(id)),
                             &count, ret_error);
    if (status == 0)
        *ret_ended = count > 0;
    return status;
}

/* --------------------------------------------------------- deliveries ---- */

static int read_delivery(spl_rows *row, spl_delivery *ret_delivery, spl_error *ret_error) {
    SPL_CLEANUP(spl_delivery_free)
    spl_delivery delivery = {.attempts = (unsigned)spl_row_whole(row, 5)};
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

static int store_delivery_claim(spl_store *base, int64_t now_ms, int64_t lease_ms,
                                const char *busy_owners, const char *busy_hosts,
                                spl_delivery *ret_delivery, int64_t *ret_next_ms,
                                spl_error *ret_error) {
    sql_store *store = of(base);
    SPL_CLEANUP(spl_delivery_free) spl_delivery delivery = {0};
    SPL_CLEANUP(spl_transaction_end) spl_transaction transaction = {0};
    int status = begin_write(store, &transaction, ret_error);
    if (status < 0)
        return status;
    const uint64_t seen = spl_signal_count(&store->deliveries.signal);
    SPL_CLEANUP(spl_rows_end) spl_rows row = {0};
    int found = spl_query(&transaction, SPL_SQL_CLAIM_DELIVERY,
                          SPL_BIND(SPL_BIND_WHOLE(now_ms), SPL_BIND_WHOLE(now_ms + lease_ms),
                                   SPL_BIND_TEXT(busy_owners), SPL_BIND_TEXT(busy_hosts)),
                          &row, ret_error);
    if (found < 0)
        return found;
    if (!found) {
        status = query_whole(&transaction, SPL_SQL_NEXT_DELIVERY, NULL, 0, ret_next_ms, ret_error);
        atomic_store(&store->deliveries.seen, seen);
        return status < 0 ? status
                          : spl_fail(ret_error, SPL_E_NOT_FOUND, "there is no delivery to make");
    }
    status = read_delivery(&row, &delivery, ret_error);
    spl_rows_end(&row);
    if (status == 0)
        status = spl_transaction_commit(&transaction, ret_error);
    if (status < 0)
        return status;
    *ret_delivery = delivery;
    ret_delivery->next_ms = now_ms + lease_ms;
    delivery = (spl_delivery){0};
    return 0;
}

/* Runs a statement on the delivery whose id is the first of `values`. Errors: NOT_FOUND. */
static int change_delivery(spl_store *base, spl_statement statement, const spl_value *values,
                           size_t value_count, spl_error *ret_error) {
    sql_store *store = of(base);
    SPL_CLEANUP(spl_transaction_end) spl_transaction transaction = {0};
    int status = begin_write(store, &transaction, ret_error);
    int changed = 0;
    if (status == 0)
        status = spl_change(&transaction, statement, values, value_count, &changed, ret_error);
    if (status == 0 && changed == 0)
        status = spl_fail(ret_error, SPL_E_NOT_FOUND, "there is no delivery %s", values[0].text);
    if (status < 0)
        return status;
    spl_transaction_notify(&transaction, SPL_TOPIC_DELIVERIES, NULL);
    return spl_transaction_commit(&transaction, ret_error);
}

static int store_delivery_done(spl_store *base, const char *id, spl_error *ret_error) {
    return change_delivery(base, SPL_SQL_REMOVE_DELIVERY, SPL_BIND(SPL_BIND_TEXT(id)), ret_error);
}

static int store_delivery_retry(spl_store *base, const char *id, int64_t next_ms, bool counts,
                                spl_error *ret_error) {
    return change_delivery(
        base, SPL_SQL_RETRY_DELIVERY,
        SPL_BIND(SPL_BIND_TEXT(id), SPL_BIND_WHOLE(next_ms), SPL_BIND_WHOLE(counts ? 0 : 1)),
        ret_error);
}

static int store_delivery_defer(spl_store *base, const char *id, int64_t now_ms, const char *host,
                                spl_error *ret_error) {
    return change_delivery(base, SPL_SQL_DEFER_DELIVERY,
                           SPL_BIND(SPL_BIND_TEXT(id), SPL_BIND_WHOLE(now_ms), SPL_BIND_TEXT(host)),
                           ret_error);
}

/* ------------------------------------------------------------ waiting ---- */

static unsigned wait_at_most(sql_store *store, unsigned timeout_ms) {
    return atomic_load(&store->waits_ended) ? SPL_MIN(timeout_ms, ENDED_WAIT_MS) : timeout_ms;
}

/* Whether the job is gone or has another version. True also if that cannot be determined. */
static bool has_changed(sql_store *store, const char *id, int64_t version) {
    SPL_CLEANUP(spl_transaction_end) spl_transaction transaction = {0};
    SPL_CLEANUP(spl_rows_end) spl_rows row = {0};
    return begin_read(store, &transaction, NULL) < 0 ||
           spl_query(&transaction, SPL_SQL_JOB_STATE,
                     SPL_BIND(SPL_BIND_TEXT(id), SPL_BIND_TEXT(NULL)), &row, NULL) <= 0 ||
           spl_row_whole(&row, 1) != version;
}

static void store_wait_job(spl_store *base, const char *id, int64_t version, unsigned timeout_ms) {
    sql_store *store = of(base);
    spl_signal *signal = signal_of_job(store, id);
    const uint64_t seen = spl_signal_count(signal);
    if (!has_changed(store, id, version))
        spl_signal_wait(signal, seen, wait_at_most(store, timeout_ms));
}

static void wait_supply(sql_store *store, supply *waited, unsigned timeout_ms) {
    spl_signal_wait(&waited->signal, atomic_load(&waited->seen), wait_at_most(store, timeout_ms));
}

static void store_wait_queue(spl_store *base, unsigned timeout_ms) {
    wait_supply(of(base), &of(base)->queue, timeout_ms);
}

static void store_wait_delivery(spl_store *base, unsigned timeout_ms) {
    wait_supply(of(base), &of(base)->deliveries, timeout_ms);
}

static void store_end_waits(spl_store *base) {
    sql_store *store = of(base);
    atomic_store(&store->waits_ended, true);
    notify_all_jobs(store);
    spl_signal_raise(&store->queue.signal);
    spl_signal_raise(&store->deliveries.signal);
}

/* --------------------------------------------------- opening, closing ---- */

static int64_t store_now_ms(spl_store *base) {
    spl_sql *sql = of(base)->sql;
    return sql->functions->now_ms(sql);
}

static void store_close(spl_store *base) {
    sql_store *store = of(base);
    store->sql->functions->close(store->sql);
    for (size_t i = 0; i < JOB_GROUPS; i++)
        spl_signal_destroy(&store->jobs[i]);
    spl_signal_destroy(&store->queue.signal);
    spl_signal_destroy(&store->deliveries.signal);
    for (size_t i = 0; i < store->unfreed_count; i++) {
        free(store->unfreed[i].owner);
        free(store->unfreed[i].key);
    }
    pthread_mutex_destroy(&store->lock);
    free(store);
}

static const spl_store_functions store_functions = {
    .close = store_close,
    .now_ms = store_now_ms,
    .ping = store_ping,
    .create = store_create,
    .get = store_get,
    .list = store_list,
    .queue_position = store_queue_position,
    .find_result = store_find_result,
    .queue_length = store_queue_length,
    .owner_usage = store_owner_usage,
    .claim = store_claim,
    .heartbeat = store_heartbeat,
    .set_output = store_set_output,
    .extend = store_extend,
    .finish = store_finish,
    .release = store_release,
    .rescue = store_rescue,
    .cancel = store_cancel,
    .remove = store_remove,
    .expire = store_expire,
    .holds_files = store_holds_files,
    .check_files = store_check_files,
    .idempotency_reserve = store_idempotency_reserve,
    .idempotency_release = store_idempotency_release,
    .idempotency_renew = store_idempotency_renew,
    .take_rate = store_take_rate,
    .end_session = store_end_session,
    .session_ended = store_session_ended,
    .delivery_claim = store_delivery_claim,
    .delivery_done = store_delivery_done,
    .delivery_retry = store_delivery_retry,
    .delivery_defer = store_delivery_defer,
    .stats = store_stats,
    .wait_job = store_wait_job,
    .wait_queue = store_wait_queue,
    .wait_delivery = store_wait_delivery,
    .end_waits = store_end_waits,
};

int spl_store_on_sql(spl_sql *sql, spl_store **ret_store, spl_error *ret_error) {
    sql_store *store = calloc(1, sizeof(*store));
    if (!store) {
        sql->functions->close(sql);
        return spl_fail_memory(ret_error);
    }
    store->base = (spl_store){.functions = &store_functions, .shared = sql->shared};
    store->sql = sql;
    uint8_t random[16];
    if (getrandom(random, sizeof(random), 0) != sizeof(random)) {
        sql->functions->close(sql);
        free(store);
        return spl_fail_errno(ret_error, errno, "there are no random bytes");
    }
    spl_hex(random, sizeof(random), store->holder);
    pthread_mutex_init(&store->lock, NULL);
    spl_signal_init(&store->queue.signal);
    spl_signal_init(&store->deliveries.signal);
    for (size_t i = 0; i < JOB_GROUPS; i++)
        spl_signal_init(&store->jobs[i]);
    sql->notified = take_notification;
    sql->user = store;
    *ret_store = &store->base;
    return 0;
}

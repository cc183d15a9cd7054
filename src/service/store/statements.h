/* SPDX-License-Identifier: MIT
 *
 * The statements of the job store, in the SQL common to SQLite and PostgreSQL. The tables are in
 * schema.sql and its migrations. Parameters are $1, $2 ...; a CAST gives PostgreSQL the type of a
 * parameter that may be NULL.
 *
 * Before it expands SPL_STATEMENTS, an implementation defines the locking of concurrent writers:
 * SPL_SKIP_LOCKED(of) and SPL_FOR_UPDATE end a SELECT. SPL_LOCK(space) and SPL_LOCK_OF(space), the
 * latter for the name $1, are statements that wait for a lock and hold it until the transaction
 * ends. SPL_TRY_LOCK(space) does not wait, and returns 1 if it got the lock, else 0.
 *
 * States are literal numbers, because partial indexes need constants: 0 queued, 1 running, 2
 * succeeded, 3 failed, 4 canceled, 5 expired.
 */
#ifndef SPL_SERVICE_STORE_STATEMENTS_H
#define SPL_SERVICE_STORE_STATEMENTS_H

#include "service/store/store.h"

_Static_assert(SPL_JOB_QUEUED == 0 && SPL_JOB_RUNNING == 1 && SPL_JOB_SUCCEEDED == 2 &&
                   SPL_JOB_FAILED == 3 && SPL_JOB_CANCELED == 4 && SPL_JOB_EXPIRED == 5,
               "the statements and tables hold these numbers");
_Static_assert(SPL_JOB_ROW_BYTES == 24576 && SPL_EXPIRED_ROW_BYTES == 8192 &&
                   SPL_KEY_ROW_BYTES == 4096 && SPL_OUTPUT_ROW_BYTES == 2048,
               "EXPIRE and the triggers (sqlite_usage.sql, postgres_usage.sql) hold these numbers");

/* The columns of a listed job after its id. Each has a field of the same name in spl_job. */
#define SPL_LISTED_COLUMNS(TEXT, WHOLE, REAL)                                                      \
    TEXT(owner)                                                                                    \
    WHOLE(state)                                                                                   \
    WHOLE(priority)                                                                                \
    WHOLE(created_ms)                                                                              \
    WHOLE(started_ms)                                                                              \
    WHOLE(finished_ms)                                                                             \
    WHOLE(expires_ms)                                                                              \
    WHOLE(available_ms)                                                                            \
    WHOLE(attempts)                                                                                \
    WHOLE(cancel_requested)                                                                        \
    WHOLE(dead_letter)                                                                             \
    WHOLE(reused)                                                                                  \
    TEXT(options)                                                                                  \
    TEXT(model)                                                                                    \
    TEXT(model_sha256)                                                                             \
    TEXT(input_name)                                                                               \
    TEXT(input_sha256)                                                                             \
    WHOLE(input_bytes)                                                                             \
    REAL(input_s)                                                                                  \
    TEXT(cache_key)                                                                                \
    TEXT(metadata)                                                                                 \
    TEXT(webhook_url)                                                                              \
    TEXT(request_id)                                                                               \
    TEXT(traceparent)                                                                              \
    REAL(progress)                                                                                 \
    TEXT(error_code)                                                                               \
    TEXT(error_detail)                                                                             \
    TEXT(warning)                                                                                  \
    WHOLE(fence)                                                                                   \
    WHOLE(version)                                                                                 \
    WHOLE(stored_bytes)                                                                            \
    WHOLE(storage_max)                                                                             \
    WHOLE(suspect)

/* All columns of a job after its id. Lists leave out the manifest, which is large. */
#define SPL_JOB_COLUMNS(TEXT, WHOLE, REAL)                                                         \
    SPL_LISTED_COLUMNS(TEXT, WHOLE, REAL)                                                          \
    TEXT(result)

#define SPL_JOB_COLUMN_NAME(name) ", " #name

#define SPL_JOB "id" SPL_JOB_COLUMNS(SPL_JOB_COLUMN_NAME, SPL_JOB_COLUMN_NAME, SPL_JOB_COLUMN_NAME)

#define SPL_LISTED_JOB                                                                             \
    "id" SPL_LISTED_COLUMNS(SPL_JOB_COLUMN_NAME, SPL_JOB_COLUMN_NAME, SPL_JOB_COLUMN_NAME) ", "    \
                                                                                           "NULL"

#define SPL_FILES_AT_ONCE 16

#define SPL_OF_OWNER "(CAST($2 AS TEXT) IS NULL OR owner = $2)"

#define SPL_LIST                                                                                   \
    " (CAST($2 AS INTEGER) = 0 OR (CAST($2 AS INTEGER) & (1 << state)) <> 0)"                      \
    " AND (CAST($3 AS TEXT) IS NULL OR model = $3)"                                                \
    " AND created_ms > $4 AND ($5 = 0 OR created_ms < $5)"                                         \
    " AND id < $1 AND id >= $7 ORDER BY id DESC LIMIT $6"

/* The last id of the range that a page examines, and the id after it, if there are so many. */
#define SPL_LIST_END " id < $1 ORDER BY id DESC LIMIT 2 OFFSET $2"

#define SPL_END                                                                                    \
    "UPDATE jobs SET state = $2, finished_ms = $3, expires_ms = $4, result = $5,"                  \
    " error_code = $6, error_detail = $7, dead_letter = $8, stored_bytes = $9,"                    \
    " warning = $10,"                                                                              \
    " progress = CASE WHEN $2 = 2 THEN 1 ELSE progress END,"                                       \
    " worker = NULL, lease_until_ms = 0, version = version + 1 WHERE id = $1"

/* Whether the time in `column` has come. A time beyond the longest possible wait (`most_ms`, with a
 * margin) was written before the clock was set back, so it counts as due. */
#define SPL_DUE(column, now, most_ms)                                                              \
    "(" column " <= " now " OR " column " > " now " + " most_ms ")"
#define SPL_JOB_DUE(column, now) SPL_DUE(column, now, "120000")
#define SPL_DELIVERY_DUE(now)    SPL_DUE("next_ms", now, "7200000")

#define SPL_REQUEUE                                                                                \
    "UPDATE jobs SET state = 0, available_ms = $1, started_ms = 0, progress = 0,"                  \
    " worker = NULL, lease_until_ms = 0, version = version + 1"

/* X(name, text) */
#define SPL_STATEMENTS(X)                                                                          \
    X(PING, "SELECT id FROM jobs LIMIT 1")                                                         \
                                                                                                   \
    X(COUNT_QUEUED, "SELECT count(*) FROM jobs WHERE state = 0")                                   \
    X(OWNER_USAGE,                                                                                 \
      "SELECT coalesce(sum(active_jobs), 0), coalesce(sum(stored_bytes + row_bytes), 0)"           \
      " FROM owner_usage WHERE owner = $1")                                                        \
    X(INSERT_JOB, "INSERT INTO jobs (" SPL_JOB ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9,"     \
                  " $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24,"    \
                  " $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35)")                       \
    X(GET_JOB, "SELECT " SPL_JOB " FROM jobs WHERE id = $1 AND " SPL_OF_OWNER)                     \
    X(LIST_ALL, "SELECT " SPL_LISTED_JOB " FROM jobs WHERE" SPL_LIST)                              \
    X(LIST_OWNED, "SELECT " SPL_LISTED_JOB " FROM jobs WHERE owner = $8 AND" SPL_LIST)             \
    X(LIST_END_ALL, "SELECT id FROM jobs WHERE" SPL_LIST_END)                                      \
    X(LIST_END_OWNED, "SELECT id FROM jobs WHERE owner = $3 AND" SPL_LIST_END)                     \
    /* SPL_FILES_AT_ONCE parameters, which may be NULL. */                                         \
    X(JOBS_WITH_FILES, "SELECT id, fence FROM jobs WHERE state IN (1, 2) AND id IN"                \
                       " ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)") \
    X(JOB_STATE, "SELECT state, version FROM jobs WHERE id = $1 AND " SPL_OF_OWNER)                \
    X(LOCK_JOB, "SELECT state FROM jobs WHERE id = $1 AND " SPL_OF_OWNER SPL_FOR_UPDATE)           \
    X(LOCK_OWNER, SPL_LOCK_OF("1"))                                                                \
    X(LOCK_WORKER, SPL_LOCK_OF("2"))                                                               \
    X(LOCK_QUEUE, SPL_LOCK("2"))                                                                   \
    /* A transaction that changes the rows of several owners holds this lock, because it would     \
     * otherwise lock rows of owner_usage in another order than the next one. */                   \
    X(LOCK_OWNERS, SPL_LOCK("3"))                                                                  \
    X(TRY_LOCK_OWNERS, SPL_TRY_LOCK("3"))                                                          \
    X(FIND_RESULT, "SELECT " SPL_JOB " FROM jobs WHERE state = 2 AND owner = $1"                   \
                   " AND cache_key = $2 AND expires_ms > $3 ORDER BY expires_ms DESC LIMIT 1")     \
    X(REMOVE_JOB, "DELETE FROM jobs WHERE id = $1 AND " SPL_OF_OWNER)                              \
                                                                                                   \
    X(PUT_OUTPUT, "INSERT INTO outputs (job, name, file, complete, bytes, samples, clipped,"       \
                  " peak_dbfs, sha256, position) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9,"      \
                  " (SELECT count(*) FROM outputs WHERE job = $1))"                                \
                  " ON CONFLICT (job, name) DO UPDATE SET file = excluded.file,"                   \
                  " complete = excluded.complete, bytes = excluded.bytes,"                         \
                  " samples = excluded.samples, clipped = excluded.clipped,"                       \
                  " peak_dbfs = excluded.peak_dbfs, sha256 = excluded.sha256")                     \
    X(GET_OUTPUTS, "SELECT name, file, complete, bytes, samples, clipped, peak_dbfs, sha256"       \
                   " FROM outputs WHERE job = $1 ORDER BY position")                               \
    X(FORGET_OUTPUTS, "DELETE FROM outputs WHERE job = $1")                                        \
                                                                                                   \
    /* An owner's jobs get turns 1, 2 ... by age. Within a turn, the owner whose last claim is     \
     * longest ago comes first. */                                                                 \
    X(QUEUE_POSITION, "WITH waiting AS (SELECT j.id, j.priority, j.input_s,"                       \
                      " coalesce(o.last_claim, 0) AS last_claim,"                                  \
                      " min(j.id) OVER (PARTITION BY j.priority, j.owner) AS oldest,"              \
                      " row_number() OVER (PARTITION BY j.priority, j.owner ORDER BY j.id)"        \
                      " AS turn FROM jobs j LEFT JOIN owners o ON o.owner = j.owner"               \
                      " WHERE j.state = 0)"                                                        \
                      " SELECT count(*), coalesce(sum(w.input_s), 0)"                              \
                      " + (SELECT coalesce(sum(input_s * (1 - progress)), 0) FROM jobs"            \
                      " WHERE state = 1)"                                                          \
                      " FROM waiting w JOIN waiting me ON me.id = $1"                              \
                      " WHERE w.priority > me.priority OR (w.priority = me.priority"               \
                      " AND (w.turn, w.last_claim, w.oldest)"                                      \
                      " < (me.turn, me.last_claim, me.oldest))")                                   \
    /* Whether a claim would find anything to do. */                                               \
    X(ANYTHING_TO_DO,                                                                              \
      "SELECT CASE WHEN EXISTS (SELECT 1 FROM jobs WHERE state = 0"                                \
      " AND (" SPL_JOB_DUE("available_ms",                                                         \
                           "$1") " OR attempts - suspect >= $2 OR cancel_requested <> 0))"         \
                                 " OR EXISTS (SELECT 1 FROM jobs WHERE state = 1"                  \
                                 " AND lease_until_ms <= $1) THEN 1 ELSE 0 END")                   \
    X(NEXT_TO_END,                                                                                 \
      "SELECT id, owner, webhook_url, input_bytes, cancel_requested FROM jobs"                     \
      " WHERE state = 0 AND (attempts > 0 OR cancel_requested <> 0)"                               \
      " AND (attempts - suspect >= $1 OR cancel_requested <> 0) LIMIT 1" SPL_SKIP_LOCKED("jobs"))  \
    /* A process that runs a suspect claims nothing. While a suspect is queued, a process that     \
     * runs any job claims nothing. */                                                             \
    X(CLAIM, "UPDATE jobs SET state = 1, started_ms = $1, lease_until_ms = $2, worker = $3,"       \
             " attempts = attempts + 1, fence = fence + 1, progress = 0, version = version + 1"    \
             " WHERE id = (SELECT j.id FROM jobs j LEFT JOIN owners o ON o.owner = j.owner"        \
             " WHERE j.state = 0 AND " SPL_JOB_DUE(                                                \
                 "j.available_ms",                                                                 \
                 "$1") " AND NOT EXISTS (SELECT 1 FROM jobs r WHERE r.state = 1 AND r.worker = $3" \
                       " AND (r.suspect = 1 OR EXISTS (SELECT 1 FROM jobs s WHERE s.state = 0"     \
                       " AND s.suspect = 1 AND " SPL_JOB_DUE(                                      \
                           "s.available_ms",                                                       \
                           "$1") ")))"                                                             \
                                 " ORDER BY j.suspect DESC, j.priority DESC, "                     \
                                 "coalesce(o.last_claim, 0), j.id"                                 \
                                 " LIMIT 1" SPL_SKIP_LOCKED("j") ") RETURNING " SPL_JOB)           \
    X(TAKE_TURN, "INSERT INTO owners (owner, last_claim)"                                          \
                 " VALUES ($1, (SELECT coalesce(max(last_claim), 0) + 1 FROM owners))"             \
                 " ON CONFLICT (owner) DO UPDATE SET last_claim = excluded.last_claim")            \
    X(HEARTBEAT, "UPDATE jobs SET lease_until_ms = $4,"                                            \
                 " version = version + CASE WHEN progress <> $5 THEN 1 ELSE 0 END, progress = $5"  \
                 " WHERE id = $1 AND state = 1 AND fence = $2 AND lease_until_ms > $3"             \
                 " RETURNING cancel_requested")                                                    \
    X(TOUCH_CLAIMED, "UPDATE jobs SET version = version + 1"                                       \
                     " WHERE id = $1 AND state = 1 AND fence = $2")                                \
    X(CLAIMED_STORAGE, "SELECT owner, input_bytes, stored_bytes, storage_max FROM jobs"            \
                       " WHERE id = $1 AND state = 1 AND fence = $2")                              \
    X(EXTEND, "UPDATE jobs SET stored_bytes = $3 WHERE id = $1 AND state = 1 AND fence = $2")      \
    X(FINISH, SPL_END " AND state = 1 AND fence = $11 AND lease_until_ms > $3")                    \
    X(END_QUEUED, SPL_END " AND state = 0")                                                        \
    X(RELEASE, SPL_REQUEUE ", attempts = attempts - $4"                                            \
                           " WHERE id = $2 AND state = 1 AND fence = $3")                          \
    X(REQUEUE_LOST,                                                                                \
      SPL_REQUEUE ", suspect = 1 WHERE id = (SELECT id FROM jobs WHERE state = 1"                  \
                  " AND lease_until_ms <= $2 LIMIT 1" SPL_SKIP_LOCKED("jobs") ") RETURNING id")    \
    X(RESCUE, SPL_REQUEUE ", suspect = 1 WHERE state = 1")                                         \
    X(FORGET_OUTPUTS_OF_QUEUED, "DELETE FROM outputs WHERE job IN"                                 \
                                " (SELECT id FROM jobs WHERE state = 0)")                          \
    X(REQUEST_CANCEL, "UPDATE jobs SET version = version + 1 - cancel_requested,"                  \
                      " cancel_requested = 1 WHERE id = $1")                                       \
                                                                                                   \
    X(EXPIRE, "WITH due AS MATERIALIZED (SELECT id FROM jobs WHERE state IN (2, 3, 4)"             \
              " AND expires_ms > 0 AND expires_ms <= $1 LIMIT $2" SPL_SKIP_LOCKED(                 \
                  "jobs") ")"                                                                      \
                          " UPDATE jobs SET state = 5, stored_bytes = 2048 *"                      \
                          " (SELECT count(*) FROM outputs WHERE job = jobs.id), metadata = NULL, " \
                          "version = version + 1"                                                  \
                          " WHERE id IN (SELECT id FROM due) RETURNING id")                        \
    X(REMOVE_EXPIRED, "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE state = 5"          \
                      " AND expires_ms <= $1 LIMIT $2" SPL_SKIP_LOCKED("jobs") ")")                \
    X(REMOVE_OLD_KEYS,                                                                             \
      "DELETE FROM idempotency WHERE (owner, key) IN (SELECT owner, key FROM idempotency"          \
      " WHERE reserved_ms <= $1 LIMIT $2" SPL_SKIP_LOCKED("idempotency") ")")                      \
    X(REMOVE_IDLE_OWNERS,                                                                          \
      "DELETE FROM owners WHERE owner IN (SELECT owner FROM owners WHERE NOT EXISTS"               \
      " (SELECT 1 FROM jobs WHERE jobs.owner = owners.owner) LIMIT $1)")                           \
    X(REMOVE_IDLE_USAGE, "DELETE FROM owner_usage WHERE row_bytes = 0 AND owner IN"                \
                         " (SELECT owner FROM owner_usage WHERE row_bytes = 0 LIMIT $1)")          \
                                                                                                   \
    X(RESERVE_KEY,                                                                                 \
      "INSERT INTO idempotency (owner, key, reserved_ms, holder) VALUES ($1, $2, $3, $4)"          \
      " ON CONFLICT (owner, key) DO UPDATE SET reserved_ms = excluded.reserved_ms,"                \
      " holder = excluded.holder WHERE idempotency.answer IS NULL"                                 \
      " AND idempotency.reserved_ms <= $5")                                                        \
    X(RENEW_KEYS, "UPDATE idempotency SET reserved_ms = $2 WHERE holder = $1 AND answer IS NULL")  \
    X(GET_KEY, "SELECT fingerprint, answer FROM idempotency WHERE owner = $1 AND key = $2")        \
    X(ANSWER_KEY, "UPDATE idempotency SET fingerprint = $3, answer = $4"                           \
                  " WHERE owner = $1 AND key = $2 AND holder = $5 AND answer IS NULL")             \
    X(FREE_KEY,                                                                                    \
      "DELETE FROM idempotency WHERE owner = $1 AND key = $2 AND holder = $3 AND answer IS NULL")  \
    X(FREE_ALL_KEYS, "DELETE FROM idempotency WHERE answer IS NULL")                               \
                                                                                                   \
    X(INSERT_DELIVERY, "INSERT INTO deliveries (id, job, owner, url, payload, attempts, next_ms)"  \
                       " VALUES ($1, $2, $3, $4, $5, 0, $6)")                                      \
    X(COUNT_DELIVERIES, "SELECT count(*) FROM deliveries WHERE owner = $1")                        \
    /* $3, $4: the excluded owners and hosts, each between newlines. */                            \
    X(CLAIM_DELIVERY,                                                                              \
      "UPDATE deliveries SET attempts = attempts + 1, next_ms = $2 WHERE id ="                     \
      " (SELECT id FROM deliveries"                                                                \
      " WHERE " SPL_DELIVERY_DUE(                                                                  \
          "$1") " AND replace(CAST($3 AS TEXT), '\n' || owner || '\n', '') = $3"                   \
                " AND (host = '' OR replace(CAST($4 AS TEXT), '\n' || host || '\n', '') = $4)"     \
                " ORDER BY next_ms, id LIMIT 1" SPL_SKIP_LOCKED(                                   \
                    "deliveries") ")"                                                              \
                                  " RETURNING id, job, owner, url, payload, attempts")             \
    X(NEXT_DELIVERY, "SELECT coalesce(min(next_ms), 0) FROM deliveries")                           \
    X(REMOVE_DELIVERY, "DELETE FROM deliveries WHERE id = $1")                                     \
    X(RETRY_DELIVERY, "UPDATE deliveries SET attempts = attempts - $3, next_ms = $2"               \
                      " WHERE id = $1")                                                            \
    X(DEFER_DELIVERY, "UPDATE deliveries SET attempts = attempts - 1, next_ms = $2, host = $3"     \
                      " WHERE id = $1")                                                            \
                                                                                                   \
    /* In microseconds; 60000000 is a minute. No row: not granted. */                              \
    X(TAKE_RATE, "INSERT INTO rates (name, full_us) VALUES ($1, $2 + $3)"                          \
                 " ON CONFLICT (name) DO UPDATE SET full_us = greatest(rates.full_us, $2) + $3"    \
                 " WHERE greatest(rates.full_us, $2) + $3 <= $2 + 60000000 RETURNING full_us")     \
    X(GET_RATE, "SELECT full_us FROM rates WHERE name = $1")                                       \
    X(END_SESSION, "INSERT INTO ended_sessions (id, expires_ms) VALUES ($1, $2)"                   \
                   " ON CONFLICT (id) DO NOTHING")                                                 \
    X(SESSION_ENDED, "SELECT count(*) FROM ended_sessions WHERE id = $1")                          \
    X(REMOVE_OLD_SESSIONS, "DELETE FROM ended_sessions WHERE id IN"                                \
                           " (SELECT id FROM ended_sessions WHERE expires_ms <= $1 LIMIT $2)")     \
    X(REMOVE_OLD_RATES, "DELETE FROM rates WHERE full_us < $1")                                    \
                                                                                                   \
    X(STATS, "SELECT (SELECT count(*) FROM jobs WHERE state = 0),"                                 \
             " (SELECT count(*) FROM jobs WHERE state = 1),"                                       \
             " (SELECT coalesce(min(created_ms), 0) FROM jobs WHERE state = 0),"                   \
             " (SELECT coalesce(sum(stored_bytes), 0) FROM owner_usage),"                          \
             " (SELECT count(*) FROM deliveries)")

typedef enum spl_statement {
#define SPL_STATEMENT_NAME(name, text) SPL_SQL_##name,
    SPL_STATEMENTS(SPL_STATEMENT_NAME)
#undef SPL_STATEMENT_NAME
        SPL_STATEMENT_COUNT,
} spl_statement;

#endif

-- SPDX-License-Identifier: MIT
--
-- Version 6 of SQLite's tables, 7 of PostgreSQL's. The next step (sqlite_usage.sql, postgres_usage.sql) fills the new table.

-- What each owner has: jobs that are queued or running, their files, and rows of the database. Triggers keep it equal to the sums over the
-- tables, so that reading it costs the same for any number of rows. An owner without any row may be missing.
CREATE TABLE owner_usage (
    owner        TEXT   NOT NULL PRIMARY KEY,
    active_jobs  BIGINT NOT NULL,
    stored_bytes BIGINT NOT NULL, -- of all jobs
    row_bytes    BIGINT NOT NULL  -- what the rows of jobs and idempotency keys count
);
DROP INDEX jobs_usage;
DROP INDEX jobs_stored;

-- Lists skip jobs that do not match their filter without reading the rows.
DROP INDEX jobs_of_owner;
CREATE INDEX jobs_of_owner ON jobs (owner, id, state, created_ms, model);

-- One search finds the result that lasts longest, however many jobs reuse it.
DROP INDEX jobs_results;
CREATE INDEX jobs_results ON jobs (owner, cache_key, expires_ms) WHERE state = 2;

-- The host of a delivery that was put back because its host was busy; '' if it was not yet.
ALTER TABLE deliveries ADD COLUMN host TEXT NOT NULL DEFAULT '';
DROP INDEX deliveries_due;
CREATE INDEX deliveries_due ON deliveries (next_ms, id, owner, host);

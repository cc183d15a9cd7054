-- SPDX-License-Identifier: MIT
--
-- The job database, version 1. It is never changed: a new version is a new file that alters what this one made.
--
-- Times are milliseconds since 1970; 0 is "not yet". Truth is 0 or 1. States are those of spl_job_state:
-- 0 queued, 1 running, 2 succeeded, 3 failed, 4 canceled, 5 expired. Ids are UUIDs of version 7, so that their order is that of creation.

CREATE TABLE jobs (
    id               TEXT             NOT NULL PRIMARY KEY,
    owner            TEXT             NOT NULL,
    state            INTEGER          NOT NULL CHECK (state BETWEEN 0 AND 5),
    priority         INTEGER          NOT NULL,
    created_ms       BIGINT           NOT NULL,
    started_ms       BIGINT           NOT NULL,
    finished_ms      BIGINT           NOT NULL,
    expires_ms       BIGINT           NOT NULL,
    available_ms     BIGINT           NOT NULL, -- a retry is not claimed before
    attempts         INTEGER          NOT NULL CHECK (attempts >= 0),
    cancel_requested INTEGER          NOT NULL,
    dead_letter      INTEGER          NOT NULL,
    reused           INTEGER          NOT NULL,
    options          TEXT,                      -- JSON
    model            TEXT,
    model_sha256     TEXT,
    input_name       TEXT,
    input_sha256     TEXT,
    input_bytes      BIGINT           NOT NULL,
    input_s          DOUBLE PRECISION NOT NULL,
    cache_key        TEXT,
    metadata         TEXT,                      -- JSON
    webhook_url      TEXT,
    request_id       TEXT,
    traceparent      TEXT,
    progress         DOUBLE PRECISION NOT NULL,
    error_code       TEXT,
    error_detail     TEXT,
    result           TEXT,                      -- JSON
    fence            BIGINT           NOT NULL, -- counts the claims
    version          BIGINT           NOT NULL, -- counts the changes that clients see
    stored_bytes     BIGINT           NOT NULL,
    worker           TEXT,                      -- who has claimed it
    lease_until_ms   BIGINT           NOT NULL DEFAULT 0
);

CREATE INDEX jobs_queued   ON jobs (priority, id) WHERE state = 0;
CREATE INDEX jobs_running  ON jobs (lease_until_ms) WHERE state = 1;
CREATE INDEX jobs_of_owner ON jobs (owner, id);
CREATE INDEX jobs_usage    ON jobs (owner, state, stored_bytes);
CREATE INDEX jobs_results  ON jobs (owner, cache_key) WHERE state = 2;
CREATE INDEX jobs_expiring ON jobs (state, expires_ms);

CREATE TABLE outputs (
    job       TEXT             NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    name      TEXT             NOT NULL,
    position  INTEGER          NOT NULL, -- in the order in which they were begun
    file      TEXT             NOT NULL,
    complete  INTEGER          NOT NULL,
    bytes     BIGINT           NOT NULL,
    samples   BIGINT           NOT NULL,
    clipped   BIGINT           NOT NULL,
    peak_dbfs DOUBLE PRECISION NOT NULL, -- may be -infinity
    sha256    TEXT             NOT NULL,
    PRIMARY KEY (job, name)
);

-- Fair share: whose turn it is.
CREATE TABLE owners (
    owner      TEXT   NOT NULL PRIMARY KEY,
    last_claim BIGINT NOT NULL -- counts the claims of all owners
);

CREATE TABLE idempotency (
    owner       TEXT   NOT NULL,
    key         TEXT   NOT NULL,
    reserved_ms BIGINT NOT NULL,
    fingerprint TEXT,  -- of the request; NULL while it is in flight
    answer      TEXT,
    PRIMARY KEY (owner, key)
);
CREATE INDEX idempotency_by_age ON idempotency (reserved_ms);

-- Webhooks that wait. They outlive their job.
CREATE TABLE deliveries (
    id       TEXT    NOT NULL PRIMARY KEY,
    job      TEXT    NOT NULL,
    owner    TEXT    NOT NULL,
    url      TEXT    NOT NULL,
    payload  TEXT,
    attempts INTEGER NOT NULL,
    next_ms  BIGINT  NOT NULL
);
CREATE INDEX deliveries_due ON deliveries (next_ms);

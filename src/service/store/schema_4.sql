-- SPDX-License-Identifier: MIT
--
-- The fourth step of both databases (version 4 of SQLite's, 5 of PostgreSQL's): sessions of browsers that were ended before their time, until then.

CREATE TABLE ended_sessions (
    id         TEXT   NOT NULL PRIMARY KEY,
    expires_ms BIGINT NOT NULL
);
CREATE INDEX ended_sessions_by_age ON ended_sessions (expires_ms);

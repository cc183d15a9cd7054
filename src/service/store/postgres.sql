-- SPDX-License-Identifier: MIT
--
-- Version 3, PostgreSQL only: ids are ordered by their bytes, and all processes share the rates of requests, which
-- need not survive a crash.

ALTER TABLE jobs ALTER COLUMN id TYPE TEXT COLLATE "C";
ALTER TABLE outputs ALTER COLUMN job TYPE TEXT COLLATE "C";
ALTER TABLE deliveries ALTER COLUMN id TYPE TEXT COLLATE "C";

-- The time at which all requests of a name are available again (auth/rate.c).
CREATE UNLOGGED TABLE rates (
    name    TEXT   NOT NULL PRIMARY KEY,
    full_us BIGINT NOT NULL
);
CREATE INDEX rates_by_age ON rates (full_us);

-- SPDX-License-Identifier: MIT
--
-- The third step of both databases (version 3 of SQLite's, 4 of PostgreSQL's): how much the owner of a job may store, as it was when the job was made;
-- 0 is "not known".

ALTER TABLE jobs ADD COLUMN storage_max BIGINT NOT NULL DEFAULT 0;

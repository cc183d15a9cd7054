-- SPDX-License-Identifier: MIT
--
-- The third step of both databases (version 3 of SQLite's, 4 of PostgreSQL's).

-- How much the owner of the job may store, as it was when the job was made; 0 is "not known".
ALTER TABLE jobs ADD COLUMN storage_max BIGINT NOT NULL DEFAULT 0;

-- 1 once a process ended, or was not heard of any more, while it ran the job.
ALTER TABLE jobs ADD COLUMN suspect INTEGER NOT NULL DEFAULT 0;
CREATE INDEX deliveries_of_owner ON deliveries (owner);
CREATE INDEX jobs_suspect ON jobs (id) WHERE state = 0 AND suspect = 1;

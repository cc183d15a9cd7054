-- SPDX-License-Identifier: MIT
--
-- The fifth step of both databases (version 5 of SQLite's, 6 of PostgreSQL's).

-- A decoder's warning about a song that was separated nevertheless; NULL if there is none. For jobs
-- that ended before this step, only their manifest has it.
ALTER TABLE jobs ADD COLUMN warning TEXT;

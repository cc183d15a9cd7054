-- SPDX-License-Identifier: MIT
--
-- Version 2: who holds an idempotency key that is in flight, and indexes of the queued jobs that may have to be ended and of those that hold files.

ALTER TABLE idempotency ADD COLUMN holder TEXT;
CREATE INDEX idempotency_in_flight ON idempotency (holder) WHERE answer IS NULL;
CREATE INDEX jobs_stored ON jobs (stored_bytes) WHERE stored_bytes > 0;
CREATE INDEX jobs_tried ON jobs (id) WHERE state = 0 AND (attempts > 0 OR cancel_requested <> 0);

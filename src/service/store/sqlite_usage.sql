-- SPDX-License-Identifier: MIT
--
-- Version 7, SQLite only: the triggers that maintain owner_usage. A queued or running job counts as active. A row counts 24576 bytes, that
-- of an expired job 8192, that of an idempotency key 4096 (store.h).

CREATE TRIGGER job_usage_on_insert AFTER INSERT ON jobs BEGIN
    INSERT INTO owner_usage VALUES (new.owner, new.state IN (0, 1), new.stored_bytes, iif(new.state = 5, 8192, 24576))
        ON CONFLICT (owner) DO UPDATE SET active_jobs = active_jobs + excluded.active_jobs,
            stored_bytes = stored_bytes + excluded.stored_bytes, row_bytes = row_bytes + excluded.row_bytes;
END;

CREATE TRIGGER job_usage_on_delete AFTER DELETE ON jobs BEGIN
    UPDATE owner_usage SET active_jobs = active_jobs - (old.state IN (0, 1)), stored_bytes = stored_bytes - old.stored_bytes,
        row_bytes = row_bytes - iif(old.state = 5, 8192, 24576) WHERE owner = old.owner;
END;

CREATE TRIGGER job_usage_on_update AFTER UPDATE OF state, stored_bytes ON jobs
WHEN (new.state IN (0, 1), new.state = 5, new.stored_bytes) IS NOT (old.state IN (0, 1), old.state = 5, old.stored_bytes) BEGIN
    UPDATE owner_usage SET active_jobs = active_jobs + (new.state IN (0, 1)) - (old.state IN (0, 1)),
        stored_bytes = stored_bytes + new.stored_bytes - old.stored_bytes,
        row_bytes = row_bytes + iif(new.state = 5, 8192, 24576) - iif(old.state = 5, 8192, 24576) WHERE owner = new.owner;
END;

CREATE TRIGGER key_usage_on_insert AFTER INSERT ON idempotency BEGIN
    INSERT INTO owner_usage VALUES (new.owner, 0, 0, 4096) ON CONFLICT (owner) DO UPDATE SET row_bytes = row_bytes + excluded.row_bytes;
END;

CREATE TRIGGER key_usage_on_delete AFTER DELETE ON idempotency BEGIN
    UPDATE owner_usage SET row_bytes = row_bytes - 4096 WHERE owner = old.owner;
END;

INSERT INTO owner_usage
    SELECT owner, sum(active), sum(stored), sum(counted) FROM (
        SELECT owner, state IN (0, 1) AS active, stored_bytes AS stored, iif(state = 5, 8192, 24576) AS counted FROM jobs
        UNION ALL SELECT owner, 0, 0, 4096 FROM idempotency)
    GROUP BY owner;

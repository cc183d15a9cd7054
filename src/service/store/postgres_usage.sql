-- SPDX-License-Identifier: MIT
--
-- Version 8, PostgreSQL only: the triggers that maintain owner_usage. A queued or running job counts as active. A row counts 24576 bytes,
-- that of an expired job 8192, that of an idempotency key 4096 (store.h).

CREATE FUNCTION add_owner_usage(TEXT, BIGINT, BIGINT, BIGINT) RETURNS void LANGUAGE sql AS $$
    INSERT INTO owner_usage AS own VALUES ($1, $2, $3, $4)
        ON CONFLICT (owner) DO UPDATE SET active_jobs = own.active_jobs + excluded.active_jobs,
            stored_bytes = own.stored_bytes + excluded.stored_bytes, row_bytes = own.row_bytes + excluded.row_bytes
$$;

CREATE FUNCTION count_job_usage() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    active BIGINT := 0;
    stored BIGINT := 0;
    counted BIGINT := 0;
BEGIN
    IF TG_OP <> 'DELETE' THEN
        active := CASE WHEN new.state IN (0, 1) THEN 1 ELSE 0 END;
        stored := new.stored_bytes;
        counted := CASE WHEN new.state = 5 THEN 8192 ELSE 24576 END;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        active := active - CASE WHEN old.state IN (0, 1) THEN 1 ELSE 0 END;
        stored := stored - old.stored_bytes;
        counted := counted - CASE WHEN old.state = 5 THEN 8192 ELSE 24576 END;
    END IF;
    IF (active, stored, counted) <> (0, 0, 0) THEN
        PERFORM add_owner_usage(CASE TG_OP WHEN 'DELETE' THEN old.owner ELSE new.owner END, active, stored, counted);
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION count_key_usage() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM add_owner_usage(new.owner, 0, 0, 4096);
    ELSE
        PERFORM add_owner_usage(old.owner, 0, 0, -4096);
    END IF;
    RETURN NULL;
END
$$;

-- Until the commit, the triggers keep other processes from changing the tables that are summed up below.
CREATE TRIGGER job_usage AFTER INSERT OR DELETE OR UPDATE OF state, stored_bytes ON jobs FOR EACH ROW EXECUTE FUNCTION count_job_usage();
CREATE TRIGGER key_usage AFTER INSERT OR DELETE ON idempotency FOR EACH ROW EXECUTE FUNCTION count_key_usage();

INSERT INTO owner_usage
    SELECT owner, sum(active), sum(stored), sum(counted) FROM (
        SELECT owner, CASE WHEN state IN (0, 1) THEN 1 ELSE 0 END AS active, stored_bytes AS stored,
            CASE WHEN state = 5 THEN 8192 ELSE 24576 END AS counted FROM jobs
        UNION ALL SELECT owner, 0, 0, 4096 FROM idempotency) AS entries
    GROUP BY owner;

-- The audit: chains of records, each bound to the one before it by its MAC. The columns beside the
-- document only help to find it. What the table before held was never bound to anything.
DROP TABLE events;

CREATE TABLE audit (
    day          BIGINT NOT NULL, -- days since 1970
    writer       TEXT COLLATE "C" NOT NULL,
    number       BIGINT NOT NULL,
    at           BIGINT NOT NULL,
    action       TEXT NOT NULL,
    outcome      TEXT NOT NULL,
    actor_id     TEXT,
    tenant_id    TEXT,
    app_id       TEXT,
    caller_id    TEXT,
    on_behalf_of TEXT,
    fingerprint  TEXT,
    doc          TEXT NOT NULL,
    mac_key      TEXT NOT NULL,
    mac          BYTEA NOT NULL,
    PRIMARY KEY (day, writer, number)
) PARTITION BY RANGE (day);
CREATE INDEX audit_at ON audit (at, writer, number);
CREATE INDEX audit_tenant ON audit (tenant_id, at, writer, number);
CREATE INDEX audit_actor ON audit (actor_id, at, writer, number);
CREATE INDEX audit_caller ON audit (caller_id, at, writer, number) WHERE caller_id IS NOT NULL;
CREATE INDEX audit_on_behalf_of ON audit (on_behalf_of, at, writer, number) WHERE on_behalf_of IS NOT NULL;
CREATE INDEX audit_fingerprint ON audit (fingerprint, at, writer, number) WHERE fingerprint IS NOT NULL;

-- Where a day has no partition of its own yet, nothing is refused for that.
CREATE TABLE audit_other PARTITION OF audit DEFAULT;

-- Makes a day's partition. It needs the whole table for a moment, and gives up rather than wait: behind
-- it everybody else would wait too. The next attempt is soon.
CREATE FUNCTION audit_make_day(of_day BIGINT) RETURNS VOID LANGUAGE plpgsql AS $$
BEGIN
    IF of_day >= 0 AND to_regclass(format('audit_day_%s', of_day)) IS NULL
       AND NOT EXISTS (SELECT 1 FROM audit_other WHERE day = of_day) THEN
        SET LOCAL lock_timeout = '200ms';
        EXECUTE format(
            'CREATE TABLE audit_day_%s PARTITION OF audit FOR VALUES FROM (%s) TO (%s)',
            of_day, of_day, of_day + 1);
    END IF;
END $$;

-- Drops every day before this one, each as a whole.
CREATE FUNCTION audit_drop_before(first_kept BIGINT) RETURNS VOID LANGUAGE plpgsql AS $$
DECLARE
    child TEXT;
BEGIN
    SET LOCAL lock_timeout = '200ms';
    FOR child IN
        SELECT inhrelid::regclass::TEXT FROM pg_inherits
        WHERE inhparent = 'audit'::regclass AND inhrelid::regclass::TEXT ~ '^audit_day_[0-9]+$'
    LOOP
        IF substring(child FROM 11)::BIGINT < first_kept THEN
            EXECUTE format('DROP TABLE %s', child);
        END IF;
    END LOOP;
    DELETE FROM audit_other WHERE day < first_kept;
END $$;

-- How far each chain goes, for the next checkpoint; the process that adds to a chain knows it too.
CREATE TABLE audit_chains (
    writer  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    day     BIGINT NOT NULL,
    number  BIGINT NOT NULL,
    mac     BYTEA NOT NULL,
    covered BIGINT NOT NULL -- up to which record by checkpoints
);

CREATE TABLE audit_checkpoints (
    number    BIGINT NOT NULL PRIMARY KEY,
    day       BIGINT NOT NULL,
    content   TEXT NOT NULL,
    sign_key  TEXT NOT NULL,
    signature BYTEA NOT NULL
);

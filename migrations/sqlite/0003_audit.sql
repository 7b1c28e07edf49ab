-- The audit: chains of records, each bound to the one before it by its MAC. The columns beside the
-- document only help to find it. What the table before held was never bound to anything.
DROP TABLE events;

CREATE TABLE audit (
    day          INTEGER NOT NULL, -- days since 1970
    writer       TEXT NOT NULL,
    number       INTEGER NOT NULL,
    at           INTEGER NOT NULL,
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
    mac          BLOB NOT NULL,
    PRIMARY KEY (day, writer, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_at ON audit (at, writer, number);
CREATE INDEX audit_tenant ON audit (tenant_id, at, writer, number);
CREATE INDEX audit_actor ON audit (actor_id, at, writer, number);
CREATE INDEX audit_caller ON audit (caller_id, at, writer, number) WHERE caller_id IS NOT NULL;
CREATE INDEX audit_on_behalf_of ON audit (on_behalf_of, at, writer, number) WHERE on_behalf_of IS NOT NULL;
CREATE INDEX audit_fingerprint ON audit (fingerprint, at, writer, number) WHERE fingerprint IS NOT NULL;

-- How far each chain goes, for the next checkpoint; the process that adds to a chain knows it too.
CREATE TABLE audit_chains (
    writer  TEXT NOT NULL PRIMARY KEY,
    day     INTEGER NOT NULL,
    number  INTEGER NOT NULL,
    mac     BLOB NOT NULL,
    covered INTEGER NOT NULL -- up to which record by checkpoints
) STRICT;

CREATE TABLE audit_checkpoints (
    number    INTEGER NOT NULL PRIMARY KEY,
    day       INTEGER NOT NULL,
    content   TEXT NOT NULL,
    sign_key  TEXT NOT NULL,
    signature BLOB NOT NULL
) STRICT;

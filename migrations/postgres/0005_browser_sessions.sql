-- Browser sessions. Whether one is good stands in its document; the columns beside it only help to find
-- it, and must agree with it. A page keeps the session's text, which is never stored.
CREATE TABLE sessions (
    id           TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id    TEXT NOT NULL,
    caller_id    TEXT NOT NULL, -- who opened it
    on_behalf_of TEXT,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    version      BIGINT NOT NULL,
    doc          TEXT NOT NULL,
    mac_key      TEXT NOT NULL,
    mac          BYTEA NOT NULL
);
CREATE INDEX sessions_tenant ON sessions (tenant_id, created_at, id);
CREATE INDEX sessions_caller ON sessions (caller_id, created_at, id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

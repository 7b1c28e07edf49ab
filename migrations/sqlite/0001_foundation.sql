-- Rows that decide something are a document under a MAC; the columns beside it only help to find it.
-- Times are milliseconds since 1970.

CREATE TABLE apps (
    id        TEXT NOT NULL PRIMARY KEY,
    name      TEXT UNIQUE, -- NULL for a tenant's own app
    client_id TEXT NOT NULL,
    version   INTEGER NOT NULL,
    doc       TEXT NOT NULL,
    mac_key   TEXT NOT NULL,
    mac       BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX apps_client_id ON apps (client_id);

CREATE TABLE credentials (
    app_id     TEXT NOT NULL REFERENCES apps (id),
    generation INTEGER NOT NULL,
    sealed     BLOB NOT NULL,
    PRIMARY KEY (app_id, generation)
) STRICT;

-- The app is looked at when the transaction ends: a tenant's own is written behind it.
CREATE TABLE tenants (
    id            TEXT NOT NULL PRIMARY KEY,
    name          TEXT NOT NULL UNIQUE,
    app_id        TEXT NOT NULL REFERENCES apps (id) DEFERRABLE INITIALLY DEFERRED,
    enterprise_id TEXT NOT NULL,
    state         TEXT NOT NULL,
    purge_at      INTEGER,
    version       INTEGER NOT NULL,
    doc           TEXT NOT NULL,
    mac_key       TEXT NOT NULL,
    mac           BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX tenants_enterprise ON tenants (app_id, enterprise_id);
CREATE INDEX tenants_deleted ON tenants (purge_at) WHERE state = 'deleted';

CREATE TABLE callers (
    id      TEXT NOT NULL PRIMARY KEY,
    name    TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL,
    doc     TEXT NOT NULL,
    mac_key TEXT NOT NULL,
    mac     BLOB NOT NULL
) STRICT;

-- Where to look for the caller of a key; whether the key is the caller's stands in the caller's row.
CREATE TABLE api_keys (
    key_id       TEXT NOT NULL PRIMARY KEY,
    caller_id    TEXT NOT NULL REFERENCES callers (id),
    last_used_at INTEGER
) STRICT;
CREATE INDEX api_keys_caller ON api_keys (caller_id);

CREATE TABLE tokens (
    id          TEXT NOT NULL PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    app_id      TEXT NOT NULL,
    generation  INTEGER NOT NULL,
    subject     TEXT NOT NULL, -- `enterprise` or `user:` and an id
    key_digest  BLOB NOT NULL,
    fingerprint TEXT NOT NULL,
    minted_at   INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    discarded   INTEGER NOT NULL,
    sealed      BLOB NOT NULL,
    mac_key     TEXT NOT NULL,
    mac         BLOB NOT NULL
) STRICT;
CREATE INDEX tokens_key ON tokens (key_digest, expires_at);
CREATE INDEX tokens_tenant ON tokens (tenant_id, expires_at);
CREATE INDEX tokens_fingerprint ON tokens (fingerprint);
CREATE INDEX tokens_expiry ON tokens (expires_at);

CREATE TABLE events (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    at          INTEGER NOT NULL,
    action      TEXT NOT NULL,
    tenant_id   TEXT,
    app_id      TEXT,
    caller_id   TEXT,
    fingerprint TEXT,
    doc         TEXT NOT NULL
) STRICT;
CREATE INDEX events_tenant ON events (tenant_id, seq);

-- The last number given; one row.
CREATE TABLE generations (
    id      TEXT NOT NULL PRIMARY KEY,
    value   INTEGER NOT NULL,
    mac_key TEXT NOT NULL,
    mac     BLOB NOT NULL
) STRICT;

-- Numbers that were swept are never given again, so that a hole shows.
CREATE TABLE changes (
    number  INTEGER PRIMARY KEY AUTOINCREMENT,
    kind    TEXT NOT NULL,
    item    TEXT NOT NULL,
    at      INTEGER NOT NULL,
    mac_key TEXT NOT NULL,
    mac     BLOB NOT NULL
) STRICT;
CREATE INDEX changes_at ON changes (at);

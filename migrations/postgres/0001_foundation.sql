-- Rows that decide something are a document under a MAC; the columns beside it only help to find it.
-- Times are milliseconds since 1970. Names sort by their bytes, in every locale.

CREATE TABLE apps (
    id        TEXT NOT NULL PRIMARY KEY,
    name      TEXT COLLATE "C" CONSTRAINT apps_name UNIQUE, -- NULL for a tenant's own app
    client_id TEXT NOT NULL,
    version   BIGINT NOT NULL,
    doc       TEXT NOT NULL,
    mac_key   TEXT NOT NULL,
    mac       BYTEA NOT NULL
);
CREATE UNIQUE INDEX apps_client_id ON apps (client_id);

CREATE TABLE credentials (
    app_id     TEXT NOT NULL REFERENCES apps (id),
    generation BIGINT NOT NULL,
    sealed     BYTEA NOT NULL,
    PRIMARY KEY (app_id, generation)
);

-- The app is looked at when the transaction ends: a tenant's own is written behind it.
CREATE TABLE tenants (
    id            TEXT NOT NULL PRIMARY KEY,
    name          TEXT COLLATE "C" NOT NULL CONSTRAINT tenants_name UNIQUE,
    app_id        TEXT NOT NULL REFERENCES apps (id) DEFERRABLE INITIALLY DEFERRED,
    enterprise_id TEXT NOT NULL,
    state         TEXT NOT NULL,
    purge_at      BIGINT,
    version       BIGINT NOT NULL,
    doc           TEXT NOT NULL,
    mac_key       TEXT NOT NULL,
    mac           BYTEA NOT NULL
);
CREATE UNIQUE INDEX tenants_enterprise ON tenants (app_id, enterprise_id);
CREATE INDEX tenants_deleted ON tenants (purge_at) WHERE state = 'deleted';

CREATE TABLE callers (
    id      TEXT NOT NULL PRIMARY KEY,
    name    TEXT COLLATE "C" NOT NULL CONSTRAINT callers_name UNIQUE,
    version BIGINT NOT NULL,
    doc     TEXT NOT NULL,
    mac_key TEXT NOT NULL,
    mac     BYTEA NOT NULL
);

-- Where to look for the caller of a key; whether the key is the caller's stands in the caller's row.
CREATE TABLE api_keys (
    key_id       TEXT NOT NULL PRIMARY KEY,
    caller_id    TEXT NOT NULL REFERENCES callers (id),
    last_used_at BIGINT
);
CREATE INDEX api_keys_caller ON api_keys (caller_id);

CREATE TABLE tokens (
    id          TEXT NOT NULL PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    app_id      TEXT NOT NULL,
    generation  BIGINT NOT NULL,
    subject     TEXT NOT NULL, -- `enterprise` or `user:` and an id
    key_digest  BYTEA NOT NULL,
    fingerprint TEXT NOT NULL,
    minted_at   BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    discarded   BIGINT NOT NULL,
    sealed      BYTEA NOT NULL,
    mac_key     TEXT NOT NULL,
    mac         BYTEA NOT NULL
);
CREATE INDEX tokens_key ON tokens (key_digest, expires_at);
CREATE INDEX tokens_tenant ON tokens (tenant_id, expires_at);
CREATE INDEX tokens_fingerprint ON tokens (fingerprint);
CREATE INDEX tokens_expiry ON tokens (expires_at);

CREATE TABLE events (
    seq         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          BIGINT NOT NULL,
    action      TEXT NOT NULL,
    tenant_id   TEXT,
    app_id      TEXT,
    caller_id   TEXT,
    fingerprint TEXT,
    doc         TEXT NOT NULL
);
CREATE INDEX events_tenant ON events (tenant_id, seq);

-- The last number given; one row.
CREATE TABLE generations (
    id      TEXT NOT NULL PRIMARY KEY,
    value   BIGINT NOT NULL,
    mac_key TEXT NOT NULL,
    mac     BYTEA NOT NULL
);

-- Numbers that were swept are never given again, so that a hole shows.
CREATE TABLE changes (
    number  BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind    TEXT NOT NULL,
    item    TEXT NOT NULL,
    at      BIGINT NOT NULL,
    mac_key TEXT NOT NULL,
    mac     BYTEA NOT NULL
);
CREATE INDEX changes_at ON changes (at);

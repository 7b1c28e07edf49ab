-- A pending tenant reserves nothing: the first to verify holds client ID and enterprise.
ALTER TABLE apps ADD COLUMN pending BIGINT NOT NULL DEFAULT 0;
DROP INDEX apps_client_id;
CREATE UNIQUE INDEX apps_client_id ON apps (client_id) WHERE pending = 0;
DROP INDEX tenants_enterprise;
CREATE UNIQUE INDEX tenants_enterprise ON tenants (app_id, enterprise_id) WHERE state <> 'pending';
CREATE INDEX tenants_pending ON tenants (name) WHERE state = 'pending';

-- RSA keys made here that Box does not know yet, or not by their id.
CREATE TABLE keypairs (
    id      TEXT NOT NULL PRIMARY KEY,
    app_id  TEXT NOT NULL REFERENCES apps (id),
    version BIGINT NOT NULL,
    doc     TEXT NOT NULL,
    mac_key TEXT NOT NULL,
    mac     BYTEA NOT NULL,
    sealed  BYTEA NOT NULL
);
CREATE INDEX keypairs_app ON keypairs (app_id);

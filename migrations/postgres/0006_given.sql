-- To whom full tokens were given: whoever has one and wants to exchange it is judged by these callers. Each
-- row is bound to its token by its MAC, and goes when the token has expired.
CREATE TABLE given (
    token_id   TEXT NOT NULL,
    receiver   TEXT NOT NULL, -- SHA-256 of the document
    expires_at BIGINT NOT NULL,
    doc        TEXT NOT NULL,
    mac_key    TEXT NOT NULL,
    mac        BYTEA NOT NULL,
    PRIMARY KEY (token_id, receiver)
);
CREATE INDEX given_expiry ON given (expires_at);

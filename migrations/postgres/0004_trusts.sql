-- Where to look for the callers whom tokens of an issuer may open; whether one does stands in the
-- caller's row.
CREATE TABLE caller_trusts (
    issuer    TEXT NOT NULL,
    caller_id TEXT NOT NULL REFERENCES callers (id),
    PRIMARY KEY (issuer, caller_id)
);
CREATE INDEX caller_trusts_caller ON caller_trusts (caller_id);

-- Times are microseconds since 1970, UTC; year 1 stands for Go's zero time and
-- NULL for nil. What no statement compares is in data, as JSON with the number
-- of its form.

-- +goose Up

-- Says whose file this is: "conn".
PRAGMA application_id = 1668247150;

CREATE TABLE flows (
    id         TEXT PRIMARY KEY,
    tenant     TEXT NOT NULL,
    user       TEXT NOT NULL,
    platform   TEXT NOT NULL,
    method     TEXT NOT NULL,
    status     TEXT NOT NULL,
    version    INTEGER NOT NULL,
    link       BLOB UNIQUE,
    session    BLOB UNIQUE,
    ticket     BLOB UNIQUE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    held_until INTEGER NOT NULL DEFAULT 0, -- by who is ending it
    data       TEXT NOT NULL
) STRICT;

CREATE INDEX flows_open ON flows (tenant, user) WHERE status IN ('started', 'claimed', 'parked', 'pending');
CREATE INDEX flows_expiring ON flows (expires_at) WHERE status IN ('started', 'claimed', 'parked', 'pending');
CREATE INDEX flows_recent ON flows (tenant, user, platform, method, created_at);

CREATE TABLE accounts (
    tenant       TEXT NOT NULL,
    id           TEXT NOT NULL,
    platform     TEXT NOT NULL,
    kind         TEXT NOT NULL,
    client_id    TEXT NOT NULL,
    platform_id  TEXT NOT NULL,
    version      INTEGER NOT NULL,
    grant_id     TEXT NOT NULL,
    status       TEXT NOT NULL,
    token_expiry INTEGER,
    connected_at INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    data         TEXT NOT NULL,
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, platform, kind, client_id, platform_id)
) STRICT;

CREATE INDEX accounts_newest ON accounts (tenant, connected_at, id);
CREATE INDEX accounts_of_grant ON accounts (tenant, grant_id);

CREATE TABLE grants (
    tenant         TEXT NOT NULL,
    id             TEXT NOT NULL,
    platform       TEXT NOT NULL,
    client_id      TEXT NOT NULL,
    subject        TEXT NOT NULL,
    subject_key    TEXT NOT NULL,
    status         TEXT NOT NULL,
    prior          TEXT NOT NULL, -- of the claim under way: what the next one must be told
    generation     INTEGER NOT NULL,
    access_expiry  INTEGER,
    refresh_expiry INTEGER,
    due_at         INTEGER,
    attempt        TEXT NOT NULL,
    lease_until    INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    data           TEXT NOT NULL,
    -- When Run should see to the grant; NULL: never.
    wake_at        INTEGER GENERATED ALWAYS AS (
        CASE
            WHEN status IN ('claimed', 'sent') THEN lease_until
            WHEN status <> 'dead' THEN due_at
        END
    ) VIRTUAL,
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, platform, client_id, subject)
) STRICT;

CREATE INDEX grants_waking ON grants (wake_at, id);
CREATE INDEX grants_of_subject ON grants (subject_key);

CREATE TABLE subjects (
    subject_key TEXT PRIMARY KEY,
    attempt     TEXT NOT NULL,
    lease_until INTEGER NOT NULL
) STRICT;

CREATE TABLE clients (
    tenant     TEXT NOT NULL,
    platform   TEXT NOT NULL,
    name       TEXT NOT NULL,
    version    INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    data       TEXT NOT NULL,
    PRIMARY KEY (tenant, platform, name)
) STRICT;

CREATE TABLE events (
    position    INTEGER PRIMARY KEY AUTOINCREMENT, -- the order of writing
    id          TEXT NOT NULL UNIQUE,
    tenant      TEXT NOT NULL,
    account_id  TEXT NOT NULL,
    sequence    INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    data        TEXT NOT NULL,
    attempt     TEXT NOT NULL DEFAULT '',
    lease_until INTEGER NOT NULL DEFAULT 0,
    delivered   INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX events_of_tenant ON events (tenant, position);
CREATE INDEX events_of_account ON events (tenant, account_id, sequence);
CREATE INDEX events_undelivered ON events (position) WHERE delivered = 0;
CREATE INDEX events_before ON events (tenant, account_id, position) WHERE delivered = 0;

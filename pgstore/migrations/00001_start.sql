-- Keys lead with the tenant, so that the tables can be spread over servers by
-- it. What does not is what a browser brings back without one, and the work of
-- the whole fleet. Names are compared byte by byte (COLLATE "C"), as in Go.
--
-- What no statement compares or changes alone is in data, as JSON with the
-- number of its form.

-- +goose Up

CREATE TABLE flows (
    id         text COLLATE "C" PRIMARY KEY,
    tenant     text COLLATE "C" NOT NULL,
    user_id    text NOT NULL,
    platform   text NOT NULL,
    method     text NOT NULL,
    status     text NOT NULL,
    version    bigint NOT NULL,
    link       bytea UNIQUE,
    session    bytea UNIQUE,
    ticket     bytea UNIQUE,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    held_until timestamptz NOT NULL DEFAULT '-infinity', -- by who is ending it
    data       text NOT NULL
);

CREATE INDEX flows_open ON flows (tenant, user_id) WHERE status IN ('started', 'claimed', 'parked', 'pending');
CREATE INDEX flows_expiring ON flows (expires_at) WHERE status IN ('started', 'claimed', 'parked', 'pending');
CREATE INDEX flows_recent ON flows (tenant, user_id, platform, method, created_at);

CREATE TABLE accounts (
    tenant       text COLLATE "C" NOT NULL,
    id           text COLLATE "C" NOT NULL,
    platform     text NOT NULL,
    kind         text NOT NULL,
    client_id    text NOT NULL,
    platform_id  text NOT NULL,
    version      bigint NOT NULL,
    grant_id     text COLLATE "C" NOT NULL,
    status       text NOT NULL,
    token_expiry timestamptz,
    own_token    boolean NOT NULL,
    sealed       bytea,
    generation   bigint NOT NULL,
    connected_by text NOT NULL,
    connected_at timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    data         text NOT NULL,
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, platform, kind, client_id, platform_id)
);

CREATE INDEX accounts_newest ON accounts (tenant, connected_at, id);
CREATE INDEX accounts_of_user ON accounts (tenant, connected_by, connected_at, id);
CREATE INDEX accounts_of_grant ON accounts (tenant, grant_id);

CREATE TABLE grants (
    tenant         text COLLATE "C" NOT NULL,
    id             text COLLATE "C" NOT NULL,
    platform       text NOT NULL,
    client         text NOT NULL,
    client_id      text NOT NULL,
    subject        text NOT NULL,
    method         text NOT NULL,
    subject_key    text NOT NULL,
    status         text NOT NULL,
    prior          text NOT NULL, -- of the claim under way: what the next one must be told
    reason         text NOT NULL,
    sealed         bytea,
    generation     bigint NOT NULL,
    scopes         text[],
    access_expiry  timestamptz,
    refresh_expiry timestamptz,
    due_at         timestamptz,
    attempt        text NOT NULL,
    lease_until    timestamptz, -- NULL: nobody holds it
    sent_at        timestamptz,
    presented      bigint NOT NULL,
    failures       bigint NOT NULL,
    refused_at     timestamptz,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    -- When Run should see to the grant; NULL: never.
    wake_at        timestamptz GENERATED ALWAYS AS (
        CASE
            WHEN status IN ('claimed', 'sent') THEN lease_until
            WHEN status <> 'dead' THEN due_at
        END
    ) STORED,
    -- Whether nobody knows what became of a refresh token that may have been
    -- presented.
    lost           boolean NOT NULL GENERATED ALWAYS AS (
        status IN ('sent', 'uncertain') OR status = 'claimed' AND prior IN ('sent', 'uncertain')
    ) STORED,
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, platform, client_id, subject)
);

-- Entries of one time stay apart: together, they are not passed over until all
-- of them are dead.
CREATE INDEX grants_due ON grants (platform, lost, wake_at)
    WITH (deduplicate_items = off) WHERE wake_at IS NOT NULL;
CREATE INDEX grants_in_turn ON grants (platform, tenant, wake_at)
    WITH (deduplicate_items = off) WHERE wake_at IS NOT NULL;
CREATE INDEX grants_of_subject ON grants (subject_key);

CREATE TABLE subjects (
    subject_key text PRIMARY KEY,
    attempt     text NOT NULL,
    lease_until timestamptz NOT NULL
);

CREATE TABLE clients (
    tenant     text COLLATE "C" NOT NULL,
    platform   text NOT NULL,
    name       text NOT NULL,
    version    bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    data       text NOT NULL,
    PRIMARY KEY (tenant, platform, name)
);

CREATE TABLE events (
    tenant      text COLLATE "C" NOT NULL,
    id          text COLLATE "C" NOT NULL,
    position    bigint GENERATED ALWAYS AS IDENTITY, -- within a tenant the order of commits
    account_id  text COLLATE "C" NOT NULL,
    sequence    bigint NOT NULL,
    created_at  timestamptz NOT NULL,
    data        text NOT NULL,
    attempt     text NOT NULL DEFAULT '',
    lease_until timestamptz NOT NULL DEFAULT '-infinity',
    delivered   boolean NOT NULL DEFAULT false,
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, position)
);

CREATE INDEX events_of_account ON events (tenant, account_id, sequence);
CREATE INDEX events_undelivered ON events (position) WHERE NOT delivered;
CREATE INDEX events_before ON events (tenant, account_id, position) WHERE NOT delivered;
CREATE INDEX events_held ON events (attempt) WHERE NOT delivered;

CREATE TABLE ended_tenants (tenant text COLLATE "C" PRIMARY KEY);

-- Claimers take turns at these (locks.go).
CREATE TABLE turn0 ();
CREATE TABLE turn1 ();
CREATE TABLE turn2 ();
CREATE TABLE turn3 ();
CREATE TABLE turn4 ();
CREATE TABLE turn5 ();
CREATE TABLE turn6 ();
CREATE TABLE turn7 ();
CREATE TABLE turn8 ();
CREATE TABLE turn9 ();
CREATE TABLE turn10 ();
CREATE TABLE turn11 ();
CREATE TABLE turn12 ();
CREATE TABLE turn13 ();
CREATE TABLE turn14 ();
CREATE TABLE turn15 ();

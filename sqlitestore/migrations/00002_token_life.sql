-- Adds only, and each column has a default: a process of the release before may
-- have the file open, and goes on reading and writing it. That one claims by
-- grants_waking, which the next release drops.

-- +goose Up

ALTER TABLE grants ADD COLUMN sent_at INTEGER;
ALTER TABLE grants ADD COLUMN presented INTEGER NOT NULL DEFAULT 0;
ALTER TABLE grants ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
ALTER TABLE grants ADD COLUMN refused_at INTEGER;

CREATE INDEX grants_due ON grants (platform, wake_at, tenant, id);
CREATE INDEX grants_lost ON grants (platform, wake_at, tenant, id)
    WHERE (status IN ('sent', 'uncertain') OR status = 'claimed' AND prior IN ('sent', 'uncertain'));
CREATE INDEX grants_in_turn ON grants (platform, tenant, wake_at, id) WHERE wake_at IS NOT NULL;

ALTER TABLE accounts ADD COLUMN connected_by TEXT GENERATED ALWAYS AS (data ->> '$.row.connected_by') VIRTUAL;

CREATE INDEX accounts_of_user ON accounts (tenant, connected_by, connected_at, id);

CREATE TABLE ended_tenants (tenant TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;

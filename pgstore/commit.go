package pgstore

import (
	"cmp"
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/storerow"
)

// CommitFlow implements [connect.FlowStore]. Everything is locked and looked at
// in one message, and written in a second.
func (s *Store) CommitFlow(ctx context.Context, commit connect.Commit) (connect.Flow, error) {
	var stored connect.Flow
	err := s.write(ctx, func(tx pgx.Tx) error {
		met, err := s.meet(ctx, tx, commit)
		if err != nil {
			return err
		}
		stored = met.flow
		if err := met.refusal(commit); err != nil {
			return err
		}
		committed, err := s.putCommit(ctx, tx, commit)
		if err == nil {
			stored = committed
		}
		return err
	})
	if taken(err) { // a handle; every other key is looked at
		err = connect.ErrConflict
	}
	return storerow.FlowOr(stored, err)
}

// met is what a commit meets.
type met struct {
	flow   connect.Flow
	ended  bool // the tenant
	busy   bool // a subject
	grants []grantRow
}

// touchedGrants are those that the accounts join, and the one that is replaced.
const touchedGrants = "(tenant, id) IN (SELECT t, i FROM unnest(@tenants::text[], @ids::text[]) AS u (t, i))"

// touchedSubjects are those of touchedGrants, and of the grant that is brought.
const touchedSubjects = `(SELECT subject_key FROM connect.grants WHERE ` + touchedGrants + `
	UNION SELECT unnest(@brought::text[]))`

const lockSubjects = `SELECT pg_advisory_xact_lock_shared(key) FROM (
	SELECT DISTINCT hashtextextended(@lock || subject_key, 0) AS key FROM ` + touchedSubjects + ` AS t ORDER BY key
) AS keys`

const isBusy = `SELECT EXISTS (SELECT FROM connect.subjects
	WHERE lease_until > ` + now + ` AND subject_key IN ` + touchedSubjects + `)`

// meet locks what commit touches, and reads it.
func (s *Store) meet(ctx context.Context, tx pgx.Tx, commit connect.Commit) (met, error) {
	var m met
	var flows []connect.Flow
	touched := s.with(touchedBy(commit, s.lockName(subjectLock, "")))
	b := &pgx.Batch{}
	s.beside(b, tenantLock, commit.Flow.Tenant)
	b.Queue(hasEnded, s.with(values{"tenant": commit.Flow.Tenant})).QueryRow(func(row pgx.Row) error { return row.Scan(&m.ended) })
	b.Queue(flowOfTenant+" FOR UPDATE", s.with(values{"tenant": commit.Flow.Tenant, "id": commit.Flow.ID})).Query(into(&flows, scanFlow))
	b.Queue("SELECT "+grantColumns+" FROM connect.grants WHERE "+touchedGrants+" ORDER BY tenant, id FOR UPDATE", touched).
		Query(into(&m.grants, scanGrant))
	b.Queue(lockSubjects, touched)
	b.Queue(isBusy, touched).QueryRow(func(row pgx.Row) error { return row.Scan(&m.busy) })
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return met{}, err
	}
	if len(flows) == 0 {
		return met{}, connect.ErrNotFound
	}
	m.flow = flows[0]
	return m, nil
}

// touchedBy are the values of touchedGrants, touchedSubjects and lockSubjects.
func touchedBy(commit connect.Commit, lock string) values {
	var tenants, ids, brought []string
	for _, a := range commit.Accounts {
		tenants, ids = append(tenants, a.Tenant), append(ids, a.GrantID)
	}
	if g := commit.Grant; g != nil {
		tenants, ids, brought = append(tenants, g.Tenant), append(ids, g.ID), []string{g.SubjectKey}
	}
	return values{"tenants": tenants, "ids": ids, "brought": brought, "lock": lock}
}

// refusal returns the error that keeps commit from being written, as far as
// what it meets tells; the rest tell the rows that it replaces.
func (m met) refusal(commit connect.Commit) error {
	switch {
	case m.flow.Status != commit.From || m.flow.Version != commit.Flow.Version:
		return connect.ErrConflict
	case m.ended && (commit.Grant != nil || len(commit.Accounts) > 0):
		return connect.ErrNotFound
	case m.busy:
		return connect.ErrBusy
	}
	for _, a := range commit.Accounts {
		if !m.joinable(a, commit.Grant) {
			return connect.ErrStale
		}
	}
	return nil
}

// joinable reports whether the account's grant is the commit's own, or lives.
func (m met) joinable(a connect.Account, brought *connect.Grant) bool {
	if brought != nil && brought.Tenant == a.Tenant && brought.ID == a.GrantID {
		return true
	}
	return slices.ContainsFunc(m.grants, func(g grantRow) bool {
		return g.Tenant == a.Tenant && g.ID == a.GrantID && !g.Over()
	})
}

// putCommit writes the parts of commit.
func (s *Store) putCommit(ctx context.Context, tx pgx.Tx, commit connect.Commit) (connect.Flow, error) {
	var flows []connect.Flow
	b := &pgx.Batch{}
	if commit.Grant != nil {
		s.putGrant(b, *commit.Grant)
	}
	if err := s.putAccounts(b, commit.Accounts); err != nil {
		return connect.Flow{}, err
	}
	if err := s.putEvents(b, commit.Events); err != nil {
		return connect.Flow{}, err
	}
	query, row, err := putFlow(commit.From, commit.Flow)
	if err != nil {
		return connect.Flow{}, err
	}
	b.Queue(query, s.with(row)).Query(into(&flows, scanFlow))
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return connect.Flow{}, err
	}
	return flows[0], nil
}

// putGrant queues g, which nobody holds from now on, as the successor of the
// stored grant, or as the first of its key.
func (s *Store) putGrant(b *pgx.Batch, g connect.Grant) {
	query := insertInto("connect.grants", grantColumns)
	if g.Generation != 1 {
		query = update("connect.grants", grantColumns) + " WHERE " + grantCondition(connect.GrantKey{}) +
			" AND id = @id AND generation = @generation - 1"
	}
	b.Queue(query, s.with(grantValues(g))).Exec(oneRowOr(connect.ErrStale))
}

// putAccounts queues accounts as the successors of the stored ones, or as the
// first of their keys.
func (s *Store) putAccounts(b *pgx.Batch, accounts []connect.Account) error {
	ordered := slices.SortedFunc(slices.Values(accounts), func(a, b connect.Account) int { return cmp.Compare(a.ID, b.ID) })
	for _, a := range ordered {
		row, err := accountValues(a)
		if err != nil {
			return err
		}
		query := insertInto("connect.accounts", accountColumns)
		if a.Version != 1 {
			query = update("connect.accounts", accountColumns) + ` WHERE tenant = @tenant AND platform = @platform AND kind = @kind
				AND client_id = @client_id AND platform_id = @platform_id AND id = @id AND version = @version - 1`
		}
		b.Queue(query, s.with(row)).Exec(oneRowOr(connect.ErrStale))
	}
	return nil
}

package sqlitestore_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/sqlitestore"
)

// rowsOf is one of everything that a tenant has.
func rowsOf(tenant string) (connect.Commit, connect.ClientRecord) {
	flow := newFlow(1)
	flow.Tenant, flow.Session, flow.Ticket = tenant, []byte("session"), []byte("ticket")
	at := flow.CreatedAt
	return connect.Commit{
		From: connect.FlowStarted,
		Flow: flow,
		Grant: &connect.Grant{
			Tenant: tenant, ID: "grant-1", Platform: "x", ClientID: "client", Subject: "1", SubjectKey: "x:1",
			Status: connect.GrantActive, Sealed: []byte("sealed"), Generation: 1, CreatedAt: at, UpdatedAt: at,
		},
		Accounts: []connect.Account{{
			Tenant: tenant, ID: "account-1", Platform: "x", Kind: "profile", ClientID: "client", PlatformID: "1",
			GrantID: "grant-1", Status: connect.AccountActive, Version: 1, ConnectedAt: at, UpdatedAt: at,
		}},
		Events: []connect.Event{{ID: "event-1", Tenant: tenant, AccountID: "account-1", CreatedAt: at}},
	}, connect.ClientRecord{Tenant: tenant, Platform: "x", Name: "own", Version: 1, CreatedAt: at, UpdatedAt: at}
}

// reach is one way to a row by a name that is good within its tenant, or to a
// list of rows. Where there is nothing it is [connect.ErrNotFound].
type reach struct {
	name string
	try  func() error
}

// reaches are the ways to what rowsOf a tenant are.
func reaches(ctx context.Context, s *sqlitestore.Store, tenant string) []reach {
	commit, client := rowsOf(tenant)
	flow, grant, account, page := commit.Flow, *commit.Grant, commit.Accounts[0], connect.Page{Limit: 1}
	account.Version++
	grantKey := connect.GrantKey{Tenant: tenant, ID: grant.ID}
	settled := connect.Settlement{Tenant: tenant, ID: grant.ID, Attempt: "1", Generation: 1, Status: connect.GrantActive}
	return []reach{
		{"ReadFlow", func() error { return only(s.ReadFlow(ctx, connect.FlowKey{Tenant: tenant, ID: flow.ID})) }},
		{"ReadFlow by session", func() error { return only(s.ReadFlow(ctx, connect.FlowKey{Tenant: tenant, Session: flow.Session})) }},
		{"ReadFlow by ticket", func() error { return only(s.ReadFlow(ctx, connect.FlowKey{Tenant: tenant, Ticket: flow.Ticket})) }},
		{"MoveFlow", func() error { return only(s.MoveFlow(ctx, commit.From, flow)) }},
		{"ReadAccount", func() error { return only(s.ReadAccount(ctx, connect.AccountKey{Tenant: tenant, ID: account.ID})) }},
		{"ReadAccount by key", func() error { return only(s.ReadAccount(ctx, account.Key())) }},
		{"WriteAccount", func() error { return s.WriteAccount(ctx, account, nil) }},
		{"ListAccounts", func() error {
			rows, _, err := s.ListAccounts(ctx, tenant, connect.AccountFilter{}, page)
			return found(rows, err)
		}},
		{"ReadGrant", func() error { return only(s.ReadGrant(ctx, grantKey)) }},
		{"ReadGrant by key", func() error { return only(s.ReadGrant(ctx, grant.Key())) }},
		{"ClaimGrant", func() error { return only(s.ClaimGrant(ctx, grantKey, "1", time.Hour)) }},
		{"ClaimGrant by key", func() error { return only(s.ClaimGrant(ctx, grant.Key(), "1", time.Hour)) }},
		{"SettleGrant", func() error { return only(s.SettleGrant(ctx, settled)) }},
		{"ReleaseAccount", func() error { return only(s.ReleaseAccount(ctx, tenant, account.ID, nil)) }},
		{"ReadClient", func() error { return only(s.ReadClient(ctx, tenant, client.Platform, client.Name)) }},
		{"ListEvents", func() error {
			rows, _, err := s.ListEvents(ctx, tenant, page)
			return found(rows, err)
		}},
	}
}

// only is the error that comes beside a row.
func only(_ any, err error) error { return err }

// found is [connect.ErrNotFound] for a list of nothing.
func found[T any](rows []T, err error) error {
	if err == nil && len(rows) == 0 {
		return connect.ErrNotFound
	}
	return err
}

// TestThreat67_ForeignRows: every statement asks for the tenant, and for one
// that is equal.
func TestThreat67_ForeignRows(t *testing.T) {
	t.Parallel()
	const owner = "abcdef"
	ctx, store := t.Context(), open(t, filepath.Join(t.TempDir(), "connect.db"), nil)
	commit, client := rowsOf(owner)
	err := errors.Join(store.CreateFlow(ctx, commit.Flow, connect.FlowCaps{}), store.PutClient(ctx, client))
	if err == nil {
		_, err = store.CommitFlow(ctx, commit)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, tenant := range []string{"abc", "ABCDEF", "abcde_", "%"} {
		for _, r := range reaches(ctx, store, tenant) {
			if err := r.try(); !errors.Is(err, connect.ErrNotFound) {
				t.Errorf("%s finds what is another's as %q: error is %v", r.name, tenant, err)
			}
		}
	}
	for _, r := range reaches(ctx, store, owner) {
		if err := r.try(); errors.Is(err, connect.ErrNotFound) {
			t.Errorf("%s does not find what is the tenant's own: the test proves nothing", r.name)
		}
	}
}

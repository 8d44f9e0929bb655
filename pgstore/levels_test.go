package pgstore

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/pgtest"
)

// nextLevel is what a later release might do to every table that statements of
// this one return rows of.
const nextLevel = `-- +goose Up
ALTER TABLE grants ADD COLUMN next integer NOT NULL DEFAULT 1;
ALTER TABLE accounts ADD COLUMN next text;
ALTER TABLE flows ADD COLUMN next text;
CREATE INDEX grants_next ON grants (next);
`

// TestFault38_TwoLevels: while a release is rolled out, processes of this one
// and of the next work on the same tables, in the middle of what they do.
func TestFault38_TwoLevels(t *testing.T) {
	t.Parallel()
	ctx, dsn := t.Context(), pgtest.Database(t)
	former := openLevel(t, dsn)
	for n := range 20 {
		if err := keepGrant(t, former, n); err != nil {
			t.Fatal(err)
		}
	}
	errs := make([]error, 4)
	halfway := make(chan struct{}, len(errs)) // each sends once half of its work is done
	migrated := make(chan struct{})
	var working sync.WaitGroup
	for i := range errs {
		working.Go(func() {
			for round := range 20 {
				if round == 10 {
					halfway <- struct{}{}
					<-migrated // afterwards what was prepared before goes on
				}
				errs[i] = errors.Join(errs[i], refreshDue(t, former, fmt.Sprintf("former-%d-%d", i, round)))
			}
		})
	}
	for range errs {
		<-halfway
	}
	files, err := migrations()
	if err != nil {
		t.Fatal(err)
	}
	first, err := fs.ReadFile(files, "00001_start.sql")
	if err != nil {
		t.Fatal(err)
	}
	next := fstest.MapFS{"00001_start.sql": {Data: first}, "90001_next.sql": {Data: []byte(nextLevel)}}
	if err := former.migrate(ctx, next); err != nil {
		t.Fatal(err)
	}
	close(migrated)
	late := openLevel(t, dsn) // this release again, on tables that are ahead of it
	for round := range 10 {
		if err := refreshDue(t, late, fmt.Sprintf("late-%d", round)); err != nil {
			t.Error(err)
		}
	}
	working.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	if err := keepGrant(t, late, 20); err != nil {
		t.Error(err)
	}
	var done int64
	if err := late.pool.QueryRow(ctx, "SELECT sum(generation - 1) FROM connect.grants").Scan(&done); err != nil || done < 50 {
		t.Errorf("%d refreshes, %v; want nearly 90", done, err)
	}
}

func openLevel(t *testing.T, dsn string) *Store {
	t.Helper()
	s, err := Open(t.Context(), dsn, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// keepGrant connects account n, whose grant is due.
func keepGrant(t *testing.T, s *Store, n int) error {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Microsecond)
	id := strconv.Itoa(n)
	flow := connect.Flow{
		ID: id, Tenant: "tenant", Platform: "x", Status: connect.FlowStarted, Version: 1, CreatedAt: now, ExpiresAt: now.Add(time.Hour),
	}
	if err := s.CreateFlow(t.Context(), flow, connect.FlowCaps{}); err != nil {
		return err
	}
	flow.Status = connect.FlowConnected
	_, err := s.CommitFlow(t.Context(), connect.Commit{
		From: connect.FlowStarted, Flow: flow,
		Grant: &connect.Grant{
			ID: id, Tenant: "tenant", Platform: "x", ClientID: "client", Subject: id, SubjectKey: id, Status: connect.GrantActive,
			Sealed: []byte("sealed"), Generation: 1, DueAt: &now, CreatedAt: now, UpdatedAt: now,
		},
		Accounts: []connect.Account{{
			ID: id, Tenant: "tenant", Platform: "x", Kind: "profile", PlatformID: id, Version: 1, GrantID: id,
			Status: connect.AccountActive, ConnectedAt: now, UpdatedAt: now,
		}},
	})
	return err
}

// refreshDue refreshes one grant that is due, if there is one, which makes it
// due again.
func refreshDue(t *testing.T, s *Store, attempt string) error {
	t.Helper()
	ctx := t.Context()
	due, err := s.ClaimDueGrants(ctx, connect.DueClaim{Platform: "x", N: 1, Attempt: attempt, Lease: time.Minute})
	if err != nil || len(due.Grants) == 0 {
		return err
	}
	g := due.Grants[0]
	marked, err := s.MarkSent(ctx, attempt, []connect.GrantKey{{Tenant: g.Tenant, ID: g.ID}})
	if err != nil || len(marked) != 1 {
		return fmt.Errorf("%d marked, %w", len(marked), err)
	}
	_, err = s.SettleGrant(ctx, connect.Settlement{
		Tenant: g.Tenant, ID: g.ID, Attempt: attempt, Generation: g.Generation, Status: connect.GrantActive, DueAt: &g.Now,
		Tokens: &connect.SealedTokens{Sealed: []byte(attempt)},
	})
	return err
}

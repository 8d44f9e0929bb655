package sqlitestore

import (
	"database/sql"
	"io/fs"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
)

// The statements of the release before, as it runs them on a file that this one
// has migrated meanwhile.
const (
	formerInsertGrant = `INSERT INTO grants (tenant, id, platform, client_id, subject, subject_key, status, prior, generation,
		access_expiry, refresh_expiry, due_at, attempt, lease_until, created_at, updated_at, data)
		VALUES ('acme', 'grant-1', 'x', 'client', '1', 'x:1', 'active', '', 1, NULL, NULL, 1, '', 0, 1, 1, '{"v":1,"row":{"sealed":"AQ=="}}')`
	formerInsertAccount = `INSERT INTO accounts (tenant, id, platform, kind, client_id, platform_id, version, grant_id, status,
		token_expiry, connected_at, updated_at, data)
		VALUES ('acme', 'account-1', 'x', 'page', '', '1', 1, 'grant-1', 'active', NULL, 1, 1, '{"v":1,"row":{"connected_by":"user-1"}}')`
	formerInsertFlow = `INSERT INTO flows (id, tenant, user, platform, method, status, version, link, session, ticket, created_at, expires_at, data)
		VALUES ('flow-1', 'acme', 'user-1', 'x', 'oauth', 'started', 1, NULL, NULL, NULL, 1, 2, '{"v":1,"row":{}}')`
	formerClaim = `UPDATE grants SET (status, prior, attempt, lease_until, updated_at, data) = ('claimed', 'active', 'attempt-1', ?, 2, data)
		WHERE tenant = 'acme' AND id = (SELECT id FROM grants WHERE wake_at <= ? AND ('' = '' OR tenant = '') ORDER BY wake_at, id LIMIT 1)`
	formerMarkSent = "UPDATE grants SET status = 'sent' WHERE tenant = 'acme' AND id = 'grant-1' AND attempt = 'attempt-1' AND status IN ('claimed', 'sent') AND lease_until > ?"
)

// formerStore returns a store whose file the release before has begun, and
// which it still has open.
func formerStore(t *testing.T) (former *sql.DB, path string) {
	t.Helper()
	files, err := migrations()
	if err != nil {
		t.Fatal(err)
	}
	first, err := fs.ReadFile(files, "00001_start.sql")
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "connect.db")
	source, err := sourceName(path)
	if err != nil {
		t.Fatal(err)
	}
	former, err = sql.Open("sqlite", source)
	if err != nil {
		t.Fatal(err)
	}
	former.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = former.Close() })
	if err := migrate(t.Context(), former, fstest.MapFS{"00001_start.sql": {Data: first}}); err != nil {
		t.Fatal(err)
	}
	return former, path
}

// runOne runs a statement that must write one row.
func runOne(t *testing.T, db *sql.DB, query string, args ...any) {
	t.Helper()
	result, err := db.ExecContext(t.Context(), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		t.Fatalf("%s: %d rows, %v", query, n, err)
	}
}

// TestFault38_RowsFromBefore reads what the release before has written.
func TestFault38_RowsFromBefore(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	former, path := formerStore(t)
	for _, query := range []string{formerInsertGrant, formerInsertAccount, formerInsertFlow} {
		runOne(t, former, query)
	}
	store, err := Open(ctx, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	filter, page := connect.AccountFilter{ConnectedBy: "user-1"}, connect.Page{Limit: 1}
	if rows, _, err := store.ListAccounts(ctx, "acme", filter, page); err != nil || len(rows) != 1 {
		t.Errorf("%d accounts of the user, %v; want 1", len(rows), err)
	}
	if n, err := store.HastenFlows(ctx, "acme", "user-1"); err != nil || n != 1 {
		t.Errorf("%d open flows, %v; want 1", n, err)
	}
	got, err := store.ClaimDueGrants(ctx, connect.DueClaim{Platform: "x", N: 1, Attempt: "attempt-2", Lease: time.Minute})
	if err != nil || len(got.Grants) != 1 {
		t.Fatalf("%d due grants, %v; want 1", len(got.Grants), err)
	}
	if g := got.Grants[0]; g.SentAt != nil || g.Presented != 0 || g.Failures != 0 || g.RefusedAt != nil || g.Prior != connect.GrantActive {
		t.Errorf("a grant that was never sent: %+v", g)
	}
}

// TestFault38_ReleaseBefore lets the release before write to a file that was
// migrated under it, and has this one go on from there.
func TestFault38_ReleaseBefore(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	former, path := formerStore(t)
	store, err := Open(ctx, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for _, query := range []string{formerInsertGrant, formerInsertAccount, formerInsertFlow} {
		runOne(t, former, query)
	}
	now := time.Now()
	runOne(t, former, formerClaim, now.Add(time.Hour).UnixMicro(), now.UnixMicro())
	key := connect.GrantKey{Tenant: "acme", ID: "grant-1"}
	marked, err := store.MarkSent(ctx, "attempt-1", []connect.GrantKey{key})
	if diff := cmp.Diff([]connect.GrantKey{key}, marked); err != nil || diff != "" {
		t.Fatalf("marked (-want +got):\n%s%v", diff, err)
	}
	runOne(t, former, formerMarkSent, now.UnixMicro())
	if g, err := store.ReadGrant(ctx, key); err != nil || g.Presented != 1 || g.SentAt == nil {
		t.Errorf("presented %d times, first at %v, %v; want what this release wrote", g.Presented, g.SentAt, err)
	}
}

// TestFault38_BackToTheReleaseBefore opens a file that a newer release has
// migrated, and goes on with what is in it.
func TestFault38_BackToTheReleaseBefore(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	former, path := formerStore(t)
	files, err := migrations()
	if err != nil {
		t.Fatal(err)
	}
	next := contents(t, files)
	next["90001_next.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\nALTER TABLE grants ADD COLUMN next INTEGER NOT NULL DEFAULT 1;\n")}
	if err := migrate(ctx, former, next); err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{formerInsertGrant, formerInsertAccount} {
		runOne(t, former, query)
	}
	store, err := Open(ctx, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	got, err := store.ClaimDueGrants(ctx, connect.DueClaim{Platform: "x", N: 1, Attempt: "attempt-1", Lease: time.Minute})
	if err != nil || len(got.Grants) != 1 {
		t.Fatalf("%d due grants, %v; want 1", len(got.Grants), err)
	}
	runOne(t, former, "UPDATE grants SET next = 2 WHERE status = 'claimed' AND next = 1")
}

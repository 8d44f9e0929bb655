package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/seed944197df/connect"
)

func setup(t *testing.T) *Store {
	t.Helper()
	store, err := Open(t.Context(), filepath.Join(t.TempDir(), "connect.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return store
}

func TestSettings(t *testing.T) {
	t.Parallel()
	store := setup(t)
	for name, db := range map[string]*sql.DB{"writer": store.writer, "reader": store.reader} {
		for setting, want := range map[string]string{
			"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "5000",
		} {
			var got string
			if err := db.QueryRowContext(t.Context(), "PRAGMA "+setting).Scan(&got); err != nil || got != want {
				t.Errorf("%s: %s is %q, want %q (%v)", name, setting, got, want, err)
			}
		}
	}
	if _, err := store.reader.ExecContext(t.Context(), "DELETE FROM flows"); err == nil {
		t.Error("a reader can write")
	}
}

// TestFault35_DiskFull lets SQLite find no room for another page.
func TestFault35_DiskFull(t *testing.T) {
	t.Parallel()
	ctx, store := t.Context(), setup(t)
	small := connect.ClientRecord{Name: "server", Version: 1}
	if err := store.PutClient(ctx, small); err != nil {
		t.Fatal(err)
	}
	limitPages(t, store, 1) // SQLite takes the pages that are there
	large := connect.ClientRecord{Name: "server", Version: 2, Sealed: make([]byte, 1<<20)}
	err := store.PutClient(ctx, large)
	if err == nil || !strings.Contains(err.Error(), "full") {
		t.Fatalf("error is %v, want that the disk is full", err)
	}
	got, err := store.ReadClient(ctx, "", "", "server")
	if err != nil || got.Version != 1 {
		t.Errorf("version %d, %v; want what was there before", got.Version, err)
	}
	limitPages(t, store, 1<<30)
	if err := store.PutClient(ctx, large); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

func limitPages(t *testing.T, store *Store, n int) {
	t.Helper()
	if _, err := store.writer.ExecContext(t.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", n)); err != nil {
		t.Fatal(err)
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	store, err := Open(ctx, filepath.Join(t.TempDir(), "connect.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := store.ReadFlow(ctx, connect.FlowKey{ID: "flow-1"}); err == nil || errors.Is(err, connect.ErrNotFound) {
		t.Errorf("read: %v", err)
	}
	if err := store.CreateFlow(ctx, connect.Flow{ID: "flow-1"}, connect.FlowCaps{}); err == nil {
		t.Error("a closed store wrote")
	}
}

func TestContextIsOver(t *testing.T) {
	t.Parallel()
	store := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := store.CreateFlow(ctx, connect.Flow{ID: "flow-1"}, connect.FlowCaps{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want %v", err, context.Canceled)
	}
}

// A row that this release cannot read is an error, never an empty row.
func TestUnreadableRows(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ data, want string }{
		"newer": {`{"v":2,"row":{}}`, "form 2"},
		"none":  {`{}`, "form 0"},
		"torn":  {`{"v":1,"row":{"sea`, "damaged"},
		"empty": {``, "damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, store := t.Context(), setup(t)
			if err := store.PutClient(ctx, connect.ClientRecord{Name: "server", Version: 1}); err != nil {
				t.Fatal(err)
			}
			if _, err := store.writer.ExecContext(ctx, "UPDATE clients SET data = ?", test.data); err != nil {
				t.Fatal(err)
			}
			_, err := store.ReadClient(ctx, "", "", "server")
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want %q in it", err, test.want)
			}
		})
	}
}

// A migration that fails leaves the file as the one before it did.
func TestMigrationFails(t *testing.T) {
	t.Parallel()
	ctx, store := t.Context(), setup(t)
	files, err := migrations()
	if err != nil {
		t.Fatal(err)
	}
	next := fstest.MapFS{
		"90001_next.sql":   {Data: []byte("-- +goose Up\nCREATE TABLE good (a);\n")},
		"90002_broken.sql": {Data: []byte("-- +goose Up\nCREATE TABLE half (a);\nCREATE TABLE good (a);\n")},
	}
	maps.Copy(next, contents(t, files))
	if err := migrate(ctx, store.writer, next); err == nil {
		t.Fatal("a broken migration was applied")
	}
	var tables, version int
	err = store.reader.QueryRowContext(ctx, `SELECT count(*), (SELECT max(version_id) FROM schema_version)
		FROM sqlite_schema WHERE name IN ('good', 'half')`).Scan(&tables, &version)
	if err != nil || tables != 1 || version != 90001 {
		t.Errorf("%d tables, version %d, %v; want one of the next migration alone", tables, version, err)
	}

	next["90002_broken.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE TABLE half (a);\n")}
	if err := migrate(ctx, store.writer, next); err != nil {
		t.Errorf("mended: %v", err)
	}
}

// contents returns files in a form that can be added to.
func contents(t *testing.T, files fs.FS) fstest.MapFS {
	t.Helper()
	copied := fstest.MapFS{}
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		data, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		copied[name] = &fstest.MapFile{Data: data}
	}
	return copied
}

// Each statement that runs all the time must find its rows by an index.
func TestQueriesUseIndexes(t *testing.T) {
	t.Parallel()
	store := setup(t)
	for name, query := range map[string]string{
		"caps":            "SELECT count(*) FROM flows WHERE tenant = 'a' AND user = 'b' AND " + isOpen,
		"expiry":          "SELECT id FROM flows WHERE " + isOpen + " AND expires_at <= 1 ORDER BY expires_at LIMIT 1",
		"session":         "SELECT * FROM flows WHERE session = x'00'",
		"list":            "SELECT * FROM accounts WHERE tenant = 'a' AND (connected_at, id) < (1, 'b') ORDER BY connected_at DESC, id DESC LIMIT 1",
		"list of a user":  "SELECT * FROM accounts WHERE tenant = 'a' AND (connected_at, id) < (1, 'b') AND connected_by = 'c' ORDER BY connected_at DESC, id DESC LIMIT 1",
		"overdue":         claimOverdue,
		"haste":           "SELECT count(*) FROM flows WHERE tenant = 'a' AND " + isOpen + " AND user = 'b'",
		"lost grants":     dueLost,
		"due grants":      dueOthers,
		"due of a tenant": dueOfTenant,
		"turn":            turn,
		"unfinished":      unfinished,
		"sharers":         "SELECT 1 FROM grants g JOIN accounts a ON a.tenant = g.tenant AND a.grant_id = g.id WHERE g.subject_key = 'a' AND a.status <> 'disconnected'",
		"events":          "SELECT * FROM events WHERE tenant = 'a' AND position > 1 ORDER BY position LIMIT 1",
		"deliverable":     deliverable,
		"last of account": "SELECT coalesce(max(sequence), 0) FROM events WHERE tenant = 'a' AND account_id = 'b'",
	} {
		plan := explainPlan(t, store, query)
		if strings.Contains(plan, "TEMP B-TREE") || scansTable(plan) {
			t.Errorf("%s:\n%s", name, plan)
		}
	}
}

// argument is where a statement is given a value.
var argument = regexp.MustCompile(`\?|:[a-z]+`)

// explainPlan returns SQLite's plan for a query.
func explainPlan(t *testing.T, store *Store, query string) string {
	t.Helper()
	steps, err := all(t.Context(), store.reader, func(row scanner) (string, error) {
		var id, parent, unused int
		var step string
		err := row.Scan(&id, &parent, &unused, &step)
		return step, err
	}, "EXPLAIN QUERY PLAN "+argument.ReplaceAllString(query, "1"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(steps, "\n")
}

// scansTable reports whether a step of the plan reads a table from end to end.
// That a turn reads what it has written, that a claim reads whom it leaves
// alone, and that of events all that are undelivered are read, is as it should
// be.
func scansTable(plan string) bool {
	for step := range strings.Lines(plan) {
		fine := strings.HasPrefix(step, "SCAN turn") || strings.HasPrefix(step, "SCAN CONSTANT ROW") ||
			strings.HasPrefix(step, "SCAN json_each") ||
			strings.Contains(step, "USING INDEX events_undelivered")
		if strings.HasPrefix(step, "SCAN") && !fine {
			return true
		}
	}
	return false
}

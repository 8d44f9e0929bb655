//go:build linux || darwin

package sqlitestore_test

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/sqlitestore"
)

// fullPath names the file for the process in which TestFault35_NothingIsSent
// has no room.
const fullPath = "SQLITESTORE_TEST_FULL_PATH"

// TestFault35_NothingIsSent takes the room for a row away from a process that
// has claimed a grant: it must not get so far as to send.
func TestFault35_NothingIsSent(t *testing.T) {
	t.Parallel()
	path := os.Getenv(fullPath)
	if path == "" {
		path = filepath.Join(t.TempDir(), "connect.db")
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFault35_NothingIsSent$", "-test.v")
		child.Env = append(os.Environ(), fullPath+"="+path)
		if out, err := child.CombinedOutput(); err != nil {
			t.Errorf("%v:\n%s", err, out)
		}
		integrity(t, path)
		return
	}
	runOutOfRoom(t, path)
}

func runOutOfRoom(t *testing.T, path string) {
	t.Helper()
	store := open(t, path, nil)
	twoDue(t, store)
	claim := connect.DueClaim{Platform: "x", N: 1, Attempt: "attempt-1", Lease: time.Hour} // one of the two
	got, err := store.ClaimDueGrants(t.Context(), claim)
	if err != nil || len(got.Grants) != 1 {
		t.Fatalf("%d grants, %v; want 1", len(got.Grants), err)
	}
	held := []connect.GrantKey{{Tenant: got.Grants[0].Tenant, ID: "grant-1"}}

	room := fileSize(t, 0)
	if sent, err := store.MarkSent(t.Context(), "attempt-1", held); err == nil || len(sent) > 0 {
		t.Errorf("without room: %d grants may be sent, %v", len(sent), err)
	}
	if got, err := store.ClaimDueGrants(t.Context(), claim); err == nil || len(got.Grants) > 0 {
		t.Errorf("without room: %d grants are claimed, %v", len(got.Grants), err)
	}
	wantPresented(t, store, held[0], connect.GrantClaimed, 0)

	fileSize(t, room)
	if sent, err := store.MarkSent(t.Context(), "attempt-1", held); err != nil || len(sent) != 1 {
		t.Errorf("with room again: %d grants may be sent, %v", len(sent), err)
	}
	wantPresented(t, store, held[0], connect.GrantSent, 1)
}

// twoDue stores two grants that are due.
func twoDue(t *testing.T, store *sqlitestore.Store) {
	t.Helper()
	for n := range 2 {
		commit, _ := rowsOf(fmt.Sprint("tenant-", n))
		flow := newFlow(n)
		flow.Tenant = commit.Flow.Tenant
		commit.Flow, commit.Events = flow, nil
		commit.Grant.DueAt = &flow.CreatedAt
		if err := store.CreateFlow(t.Context(), flow, connect.FlowCaps{}); err != nil {
			t.Fatal(err)
		}
		if _, err := store.CommitFlow(t.Context(), commit); err != nil {
			t.Fatal(err)
		}
	}
}

// fileSize bounds how large this process may make a file, and returns what the
// bound was.
func fileSize(t *testing.T, size uint64) uint64 {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ) // so that a write fails, as on a full disk
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	before := limit.Cur
	limit.Cur = size
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	return before
}

func wantPresented(t *testing.T, store *sqlitestore.Store, key connect.GrantKey, status connect.GrantStatus, n int) {
	t.Helper()
	g, err := store.ReadGrant(t.Context(), key)
	if err != nil || g.Status != status || g.Presented != n {
		t.Errorf("the grant is %s, presented %d times, %v; want %s, %d times", g.Status, g.Presented, err, status, n)
	}
}

package sqlitestore_test

import (
	"bufio"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/sqlitestore"
)

// newFlow returns the flow with a number.
func newFlow(n int) connect.Flow {
	now := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	return connect.Flow{
		ID:        fmt.Sprintf("flow-%d", n),
		Tenant:    "tenant-1",
		Status:    connect.FlowStarted,
		Version:   1,
		Request:   []byte("sealed request"),
		CreatedAt: now,
		ExpiresAt: now.Add(time.Hour),
	}
}

// integrity fails the test where SQLite finds the file damaged.
func integrity(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var result string
	err = db.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&result)
	if err != nil || result != "ok" {
		t.Errorf("integrity_check: %q, %v", result, err)
	}
}

func TestReopen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "connect.db")
	first := open(t, path, nil)
	if err := first.CreateFlow(t.Context(), newFlow(1), connect.FlowCaps{}); err != nil {
		t.Fatal(err)
	}
	second := open(t, path, nil) // while the first has it open
	got, err := second.ReadFlow(t.Context(), connect.FlowKey{ID: "flow-1"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(newFlow(1), got); diff != "" {
		t.Errorf("flow (-want +got):\n%s", diff)
	}
	integrity(t, path)
}

// Two stores on one file are like two processes: they meet only in the file.
func TestTwoStoresOneWinner(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "connect.db")
	stores := []*sqlitestore.Store{open(t, path, nil), open(t, path, nil)}
	const flows = 20
	for i := range flows {
		if err := stores[0].CreateFlow(t.Context(), newFlow(i), connect.FlowCaps{}); err != nil {
			t.Fatal(err)
		}
	}
	errs := make([]error, flows*len(stores))
	var done sync.WaitGroup
	for i := range errs {
		done.Go(func() {
			next := newFlow(i / 2)
			next.Status = connect.FlowClaimed
			_, errs[i] = stores[i%2].MoveFlow(t.Context(), connect.FlowStarted, next)
		})
	}
	done.Wait()
	won := 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, connect.ErrConflict):
			t.Error(err)
		}
	}
	if won != flows {
		t.Errorf("%d of %d moves succeeded, want one for each of %d flows", won, len(errs), flows)
	}
}

// childPath names the file for the process that TestFault35_Kill kills.
const childPath = "SQLITESTORE_TEST_CHILD_PATH"

// TestFault35_Kill kills a process that writes, without a warning, and looks
// for everything that it had been told is stored.
func TestFault35_Kill(t *testing.T) {
	t.Parallel()
	if path := os.Getenv(childPath); path != "" {
		writeForever(t, path)
		return
	}
	path := filepath.Join(t.TempDir(), "connect.db")
	next := 0
	for range 5 {
		next = writeUntilKilled(t, path, next)
	}
	store := open(t, path, nil)
	for i := range next {
		if _, err := store.ReadFlow(t.Context(), connect.FlowKey{ID: newFlow(i).ID}); err != nil {
			t.Errorf("flow %d was acknowledged: %v", i, err)
		}
	}
	integrity(t, path)
}

// writeUntilKilled starts a process that writes, kills it after some flows, and
// returns the number of flows that were acknowledged until then.
func writeUntilKilled(t *testing.T, path string, acknowledged int) int {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFault35_Kill$")
	child.Env = append(os.Environ(), childPath+"="+path)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for wrote := 0; lines.Scan(); {
		if _, err := fmt.Sscanf(lines.Text(), "stored %d", &acknowledged); err != nil {
			t.Errorf("the child says %q", lines.Text())
		}
		acknowledged++
		if wrote++; wrote == 20 {
			if err := child.Process.Kill(); err != nil { // and read on: more may have been stored
				t.Fatal(err)
			}
		}
	}
	if err := child.Wait(); err == nil {
		t.Error("the child ended by itself")
	}
	return acknowledged
}

// writeForever stores flow after flow and says so on the standard output.
func writeForever(t *testing.T, path string) {
	t.Helper()
	store := open(t, path, nil)
	for i := 0; ; i++ {
		err := store.CreateFlow(t.Context(), newFlow(i), connect.FlowCaps{})
		if errors.Is(err, connect.ErrConflict) {
			continue // from the last time
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(os.Stdout, "stored %d\n", i); err != nil {
			t.Fatal(err)
		}
	}
}

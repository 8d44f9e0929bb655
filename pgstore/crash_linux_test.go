package pgstore_test

import (
	"syscall"
	"testing"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/pgtest"
)

// TestFault36_NothingIsLostInACrash crashes the server, by one of its
// processes, as soon as the last refresh was acknowledged. The process that
// writes in the background what no commit waits for has been stopped before.
func TestFault36_NothingIsLostInACrash(t *testing.T) {
	t.Parallel()
	dsn := pgtest.OwnServer(t)
	exec(t, dsn, lazy)
	store := open(t, as(dsn, "lazy"), nil)
	if err := commit(t.Context(), store, 1); err != nil {
		t.Fatal(err)
	}
	checkpointer := ask[int](t, dsn, processID+"'checkpointer'")
	if err := syscall.Kill(ask[int](t, dsn, processID+"'walwriter'"), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for generation := range int64(5) {
		if err := refresh(t.Context(), store, 1, generation+1); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Kill(checkpointer, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, "the server is back", func() bool {
		id, err := tryAsk[int](t.Context(), dsn, processID+"'checkpointer'")
		return err == nil && id != checkpointer
	})
	got, err := store.ReadGrant(t.Context(), connect.GrantKey{Tenant: "tenant", ID: "grant-1"})
	if got.Generation != 6 || string(got.Sealed) != "attempt-5" {
		t.Errorf("after the crash the grant has generation %d, want 6 (%v)", got.Generation, err)
	}
}

// processID asks for the id of one of the server's processes.
const processID = "SELECT pid FROM pg_stat_activity WHERE backend_type = "

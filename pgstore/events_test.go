package pgstore_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/pgtest"
)

// TestCursorSkipsNothing: a transaction that has taken its place among the
// events of a tenant, and is slow to commit, is not overtaken by one that a
// reader would go on from.
func TestCursorSkipsNothing(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Database(t)
	ctx, store := t.Context(), open(t, dsn, nil)
	exec(t, dsn, `CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS
			'BEGIN IF NEW.id = ''event-1'' THEN PERFORM pg_advisory_xact_lock(1); END IF; RETURN NULL; END';
		CREATE TRIGGER linger AFTER INSERT ON connect.events FOR EACH ROW EXECUTE FUNCTION linger()`)
	holder, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close(context.WithoutCancel(ctx))
	if _, err := holder.Exec(ctx, "SELECT pg_advisory_lock(1)"); err != nil {
		t.Fatal(err)
	}
	for n := range 2 {
		if err := create(ctx, store, n+1); err != nil {
			t.Fatal(err)
		}
	}
	slow, fast := make(chan error, 1), make(chan error, 1)
	go func() { slow <- only(store.CommitFlow(ctx, newCommit(1))) }()
	until(t, "the slow one has its place", func() bool { return waiting(t, dsn) == 1 })
	go func() { fast <- only(store.CommitFlow(ctx, newCommit(2))) }()
	until(t, "the fast one waits, or is through", func() bool { return waiting(t, dsn) == 2 || len(fast) > 0 })

	var seen []string
	page := connect.Page{Limit: 10}
	follow := func() {
		events, next, err := store.ListEvents(ctx, "tenant", page)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			seen = append(seen, e.ID)
		}
		page.Cursor = next
	}
	follow()
	if _, err := holder.Exec(ctx, "SELECT pg_advisory_unlock(1)"); err != nil {
		t.Fatal(err)
	}
	for _, done := range []chan error{slow, fast} {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	follow()
	if diff := cmp.Diff([]string{"event-1", "event-2"}, seen); diff != "" {
		t.Errorf("events that a reader has seen (-want +got):\n%s", diff)
	}
}

package pgstore_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/pgtest"
	"github.com/seed944197df/connect/pgstore"
)

// TestSchemaName: the name becomes part of every statement, so it holds nothing
// that could be more than a name.
func TestSchemaName(t *testing.T) {
	t.Parallel()
	pool, err := pgxpool.New(t.Context(), "host=/nowhere")
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	for _, name := range []string{"Connect", "a.b", `a"b`, "a b", "1a", "a;DROP", strings.Repeat("a", 64), "ä", "a\x00"} {
		_, err := pgstore.New(t.Context(), pool, &pgstore.Options{Schema: name})
		if err == nil || !strings.Contains(err.Error(), "Options.Schema") {
			t.Errorf("%q: error is %v, want one that names the option", name, err)
		}
	}
}

// Two stores in one database see nothing of each other.
func TestSchemasAreApart(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Database(t)
	one, other := open(t, dsn, nil), open(t, dsn, &pgstore.Options{Schema: "select"}) // a word of SQL is a name, too
	if err := commit(t.Context(), one, 1); err != nil {
		t.Fatal(err)
	}
	key := connect.FlowKey{ID: "flow-1"}
	if _, err := other.ReadFlow(t.Context(), key); !errors.Is(err, connect.ErrNotFound) {
		t.Errorf("the other store has the flow: %v", err)
	}
	if err := commit(t.Context(), other, 1); err != nil {
		t.Errorf("the other store cannot have a flow with the same id: %v", err)
	}
}

// A pool that the host has made stays the host's.
func TestPoolOfTheHost(t *testing.T) {
	t.Parallel()
	pool, err := pgxpool.New(t.Context(), pgtest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	store, err := pgstore.New(t.Context(), pool, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
	if err := pool.Ping(t.Context()); err != nil {
		t.Errorf("after Close the pool is %v", err)
	}
}

// A role that may only read and write rows opens a store whose tables are
// there.
func TestRoleWithoutRightsToTheSchema(t *testing.T) {
	t.Parallel()
	dsn := pgtest.OwnServer(t)
	open(t, dsn, nil)
	exec(t, dsn, `CREATE ROLE worker LOGIN; GRANT USAGE ON SCHEMA connect TO worker;
		GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA connect TO worker`)
	if err := commit(t.Context(), open(t, as(dsn, "worker"), nil), 1); err != nil {
		t.Error(err)
	}
}

// A zero byte, which no text column holds, is in no name of a row.
func TestNamesThatCannotBeStored(t *testing.T) {
	t.Parallel()
	ctx, store := t.Context(), open(t, pgtest.Database(t), nil)
	for _, name := range []string{"a\x00", "\xff"} {
		_, flow := store.ReadFlow(ctx, connect.FlowKey{ID: name})
		_, account := store.ReadAccount(ctx, connect.AccountKey{Tenant: name, ID: "1"})
		_, grant := store.ReadGrant(ctx, connect.GrantKey{Tenant: "tenant", ID: name})
		_, client := store.ReadClient(ctx, "tenant", "x", name)
		for i, err := range []error{flow, account, grant, client} {
			if !errors.Is(err, connect.ErrNotFound) {
				t.Errorf("%q, %d: error is %v, want %v", name, i, err, connect.ErrNotFound)
			}
		}
	}
}

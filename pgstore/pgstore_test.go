package pgstore_test

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/pgtest"
	"github.com/seed944197df/connect/pgstore"
	"github.com/seed944197df/connect/storetest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, opener(pgtest.Database(t)))
}

// TestFault24_PoolOfTransactions is the whole contract through a pooler that
// gives each transaction another session.
func TestFault24_PoolOfTransactions(t *testing.T) {
	t.Parallel()
	storetest.Run(t, opener(pgtest.Bouncer(t, pgtest.Database(t))))
}

// opener opens stores in one database, each in a schema of its own.
func opener(dsn string) func(t *testing.T, now func() time.Time) connect.Store {
	var n atomic.Int64
	return func(t *testing.T, now func() time.Time) connect.Store {
		t.Helper()
		return open(t, dsn, &pgstore.Options{Schema: fmt.Sprintf("store%d", n.Add(1)), Now: now})
	}
}

func BenchmarkStore(b *testing.B) {
	storetest.Benchmark(b, func(b *testing.B) connect.Store {
		b.Helper()
		return open(b, pgtest.Database(b), nil)
	})
}

// open opens a store that is closed when the test ends.
func open(tb testing.TB, dsn string, opts *pgstore.Options) *pgstore.Store {
	tb.Helper()
	store, err := pgstore.Open(tb.Context(), dsn, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := store.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	return store
}

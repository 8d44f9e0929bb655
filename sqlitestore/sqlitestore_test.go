package sqlitestore_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/sqlitestore"
	"github.com/seed944197df/connect/storetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, now func() time.Time) connect.Store {
		t.Helper()
		return open(t, filepath.Join(t.TempDir(), "connect.db"), &sqlitestore.Options{Now: now})
	})
}

func BenchmarkStore(b *testing.B) {
	storetest.Benchmark(b, func(b *testing.B) connect.Store {
		b.Helper()
		return open(b, filepath.Join(b.TempDir(), "connect.db"), nil)
	})
}

// open opens a store that is closed when the test ends.
func open(tb testing.TB, path string, opts *sqlitestore.Options) *sqlitestore.Store {
	tb.Helper()
	store, err := sqlitestore.Open(tb.Context(), path, opts)
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

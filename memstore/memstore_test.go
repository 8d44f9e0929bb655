package memstore_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/memstore"
	"github.com/seed944197df/connect/storetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(_ *testing.T, now func() time.Time) connect.Store {
		return memstore.New(&memstore.Options{Now: now})
	})
}

func BenchmarkStore(b *testing.B) {
	storetest.Benchmark(b, func(*testing.B) connect.Store { return memstore.New(nil) })
}

// A database gives up when its context is over; code that forgets to detach a
// context must fail its tests, too.
func TestContextIsOver(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	store := memstore.New(nil)
	if err := store.CreateFlow(ctx, connect.Flow{ID: "flow-1"}, connect.FlowCaps{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want %v", err, context.Canceled)
	}
	if _, err := store.ReadFlow(t.Context(), connect.FlowKey{ID: "flow-1"}); !errors.Is(err, connect.ErrNotFound) {
		t.Errorf("error is %v, want %v", err, connect.ErrNotFound)
	}
}

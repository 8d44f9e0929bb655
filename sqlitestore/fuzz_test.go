package sqlitestore

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/storetest"
)

func FuzzLists(f *testing.F) {
	store, err := Open(f.Context(), filepath.Join(f.TempDir(), "connect.db"), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = store.Close() })
	for _, cursor := range []string{"LTEu", "MC5hY2NvdW50LTI\n", "2"} {
		f.Add(cursor, 1)
	}
	storetest.FuzzLists(f, store)
}

// FuzzCursor: a cursor is of the account that it was made for.
func FuzzCursor(f *testing.F) {
	f.Add(int64(1), "id-4")
	f.Add(int64(-1), ".")
	f.Fuzz(func(t *testing.T, micros int64, id string) {
		at := connect.Account{ID: id, ConnectedAt: time.UnixMicro(micros)}
		if gotMicros, gotID, ok := parseCursor(cursorAt(at)); !ok || gotMicros != micros || gotID != id {
			t.Errorf("the cursor of %d, %q is of %d, %q, %t", micros, id, gotMicros, gotID, ok)
		}
	})
}

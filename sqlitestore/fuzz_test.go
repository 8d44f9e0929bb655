package sqlitestore

import (
	"path/filepath"
	"testing"

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

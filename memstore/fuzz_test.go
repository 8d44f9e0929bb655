package memstore

import (
	"testing"

	"github.com/seed944197df/connect/storetest"
)

func FuzzLists(f *testing.F) {
	for _, cursor := range []string{"LTEu", "MC5hY2NvdW50LTI\n", "2"} {
		f.Add(cursor, 1)
	}
	storetest.FuzzLists(f, New(nil))
}

// FuzzCursor: a cursor is of the position that it was made for.
func FuzzCursor(f *testing.F) {
	f.Add(int64(1), "id-4")
	f.Add(int64(-1), ".")
	f.Fuzz(func(t *testing.T, micros int64, id string) {
		at := position{micros, id}
		if back, ok := parsePosition(at.cursor()); !ok || back != at {
			t.Errorf("the cursor of %v is of %v, %t", at, back, ok)
		}
	})
}

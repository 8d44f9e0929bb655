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

package sqlitestore

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/seed944197df/connect"
)

const fuzzRows = 6 // three of each tenant

// FuzzCursor: whatever a caller sends back as a cursor, a list shows what the
// tenant has behind it, in order and each once, and ends.
func FuzzCursor(f *testing.F) {
	store, err := Open(f.Context(), filepath.Join(f.TempDir(), "connect.db"), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = store.Close() })
	for i := range fuzzRows {
		tenant, id := []string{"acme", "globex"}[i%2], fmt.Sprint("id-", i)
		err := store.write(f.Context(), func(tx *sql.Tx) error {
			a := connect.Account{Tenant: tenant, ID: id, PlatformID: id, ConnectedAt: time.UnixMicro(int64(i / 4))}
			return errors.Join(insertAccount(f.Context(), tx, a), putEvents(f.Context(), tx, []connect.Event{{Tenant: tenant, ID: id}}))
		})
		if err != nil {
			f.Fatal(err)
		}
	}
	for _, cursor := range []string{"", "MC5pZC0y", "MS5pZC00", "LTEu", "MS4\n", "+1", "2", "9223372036854775807", "18446744073709551615", "-1", "x"} {
		f.Add(cursor, 1, int64(1), "id-4")
	}
	f.Fuzz(func(t *testing.T, cursor string, limit int, micros int64, id string) {
		at := connect.Account{ID: id, ConnectedAt: time.UnixMicro(micros)}
		if gotMicros, gotID, ok := parseCursor(cursorAt(at)); !ok || gotMicros != micros || gotID != id {
			t.Errorf("the cursor of %d, %q is of %d, %q, %t", micros, id, gotMicros, gotID, ok)
		}
		accounts := walk(t, cursor, limit, func(page connect.Page) (ids []string, next string, err error) {
			found, next, err := store.ListAccounts(t.Context(), "acme", connect.AccountFilter{}, page)
			for _, a := range found {
				ids = append(ids, a.ID)
			}
			return ids, next, err
		})
		events := walk(t, cursor, limit, func(page connect.Page) (ids []string, next string, err error) {
			found, next, err := store.ListEvents(t.Context(), "acme", page)
			for _, e := range found {
				ids = append(ids, e.ID)
			}
			return ids, next, err
		})
		slices.Reverse(accounts) // the newest come first
		all := []string{"id-0", "id-2", "id-4"}
		if !slices.Equal(accounts, all[:min(3, len(accounts))]) || !slices.Equal(events, all[max(0, 3-len(events)):]) {
			t.Errorf("behind %q lie accounts %q and events %q", cursor, accounts, events)
		}
	})
}

// walk returns the ids on all pages from the cursor on, none where the list
// refuses it.
func walk(t *testing.T, cursor string, limit int, list func(connect.Page) ([]string, string, error)) []string {
	t.Helper()
	var all []string
	for range fuzzRows + 2 {
		ids, next, err := list(connect.Page{Cursor: cursor, Limit: limit})
		if err != nil && (!errors.Is(err, connect.ErrNotFound) || len(all) > 0) || len(ids) > max(limit, 0) {
			t.Errorf("behind %q are %d rows of %d, %v", cursor, len(ids), limit, err)
		}
		if len(ids) == 0 || next == "" {
			return append(all, ids...)
		}
		all, cursor = append(all, ids...), next
	}
	t.Fatalf("the list does not end: %q", all)
	return nil
}

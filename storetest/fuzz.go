package storetest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/seed944197df/connect"
)

// FuzzLists is a fuzz target for the cursors of a store, which must be empty:
//
//	func FuzzLists(f *testing.F) { storetest.FuzzLists(f, open(f)) }
//
// Whatever a caller sends back as a cursor, a list must show rows of the tenant
// alone, in order and each once, up to the last, and end; from the beginning it
// must show all. The seeds are the store's own cursors and some that are none;
// more can be added before, by f.Add with a cursor and an int, the page's limit.
func FuzzLists(f *testing.F, store connect.Store) {
	f.Helper()
	s := &state{store, f, &clock{time: epoch}}
	s.byTurns()
	for _, list := range s.bothLists() {
		_, next, err := list.page(connect.Page{Limit: 1})
		s.ok(err)
		f.Add(next, 1)
	}
	for _, cursor := range []string{"", "+1", "9223372036854775807", "18446744073709551615", "-1", "x", "\n"} {
		f.Add(cursor, 2)
	}
	f.Add("", 0)
	f.Add("", -1)
	f.Fuzz(func(t *testing.T, cursor string, limit int) {
		s := &state{store, t, s.clock}
		s.checkLists(cursor, limit)
	})
}

// byTurns stores three accounts and events of each of two tenants, in turn.
func (s *state) byTurns() {
	s.Helper()
	for n := range 6 {
		c := newCommit(n)
		if n%2 == 1 {
			c.Flow.Tenant, c.Grant.Tenant, c.Accounts[0].Tenant, c.Events[0].Tenant = "tenant-2", "tenant-2", "tenant-2", "tenant-2"
		}
		c.Accounts[0].ConnectedAt = epoch.Add(time.Duration(n/4) * time.Microsecond) // two of the same moment
		s.commit(c)
	}
}

// list is one of a store's lists, as ids.
type list struct {
	name string
	all  []string // of byTurns, in the list's order
	page func(page connect.Page) (ids []string, next string, err error)
}

func (s *state) bothLists() []list {
	return []list{
		{"accounts", []string{"account-4", "account-2", "account-0"}, func(page connect.Page) (ids []string, next string, err error) {
			accounts, next, err := s.ListAccounts(s.Context(), tenant, connect.AccountFilter{}, page)
			for _, a := range accounts {
				ids = append(ids, a.ID)
			}
			return ids, next, err
		}},
		{"events", []string{"event-0", "event-2", "event-4"}, func(page connect.Page) (ids []string, next string, err error) {
			events, next, err := s.ListEvents(s.Context(), tenant, page)
			for _, e := range events {
				ids = append(ids, e.ID)
			}
			return ids, next, err
		}},
	}
}

// checkLists reads both lists from a cursor on.
func (s *state) checkLists(cursor string, limit int) {
	s.Helper()
	for _, list := range s.bothLists() {
		got := s.walk(list, cursor, limit)
		rest := list.all[max(0, len(list.all)-len(got)):]
		if cursor == "" && limit > 0 {
			rest = list.all
		}
		if !slices.Equal(got, rest) {
			s.Errorf("the %s behind %q, in pages of %d, are %q, want %q", list.name, cursor, limit, got, rest)
		}
	}
}

// walk returns the ids on all pages from the cursor on, none where the list
// refuses it.
func (s *state) walk(list list, cursor string, limit int) []string {
	s.Helper()
	var all []string
	for range len(list.all) + 2 {
		ids, next, err := list.page(connect.Page{Cursor: cursor, Limit: limit})
		if err != nil && (!errors.Is(err, connect.ErrNotFound) || len(all) > 0) || len(ids) > max(limit, 0) {
			s.Errorf("behind %q are %d %s of at most %d, %v", cursor, len(ids), list.name, limit, err)
		}
		all = append(all, ids...)
		if len(ids) == 0 || next == "" {
			return all
		}
		cursor = next
	}
	s.Errorf("the list of %s does not end: %q", list.name, all)
	return all
}

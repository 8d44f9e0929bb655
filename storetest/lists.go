package storetest

import (
	"fmt"
	"time"

	"github.com/seed944197df/connect"
)

func listTests() []test {
	return []test{
		{"ListAccounts returns the newest first, in pages", listPages},
		{"of the same moment, the larger id comes first", listTies},
		{"the last page has no cursor", listEnds},
		{"a page after a cursor is not moved by newer accounts", listStable},
		{"ListAccounts filters by each field", listFilters},
		{"tombstones are listed only where they are asked for", listTombstones},
		{"a malformed cursor is ErrNotFound", listCursor},
	}
}

// listed stores seven accounts, some of them at the same moment.
func (s *state) listed() {
	s.Helper()
	c := newCommit(1)
	c.Accounts, c.Events = nil, nil
	for i, age := range []int{3, 0, 1, 1, 1, 2, 0} {
		a := newAccount(i + 1)
		a.ConnectedAt = epoch.Add(-time.Duration(age) * time.Microsecond)
		c.Accounts = append(c.Accounts, a)
	}
	s.commit(c)
}

// pages returns all accounts, read in pages of n.
func (s *state) pages(n int) []connect.Account {
	s.Helper()
	var all []connect.Account
	page := connect.Page{Limit: n}
	for range 20 {
		rows, next, err := s.ListAccounts(s.Context(), tenant, connect.AccountFilter{}, page)
		s.ok(err)
		if len(rows) > n {
			s.Fatalf("%d rows on a page of %d", len(rows), n)
		}
		all = append(all, rows...)
		if next == "" {
			return all
		}
		page.Cursor = next
	}
	s.Fatal("the pages do not end")
	return nil
}

func listPages(s *state) {
	s.listed()
	whole := s.pages(100)
	if len(whole) != 7 {
		s.Fatalf("%d accounts, want 7", len(whole))
	}
	for i := range whole[1:] {
		if whole[i+1].ConnectedAt.After(whole[i].ConnectedAt) {
			s.Errorf("row %d is newer than the one before it", i+1)
		}
	}
	for n := 1; n <= 8; n++ {
		s.equal(fmt.Sprintf("pages of %d", n), s.pages(n), whole)
	}
}

func listTies(s *state) {
	s.listed()
	var ids []string
	for _, a := range s.pages(100) {
		ids = append(ids, a.ID)
	}
	s.equal("ids", ids, []string{"account-7", "account-2", "account-5", "account-4", "account-3", "account-6", "account-1"})
}

func listEnds(s *state) {
	s.connected(2)
	for n, more := range map[int]bool{1: true, 2: false, 3: false} {
		_, next, err := s.ListAccounts(s.Context(), tenant, connect.AccountFilter{}, connect.Page{Limit: n})
		s.ok(err)
		if (next != "") != more {
			s.Errorf("a page of %d of 2 accounts has the cursor %q", n, next)
		}
	}
}

func listStable(s *state) {
	s.listed()
	whole := s.pages(100)
	first, next, err := s.ListAccounts(s.Context(), tenant, connect.AccountFilter{}, connect.Page{Limit: 2})
	s.ok(err)
	s.equal("first page", first, whole[:2])
	c := newCommit(2)
	c.Accounts[0] = newAccount(9)
	c.Accounts[0].ConnectedAt = epoch.Add(time.Hour)
	s.commit(c)
	rest, _, err := s.ListAccounts(s.Context(), tenant, connect.AccountFilter{}, connect.Page{Limit: 100, Cursor: next})
	s.ok(err)
	s.equal("the rest", rest, whole[2:])
}

func listFilters(s *state) {
	s.commit(emptyCommit(2)) // the other grant
	c := emptyCommit(1)
	for i, change := range []func(a *connect.Account){
		func(*connect.Account) {},
		func(a *connect.Account) { a.Platform = "x" },
		func(a *connect.Account) { a.Kind = "profile" },
		func(a *connect.Account) { a.GrantID = "grant-2" },
		func(a *connect.Account) { a.Status = connect.AccountSuspended },
		func(a *connect.Account) { a.ConnectedBy = "user-2" },
	} {
		a := newAccount(i)
		change(&a)
		c.Accounts = append(c.Accounts, a)
	}
	s.commit(c)
	for name, test := range map[string]struct {
		filter connect.AccountFilter
		want   []string
	}{
		"platform":    {connect.AccountFilter{Platform: "x"}, []string{"account-1"}},
		"kind":        {connect.AccountFilter{Kind: "profile"}, []string{"account-2"}},
		"grant":       {connect.AccountFilter{GrantID: "grant-2"}, []string{"account-3"}},
		"status":      {connect.AccountFilter{Status: connect.AccountSuspended}, []string{"account-4"}},
		"user":        {connect.AccountFilter{ConnectedBy: "user-2"}, []string{"account-5"}},
		"platform id": {connect.AccountFilter{PlatformID: "page-2"}, []string{"account-2"}},
		"several": {
			connect.AccountFilter{Platform: "facebook", Kind: "page", PlatformID: "page-0", GrantID: "grant-1", ConnectedBy: "user-1", Status: connect.AccountActive},
			[]string{"account-0"},
		},
		"none": {connect.AccountFilter{Platform: "x", Kind: "profile"}, nil},
	} {
		rows, next, err := s.ListAccounts(s.Context(), tenant, test.filter, connect.Page{Limit: 10})
		s.ok(err)
		var got []string
		for _, a := range rows {
			got = append(got, a.ID)
		}
		s.equal(name, got, test.want)
		s.equal(name+": cursor", next, "")
	}
}

func listTombstones(s *state) {
	s.connected(2)
	released := must[connect.Released](s)(s.ReleaseAccount(s.Context(), tenant, "account-1", nil))
	page := connect.Page{Limit: 10}
	live, _, err := s.ListAccounts(s.Context(), tenant, connect.AccountFilter{}, page)
	s.ok(err)
	s.equal("live accounts", live, []connect.Account{newAccount(2)})
	dead, _, err := s.ListAccounts(s.Context(), tenant, connect.AccountFilter{Status: connect.AccountDisconnected}, page)
	s.ok(err)
	s.equal("tombstones", dead, []connect.Account{released.Account})
}

func listCursor(s *state) {
	s.connected(1)
	for _, cursor := range []string{"?", "x", "AAAA", "' OR 1=1 --", "\x00", "MTIz"} {
		_, _, err := s.ListAccounts(s.Context(), tenant, connect.AccountFilter{}, connect.Page{Limit: 1, Cursor: cursor})
		s.wantError(err, connect.ErrNotFound)
	}
}

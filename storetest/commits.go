package storetest

import (
	"time"

	"github.com/seed944197df/connect"
)

func commitTests() []test {
	return []test{
		{"CommitFlow stores flow, grant, accounts and events", commitStores},
		{"a commit without a grant stores the rest", commitWithoutGrant},
		{"a commit replaces grant and accounts and keeps their ids", commitReplaces},
		{"a commit replaces a tombstone, which keeps its id", commitRevives},
		{"a commit takes the grant from whoever held its claim", commitTakesClaim},
		{"a commit that takes an account leaves its former grant alone", commitMovesAccount},
		{"nil, zero and known times stay apart", commitTimes},
		{"of concurrent commits exactly one succeeds", commitRace},
		{"of concurrent first commits of one grant exactly one succeeds", commitGrantRace},
	}
}

func commitStores(s *state) {
	c := newCommit(1)
	second := newAccount(2)
	second.ParentID = "account-1"
	second.ClientID = "client-id"
	second.Metadata, second.Sealed = nil, nil
	c.Accounts = append(c.Accounts, second)
	c.Events = append(c.Events, newEvent(2, second.ID), newEvent(3, second.ID), newEvent(4, ""))
	c.Events[2].Sequence = 7 // the store counts for itself
	s.create(newFlow(1))
	got := must[connect.Flow](s)(s.CommitFlow(s.Context(), c))

	want := c.Flow
	want.Version = 2
	s.equal("returned flow", got, want)
	s.equal("flow", s.flow(1), want)
	s.equal("grant", s.grant(1), *c.Grant)
	s.equal("first account", s.account(1), c.Accounts[0])
	s.equal("second account", s.account(2), c.Accounts[1])
	if a := s.account(2); a.Metadata != nil || a.Sealed != nil {
		s.Error("what was nil in an account is no longer")
	}
	for i, sequence := range []int64{1, 1, 2, 0} {
		c.Events[i].Sequence = sequence
	}
	s.equal("events", s.events(), c.Events)
}

func commitWithoutGrant(s *state) {
	c := newCommit(1)
	c.Accounts, c.Events = nil, nil
	c.Flow.Status = connect.FlowPending
	c.Flow.Outcome = nil
	s.commit(c)

	end := connect.Commit{From: connect.FlowPending, Flow: s.flow(1), Accounts: []connect.Account{newAccount(1)}}
	end.Flow.Status = connect.FlowConnected
	got := must[connect.Flow](s)(s.CommitFlow(s.Context(), end))
	if got.Version != 3 {
		s.Errorf("version %d, want 3", got.Version)
	}
	s.equal("grant", s.grant(1), *c.Grant)
	s.equal("account", s.account(1), end.Accounts[0])
}

// successor returns flow 2's commit of new versions of what newCommit(1) has.
func successor() connect.Commit {
	c := newCommit(1)
	c.Flow.ID = "flow-2"
	c.Grant.Generation = 2
	c.Grant.Sealed = []byte("new tokens")
	c.Accounts[0].Version = 2
	c.Accounts[0].Name = "renamed"
	c.Events = []connect.Event{newEvent(2, "account-1")}
	return c
}

func commitReplaces(s *state) {
	s.connected(1)
	c := successor()
	s.commit(c)
	s.equal("grant", s.grant(1), *c.Grant)
	s.equal("account", s.account(1), c.Accounts[0])
	if n := s.events()[1].Sequence; n != 2 {
		s.Errorf("the account's second event has the sequence %d", n)
	}
}

func commitRevives(s *state) {
	s.connected(1)
	released := must[connect.Released](s)(s.ReleaseAccount(s.Context(), tenant, "account-1", nil))
	c := successor()
	c.Accounts[0].Version = released.Account.Version + 1
	s.commit(c)
	s.equal("account", s.account(1), c.Accounts[0])
	s.equal("grant", s.grant(1), *c.Grant)
	list, _, err := s.ListAccounts(s.Context(), tenant, connect.AccountFilter{}, connect.Page{Limit: 10})
	s.ok(err)
	s.equal("live accounts", list, c.Accounts)
}

func commitTakesClaim(s *state) {
	s.connected(1)
	s.claim(1, "attempt-1")
	sent := must[[]connect.GrantKey](s)(s.MarkSent(s.Context(), "attempt-1", grantKeys(1)))
	s.equal("marked grants", sent, grantKeys(1))
	c := successor()
	c.Grant.Attempt, c.Grant.LeaseUntil = "attempt-1", epoch.Add(time.Hour) // as a careless caller read it
	s.commit(c)

	got := s.grant(1)
	if got.Status != connect.GrantActive || got.Attempt != "" {
		s.Errorf("the grant is %s, held by %q", got.Status, got.Attempt)
	}
	sent = must[[]connect.GrantKey](s)(s.MarkSent(s.Context(), "attempt-1", grantKeys(1)))
	s.equal("grants that the former holder may send", sent, []connect.GrantKey(nil))
	for _, generation := range []int64{1, 2} {
		_, err := s.SettleGrant(s.Context(), noTokens("attempt-1", generation))
		s.wantError(err, connect.ErrStale)
	}
	s.equal("grant after a late answer", s.grant(1), got)
	s.equal("prior of the next claim", s.claim(1, "attempt-2").Prior, connect.GrantActive)
}

func commitMovesAccount(s *state) {
	s.connected(1)
	before := s.grant(1)
	c := newCommit(2)
	c.Accounts[0] = newAccount(1)
	c.Accounts[0].Version = 2
	c.Accounts[0].GrantID = "grant-2"
	s.commit(c)
	s.equal("account", s.account(1), c.Accounts[0])
	s.equal("former grant", s.grant(1), before)
}

func commitTimes(s *state) {
	zero := time.Time{}
	for i, want := range []*time.Time{nil, &zero, in(time.Hour)} {
		c := newCommit(i)
		c.Grant.AccessExpiry, c.Grant.RefreshExpiry, c.Grant.DueAt = want, want, want
		c.Accounts[0].TokenExpiry = want
		s.commit(c)
		g := s.grant(i)
		for _, got := range []*time.Time{g.AccessExpiry, g.RefreshExpiry, g.DueAt, s.account(i).TokenExpiry} {
			s.equal("time", got, want)
		}
		if !g.LeaseUntil.IsZero() {
			s.Errorf("LeaseUntil is %v, want the zero time", g.LeaseUntil)
		}
	}
}

func commitRace(s *state) {
	s.create(newFlow(1))
	won, lost := winner(s, race(func(i int) raced[connect.Flow] {
		c := newCommit(1)
		c.Flow.Outcome.Chosen = []string{string(rune('A' + i))}
		got, err := s.CommitFlow(s.Context(), c)
		return raced[connect.Flow]{got, err}
	}), connect.ErrConflict)
	s.equal("stored flow", s.flow(1), won)
	for _, f := range lost {
		s.equal("what a loser got", f, won)
	}
	if n := len(s.events()); n != 1 {
		s.Errorf("%d events, want 1", n)
	}
}

func commitGrantRace(s *state) {
	for i := range parallel {
		s.create(newFlow(i))
	}
	winner(s, race(func(i int) raced[connect.Flow] {
		c := newCommit(i) // its own flow and event, but everybody's grant
		grant := newGrant(1)
		c.Grant = &grant
		c.Accounts = nil
		got, err := s.CommitFlow(s.Context(), c)
		return raced[connect.Flow]{got, err}
	}), connect.ErrStale)
	if n := len(s.events()); n != 1 {
		s.Errorf("%d events, want 1", n)
	}
}

package storetest

import (
	"time"

	"github.com/seed944197df/connect"
)

func refusedCommitTests() []test {
	tests := []test{
		{"a repeated commit returns the outcome and ErrConflict", repeatedCommit},
		{"ErrConflict changes nothing", conflictingCommit},
		{"an event whose id is taken is ErrConflict and changes nothing", takenEventCommit},
		{"ErrBusy changes nothing", busyCommit},
		{"accounts that join a claimed subject's grant are ErrBusy", busyJoin},
		{"a failing account in the middle undoes the whole", failingAccount},
	}
	for _, c := range staleCommits() {
		tests = append(tests, test{"ErrStale changes nothing: " + c.name, func(s *state) { staleCommit(s, c.change) }})
	}
	for _, c := range staleJoins() {
		tests = append(tests, test{"ErrStale changes nothing: account on " + c.name, func(s *state) { staleJoin(s, c.spoil) }})
	}
	return tests
}

func repeatedCommit(s *state) {
	s.commit(newCommit(1))
	check := s.unchanged(tenant)
	got, err := s.CommitFlow(s.Context(), newCommit(1))
	s.wantError(err, connect.ErrConflict)
	s.equal("returned flow", got, s.flow(1))
	check()
}

func conflictingCommit(s *state) {
	s.connected(1)
	c := successor()
	s.create(newFlow(2))
	s.create(like(3, func(f *connect.Flow) { f.Session = handle("session") }))
	check := s.unchanged(tenant)
	for name, change := range map[string]func(c *connect.Commit){
		"status":       func(c *connect.Commit) { c.From = connect.FlowPending },
		"version":      func(c *connect.Commit) { c.Flow.Version = 2 },
		"taken handle": func(c *connect.Commit) { c.Flow.Session = handle("session") },
	} {
		try := c
		change(&try)
		got, err := s.CommitFlow(s.Context(), try)
		s.wantError(err, connect.ErrConflict)
		s.equal(name+": returned flow", got, newFlow(2))
	}
	check()
	must[connect.Flow](s)(s.CommitFlow(s.Context(), c)) // the rest of it was right
}

func takenEventCommit(s *state) {
	s.connected(1)
	s.create(newFlow(2))
	check := s.unchanged(tenant)
	c := successor()
	c.Events = append(c.Events, newEvent(1, "account-1"))
	got, err := s.CommitFlow(s.Context(), c)
	s.wantError(err, connect.ErrConflict)
	s.equal("returned flow", got, newFlow(2))
	check()
	must[connect.Flow](s)(s.CommitFlow(s.Context(), successor())) // with its own events alone it is taken
}

// staleCommits are ways to spoil the commit of successor.
func staleCommits() []struct {
	name   string
	change func(c *connect.Commit)
} {
	return []struct {
		name   string
		change func(c *connect.Commit)
	}{
		{"grant of the same generation", func(c *connect.Commit) { c.Grant.Generation = 1 }},
		{"grant of a later generation", func(c *connect.Commit) { c.Grant.Generation = 3 }},
		{"grant with another id", func(c *connect.Commit) { c.Grant.ID = "grant-7" }},
		{"first grant not of generation 1", func(c *connect.Commit) { c.Grant.ID, c.Grant.Subject = "grant-7", "subject-7" }},
		{"first grant with a taken id", func(c *connect.Commit) { c.Grant.Generation, c.Grant.Subject = 1, "subject-7" }},
		{"account of the same version", func(c *connect.Commit) { c.Accounts[0].Version = 1 }},
		{"account of a later version", func(c *connect.Commit) { c.Accounts[0].Version = 3 }},
		{"account with another id", func(c *connect.Commit) { c.Accounts[0].ID = "account-7" }},
		{"first account not of version 1", func(c *connect.Commit) { c.Accounts[0].ID, c.Accounts[0].PlatformID = "account-7", "page-7" }},
		{"first account with a taken id", func(c *connect.Commit) { c.Accounts[0].Version, c.Accounts[0].PlatformID = 1, "page-7" }},
	}
}

func staleCommit(s *state, change func(c *connect.Commit)) {
	s.connected(1)
	s.create(newFlow(2))
	check := s.unchanged(tenant)
	c := successor()
	change(&c)
	_, err := s.CommitFlow(s.Context(), c)
	s.wantError(err, connect.ErrStale)
	check()
	must[connect.Flow](s)(s.CommitFlow(s.Context(), successor())) // unspoilt it is taken
}

// staleJoins are ways to spoil grant 1, which has account 1, for an account
// that is to join it.
func staleJoins() []struct {
	name  string
	spoil func(s *state, joining *connect.Account)
} {
	return []struct {
		name  string
		spoil func(s *state, joining *connect.Account)
	}{
		{"a grant that is not stored", func(_ *state, joining *connect.Account) { joining.GrantID = "grant-9" }},
		{"a grant that is to be revoked", func(s *state, _ *connect.Account) { s.release("account-1") }},
		{"a grant that is claimed for its revocation", func(s *state, _ *connect.Account) {
			s.release("account-1")
			s.claim(1, "attempt-1")
		}},
		{"a dead grant", func(s *state, _ *connect.Account) { s.kill() }},
	}
}

// kill settles grant 1 as dead.
func (s *state) kill() {
	s.Helper()
	s.claim(1, "attempt-1")
	st := noTokens("attempt-1", 1)
	st.Status, st.DueAt, st.Wipe = connect.GrantDead, nil, true
	s.settle(st)
}

func staleJoin(s *state, spoil func(s *state, joining *connect.Account)) {
	join := connect.Commit{From: connect.FlowStarted, Flow: newFlow(2), Accounts: []connect.Account{newAccount(2)}}
	join.Flow.Status = connect.FlowConnected
	s.connected(1)
	s.create(newFlow(2))
	spoil(s, &join.Accounts[0])
	check := s.unchanged(tenant)
	_, err := s.CommitFlow(s.Context(), join)
	s.wantError(err, connect.ErrStale)
	check()
}

func failingAccount(s *state) {
	s.connected(3)
	s.create(newFlow(2))
	check := s.unchanged(tenant)
	c := successor()
	c.Accounts = nil
	for i := range 3 {
		a := newAccount(i + 1)
		a.Version = 2
		a.Name = "renamed"
		c.Accounts = append(c.Accounts, a)
	}
	c.Events = []connect.Event{newEvent(7, "account-1")}
	c.Accounts[1].Version = 5
	_, err := s.CommitFlow(s.Context(), c)
	s.wantError(err, connect.ErrStale)
	check()
}

func busyCommit(s *state) {
	s.commit(emptyCommit(1))
	s.create(newFlow(2))
	s.ok(s.ClaimSubject(s.Context(), "subject-key-1", "attempt-1", time.Minute))
	check := s.unchanged(tenant)
	c := successor()
	c.Accounts[0].Version = 1
	_, err := s.CommitFlow(s.Context(), c)
	s.wantError(err, connect.ErrBusy)
	check()

	other := newCommit(3) // another subject is not held off
	s.commit(other)

	s.advance(time.Minute)
	must[connect.Flow](s)(s.CommitFlow(s.Context(), c))
}

func busyJoin(s *state) {
	s.commit(emptyCommit(1))
	s.create(newFlow(2))
	s.ok(s.ClaimSubject(s.Context(), "subject-key-1", "attempt-1", time.Minute))
	check := s.unchanged(tenant)
	c := newCommit(2)
	c.Grant = nil
	c.Accounts[0].GrantID = "grant-1"
	_, err := s.CommitFlow(s.Context(), c)
	s.wantError(err, connect.ErrBusy)
	check()
	s.ok(s.ReleaseSubject(s.Context(), "subject-key-1", "attempt-1"))
	must[connect.Flow](s)(s.CommitFlow(s.Context(), c))
}

// emptyCommit returns newCommit without accounts and events.
func emptyCommit(n int) connect.Commit {
	c := newCommit(n)
	c.Accounts, c.Events = nil, nil
	return c
}

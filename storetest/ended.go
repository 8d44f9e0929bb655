package storetest

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/seed944197df/connect"
)

func endedTests() []test {
	return []test{
		{"an ended tenant gets no flow, client, grant or account", endedGetsNothing},
		{"what an ended tenant has can be read, ended, claimed, settled and released", endedGoesOn},
		{"ending a tenant leaves the others alone", endedAlone},
		{"ending a tenant revokes the grants that no account is on", endedLeaves},
		{"ending a tenant again changes nothing", endedTwice},
		{"whoever writes after EndTenant has returned fails", endedRace},
	}
}

func (s *state) end(tenant string) {
	s.Helper()
	s.ok(s.EndTenant(s.Context(), tenant))
}

func endedGetsNothing(s *state) {
	s.connected(1)
	s.create(newFlow(2))
	s.ok(s.PutClient(s.Context(), newClient("own")))
	s.end(tenant)
	check := s.unchanged(tenant)
	s.wantError(s.CreateFlow(s.Context(), newFlow(3), connect.FlowCaps{}), connect.ErrNotFound)
	first, next := newClient("second"), newClient("own")
	next.Version = 2
	s.wantError(s.PutClient(s.Context(), first), connect.ErrNotFound)
	s.wantError(s.PutClient(s.Context(), next), connect.ErrNotFound)
	for name, change := range map[string]func(c *connect.Commit){
		"a grant":    func(c *connect.Commit) { c.Accounts = nil },
		"an account": func(c *connect.Commit) { c.Grant, c.Accounts[0].GrantID = nil, "grant-1" },
		"both":       func(*connect.Commit) {},
	} {
		c := newCommit(2)
		change(&c)
		if _, err := s.CommitFlow(s.Context(), c); !errors.Is(err, connect.ErrNotFound) {
			s.Errorf("a commit with %s: error is %v, want %v", name, err, connect.ErrNotFound)
		}
	}
	check()
	s.equal("client", s.client(tenant, "own"), newClient("own"))
}

func endedGoesOn(s *state) {
	s.connected(1)
	s.create(newFlow(2))
	s.create(newFlow(3))
	s.ok(s.PutClient(s.Context(), newClient("own")))
	s.end(tenant)
	s.equal("account", s.account(1), newAccount(1))
	s.equal("client", s.client(tenant, "own"), newClient("own"))

	s.hasten(tenant, "", 2)
	s.equal("overdue flows", len(s.overdue(9)), 2)
	moved, ended := s.flow(2), s.flow(3)
	moved.Status, ended.Status = connect.FlowClaimed, connect.FlowExpired
	must[connect.Flow](s)(s.MoveFlow(s.Context(), connect.FlowStarted, moved))
	must[connect.Flow](s)(s.CommitFlow(s.Context(), connect.Commit{From: connect.FlowStarted, Flow: ended, Events: []connect.Event{newEvent(3, "")}}))

	s.present("attempt-1")
	s.settle(settlement("attempt-1", 1))
	if !s.release("account-1").Last {
		s.Error("the last is not said to be the last")
	}
	s.equal("prior", s.claim(1, "attempt-2").Prior, connect.GrantRevoking)
}

func endedAlone(s *state) {
	s.twoTenants()
	check := s.unchanged(long)
	s.end(short)
	check()
	for i, name := range append(strangers(), long) {
		s.create(like(5+i, func(f *connect.Flow) { f.Tenant = name }))
	}
}

func endedLeaves(s *state) {
	s.connected(1)
	moved, wiped := newCommit(2), newCommit(3) // whose accounts another consent has
	moved.Accounts, moved.Events = nil, nil
	wiped.Accounts, wiped.Events, wiped.Grant.Sealed = nil, nil, nil
	s.commit(moved)
	s.commit(wiped)
	s.claim(2, "attempt-1")
	s.end(tenant)
	s.equal("grant of a live account", s.grant(1).Status, connect.GrantActive)
	s.equal("grant of none", s.grant(2).Status, connect.GrantRevoking)
	s.equal("grant of none, without tokens", s.grant(3).Status, connect.GrantActive)
	s.equal("prior", s.claim(2, "attempt-2").Prior, connect.GrantRevoking)
}

func endedTwice(s *state) {
	s.connected(1)
	left := newCommit(2)
	left.Accounts, left.Events = nil, nil
	s.commit(left)
	s.end(tenant)
	s.claim(2, "attempt-1")
	st := noTokens("attempt-1", 1)
	st.ID, st.Status, st.DueAt = "grant-2", connect.GrantRevoking, in(time.Hour)
	s.settle(st)
	check := s.unchanged(tenant)
	s.end(tenant)
	check()
	s.wantError(s.CreateFlow(s.Context(), newFlow(3), connect.FlowCaps{}), connect.ErrNotFound)
}

// endedRace ends a tenant while others write to it, and compares what it had
// when EndTenant returned with what it has when all are done.
func endedRace(s *state) {
	for i := range parallel {
		s.create(like(i, func(f *connect.Flow) { f.ID = fmt.Sprintf("flow of %d", i) }))
	}
	rows := func() []string {
		var ids []string
		for i := range parallel {
			if _, err := s.ReadFlow(s.Context(), connect.FlowKey{ID: fmt.Sprintf("flow-%d", i)}); err == nil {
				ids = append(ids, fmt.Sprintf("flow-%d", i))
			}
			if _, err := s.ReadClient(s.Context(), tenant, "facebook", strconv.Itoa(i)); err == nil {
				ids = append(ids, fmt.Sprintf("client %d", i))
			}
			if _, err := s.ReadGrant(s.Context(), grantKeys(i)[0]); err == nil {
				ids = append(ids, fmt.Sprintf("grant-%d", i))
			}
		}
		return ids
	}
	var ended []string
	for _, err := range race(func(i int) error {
		switch i % 3 {
		case 0:
			return s.CreateFlow(s.Context(), newFlow(i), connect.FlowCaps{})
		case 1:
			return s.PutClient(s.Context(), newClient(strconv.Itoa(i)))
		}
		if i == 2 {
			err := s.EndTenant(s.Context(), tenant)
			ended = rows()
			return err
		}
		c := newCommit(i)
		c.Flow.ID = fmt.Sprintf("flow of %d", i)
		_, err := s.CommitFlow(s.Context(), c)
		return err
	}) {
		if err != nil && !errors.Is(err, connect.ErrNotFound) {
			s.Errorf("unexpected error: %v", err)
		}
	}
	s.equal("rows when all are done", rows(), ended)
}

func eraseTests() []test {
	tests := []test{
		{"EraseTenant deletes every row of the tenant", eraseAll},
		{"EraseTenant leaves the other tenants alone", eraseAlone},
		{"an erased tenant stays ended", eraseKeepsMark},
	}
	for _, c := range unerasable() {
		tests = append(tests, test{"EraseTenant changes nothing: " + c.name, func(s *state) { eraseRefused(s, c.spoil) }})
	}
	return tests
}

// leave releases the tenant's account 1 and ends the revocation of its grant.
func (s *state) leave(name string) {
	s.Helper()
	must[connect.Released](s)(s.ReleaseAccount(s.Context(), name, "account-1", nil))
	key := connect.GrantKey{Tenant: name, ID: "grant-1"}
	must[connect.ClaimedGrant](s)(s.ClaimGrant(s.Context(), key, "attempt-1", time.Minute))
	st := noTokens("attempt-1", 1)
	st.Tenant, st.Status, st.DueAt, st.Wipe = name, connect.GrantDead, nil, true
	s.settle(st)
}

// erase erases a tenant, which must be possible.
func (s *state) erase(name string) {
	s.Helper()
	if !must[bool](s)(s.EraseTenant(s.Context(), name)) {
		s.Fatalf("%s was not erased", name)
	}
}

func eraseAll(s *state) {
	s.twoTenants()
	s.end(short)
	s.leave(short)
	s.erase(short)
	s.equal("what is left", s.read(short), everything{})
	nobodys, _, err := s.ListEvents(s.Context(), "", connect.Page{Limit: 9})
	s.ok(err)
	s.equal("events of no tenant", nobodys, []connect.Event(nil))
	_, err = s.ReadClient(s.Context(), short, "facebook", "own")
	s.wantError(err, connect.ErrNotFound)
	for _, key := range []connect.FlowKey{{ID: "flow-0"}, {Tenant: short, Session: handle("session " + short)}} {
		_, err := s.ReadFlow(s.Context(), key)
		s.wantError(err, connect.ErrNotFound)
	}
	for _, e := range s.claimEvents(9, "attempt-1") {
		s.equal("tenant of an event that is left", e.Tenant, long)
	}
}

func eraseAlone(s *state) {
	s.twoTenants()
	check := s.unchanged(long)
	client := s.client(long, "own")
	s.end(short)
	s.leave(short)
	s.erase(short)
	check()
	s.equal("client", s.client(long, "own"), client)
}

func eraseKeepsMark(s *state) {
	s.connected(1)
	s.end(tenant)
	s.leave(tenant)
	s.erase(tenant)
	s.wantError(s.CreateFlow(s.Context(), newFlow(3), connect.FlowCaps{}), connect.ErrNotFound)
	s.wantError(s.PutClient(s.Context(), newClient("own")), connect.ErrNotFound)
}

// unerasable are reasons not to erase a tenant.
func unerasable() []struct {
	name  string
	spoil func(s *state)
} {
	return []struct {
		name  string
		spoil func(s *state)
	}{
		{"the tenant was not ended", func(s *state) { s.leave(tenant) }},
		{"it has an open flow", func(s *state) {
			s.create(newFlow(2))
			s.end(tenant)
			s.leave(tenant)
		}},
		{"it has a live account", func(s *state) {
			s.end(tenant)
			s.kill()
		}},
		{"it has a grant that is to be revoked", func(s *state) {
			s.end(tenant)
			s.release("account-1")
		}},
		{"it has a grant that is claimed for its revocation", func(s *state) {
			s.end(tenant)
			s.release("account-1")
			s.claim(1, "attempt-1")
			s.advance(time.Hour) // whoever has it is lost
		}},
	}
}

func eraseRefused(s *state, spoil func(s *state)) {
	s.connected(1)
	s.ok(s.PutClient(s.Context(), newClient("own")))
	spoil(s)
	check := s.unchanged(tenant)
	if must[bool](s)(s.EraseTenant(s.Context(), tenant)) {
		s.Error("the tenant is said to be erased")
	}
	check()
	s.equal("client", s.client(tenant, "own"), newClient("own"))
}

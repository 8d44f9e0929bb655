package storetest

import (
	"time"

	"github.com/seed944197df/connect"
)

// The tenants of these tests have names of which one begins with the other,
// and rows with the same ids and keys.
const (
	short = "abc"
	long  = "abcdef"
)

func tenantTests() []test {
	return []test{
		{"flows", tenantFlows},
		{"accounts", tenantAccounts},
		{"grants", tenantGrants},
		{"clients", tenantClients},
		{"events", tenantEvents},
		{"events keep their order within a tenant", tenantEventOrder},
	}
}

// twoTenants gives both tenants a grant with an account, an event and a
// client; only the ids of flows and events differ.
func (s *state) twoTenants() {
	s.Helper()
	for i, name := range []string{short, long} {
		c := newCommit(1)
		c.Flow.ID, c.Flow.Tenant = newFlow(i).ID, name
		c.Flow.Session, c.Flow.Ticket = handle("session "+name), handle("ticket "+name)
		c.Grant.Tenant, c.Accounts[0].Tenant = name, name
		c.Events[0].ID, c.Events[0].Tenant = "event of "+name, name
		s.commit(c)
		client := newClient("own")
		client.Tenant = name
		s.ok(s.PutClient(s.Context(), client))
	}
}

// strangers are tenants that have no rows, but that a careless comparison takes
// for one that has.
func strangers() []string { return []string{"", "abcd", "%", "ABCDEF"} }

// notFound checks that no key of the short tenant, or of none, reaches a row
// of the long one.
func (s *state) notFound(what string, err error) {
	s.Helper()
	if err == nil {
		s.Errorf("%s: found another tenant's row", what)
		return
	}
	s.wantError(err, connect.ErrNotFound)
}

func tenantFlows(s *state) {
	s.twoTenants()
	check := s.unchanged(long)
	for _, name := range append(strangers(), short) {
		for what, key := range map[string]connect.FlowKey{
			"session": {Tenant: name, Session: handle("session " + long)},
			"ticket":  {Tenant: name, Ticket: handle("ticket " + long)},
		} {
			_, err := s.ReadFlow(s.Context(), key)
			s.notFound(what, err)
		}
		stranger := must[connect.Flow](s)(s.ReadFlow(s.Context(), connect.FlowKey{ID: "flow-1"}))
		stranger.Tenant = name
		_, err := s.MoveFlow(s.Context(), connect.FlowConnected, stranger)
		s.notFound("MoveFlow", err)
		_, err = s.CommitFlow(s.Context(), connect.Commit{From: connect.FlowConnected, Flow: stranger})
		s.notFound("CommitFlow", err)
	}
	_, err := s.ReadFlow(s.Context(), connect.FlowKey{Tenant: short, ID: "flow-1"})
	s.notFound("ReadFlow", err)
	check()
}

func tenantAccounts(s *state) {
	s.twoTenants()
	check := s.unchanged(long)
	s.ok(s.WriteAccount(s.Context(), tenantAccount(short, 2), nil))
	released := must[connect.Released](s)(s.ReleaseAccount(s.Context(), short, "account-1", nil))
	if !released.Last {
		s.Error("another tenant's account keeps the grant alive")
	}
	for _, name := range strangers() {
		_, err := s.ReadAccount(s.Context(), connect.AccountKey{Tenant: name, ID: "account-1"})
		s.notFound("ReadAccount", err)
		_, err = s.ReadAccount(s.Context(), tenantAccount(name, 1).Key())
		s.notFound("ReadAccount by key", err)
		_, err = s.ReleaseAccount(s.Context(), name, "account-1", nil)
		s.notFound("ReleaseAccount", err)
		s.notFound("WriteAccount", s.WriteAccount(s.Context(), tenantAccount(name, 2), nil))
		rows, _, err := s.ListAccounts(s.Context(), name, connect.AccountFilter{}, connect.Page{Limit: 9})
		s.ok(err)
		s.equal("accounts of nobody", rows, []connect.Account(nil))
	}
	check()
}

func tenantAccount(name string, version int64) connect.Account {
	a := newAccount(1)
	a.Tenant, a.Version = name, version
	return a
}

func tenantGrants(s *state) {
	s.twoTenants()
	check := s.unchanged(long)
	key := connect.GrantKey{Tenant: short, ID: "grant-1"}
	must[connect.ClaimedGrant](s)(s.ClaimGrant(s.Context(), key, "attempt-1", time.Minute))
	keys := []connect.GrantKey{key, {Tenant: long, ID: "grant-1"}}
	must[[]connect.GrantKey](s)(s.MarkSent(s.Context(), "attempt-1", keys))
	s.ok(s.RenewClaims(s.Context(), "attempt-1", keys, time.Hour))
	st := settlement("attempt-1", 1)
	st.Tenant = short
	st.AccountStatus = connect.AccountReauthRequired
	s.settle(st)
	for _, name := range strangers() {
		key.Tenant, st.Tenant = name, name
		_, err := s.ReadGrant(s.Context(), key)
		s.notFound("ReadGrant", err)
		_, err = s.ReadGrant(s.Context(), connect.GrantKey{Tenant: name, Platform: "facebook", ClientID: "client-id", Subject: "subject-1"})
		s.notFound("ReadGrant by key", err)
		_, err = s.ClaimGrant(s.Context(), key, "attempt-1", time.Minute)
		s.notFound("ClaimGrant", err)
		_, err = s.SettleGrant(s.Context(), st)
		s.notFound("SettleGrant", err)
	}
	check()
}

func tenantClients(s *state) {
	s.twoTenants()
	next := newClient("own")
	next.Tenant, next.Version, next.ClientID = short, 2, "changed"
	s.ok(s.PutClient(s.Context(), next))
	s.equal("changed client", s.client(short, "own"), next)
	other := newClient("own")
	other.Tenant = long
	s.equal("other client", s.client(long, "own"), other)
	for _, name := range strangers() {
		_, err := s.ReadClient(s.Context(), name, "facebook", "own")
		s.notFound("ReadClient", err)
	}
}

func tenantEvents(s *state) {
	s.twoTenants()
	for _, name := range append(strangers(), short, long) {
		var got, want []string
		if name == short || name == long {
			want = []string{"event of " + name}
		}
		for _, e := range s.read(name).Events {
			got = append(got, e.ID)
			if e.Sequence != 1 {
				s.Errorf("%s has the sequence %d, want 1", e.ID, e.Sequence)
			}
		}
		s.equal("events", got, want)
	}
}

// tenantEventOrder has two tenants with accounts of one id: the events of one
// do not wait for those of the other.
func tenantEventOrder(s *state) {
	s.twoTenants()
	for _, attempt := range []string{"attempt-1", "attempt-2"} {
		if got := s.claimEvents(1, attempt); len(got) != 1 {
			s.Errorf("%s got %d events, want 1", attempt, len(got))
		}
	}
}

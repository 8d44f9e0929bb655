package storetest

import (
	"time"

	"github.com/seed944197df/connect"
)

func copyTests() []test {
	return []test{
		{"flows", copyFlows},
		{"commits", copyCommits},
		{"accounts", copyAccounts},
		{"grants", copyGrants},
		{"clients", copyClients},
		{"events", copyEvents},
		{"what a method is passed stays as it was", copyPassed},
	}
}

// The scribble functions overwrite whatever a row points to, as a caller may.

func scribble(b []byte) {
	for i := range b {
		b[i] = '#'
	}
}

func scribbleAll(texts []string) {
	for i := range texts {
		texts[i] = "#"
	}
}

func scribbleTime(t *time.Time) {
	if t != nil {
		*t = time.Time{}.AddDate(9, 9, 9)
	}
}

func scribbleFlow(f connect.Flow) {
	for _, b := range [][]byte{f.Link, f.Session, f.Ticket, f.Request, f.Progress} {
		scribble(b)
	}
	for i := range f.Timeline {
		f.Timeline[i].Step = "#"
	}
	if f.Outcome != nil {
		scribbleAll(f.Outcome.AccountIDs)
		scribbleAll(f.Outcome.Chosen)
		f.Outcome.Error = "#"
	}
}

func scribbleAccount(a connect.Account) {
	scribbleAll(a.Scopes)
	scribbleAll(a.Missing)
	scribble(a.Metadata)
	scribble(a.Sealed)
	scribbleTime(a.TokenExpiry)
	for key := range a.Target {
		a.Target[key] = "#"
	}
}

func scribbleGrant(g connect.Grant) {
	scribble(g.Sealed)
	scribbleAll(g.Scopes)
	scribbleTime(g.AccessExpiry)
	scribbleTime(g.RefreshExpiry)
	scribbleTime(g.DueAt)
	scribbleTime(g.SentAt)
	scribbleTime(g.RefusedAt)
}

func copyFlows(s *state) {
	full := func() connect.Flow {
		f := newFlow(1)
		f.Link, f.Session, f.Ticket = handle("link"), handle("session"), handle("ticket")
		f.Progress = []byte("sealed progress")
		f.Outcome = &connect.FlowOutcome{AccountIDs: []string{"a"}, Chosen: []string{"b"}}
		return f
	}
	f := full()
	s.create(f)
	scribbleFlow(f)
	s.equal("after CreateFlow", s.flow(1), full())
	scribbleFlow(s.flow(1))
	s.equal("after ReadFlow", s.flow(1), full())

	f = full()
	got := must[connect.Flow](s)(s.MoveFlow(s.Context(), connect.FlowStarted, f))
	scribbleFlow(f)
	scribbleFlow(got)
	want := full()
	want.Version = 2
	s.equal("after MoveFlow", s.flow(1), want)
	lost, err := s.MoveFlow(s.Context(), connect.FlowStarted, full())
	s.wantError(err, connect.ErrConflict)
	scribbleFlow(lost)
	s.equal("after a lost MoveFlow", s.flow(1), want)

	s.advance(2 * time.Hour)
	for _, f := range s.overdue(1) {
		scribbleFlow(f)
	}
	s.equal("after ClaimOverdueFlows", s.flow(1), want)
}

func copyCommits(s *state) {
	s.create(newFlow(1))
	c := newCommit(1)
	got := must[connect.Flow](s)(s.CommitFlow(s.Context(), c))
	scribbleFlow(got)
	scribbleFlow(c.Flow)
	scribbleGrant(*c.Grant)
	scribbleAccount(c.Accounts[0])
	scribble(c.Events[0].Data)
	want := newCommit(1)
	want.Flow.Version, want.Events[0].Sequence = 2, 1
	s.equal("flow", s.flow(1), want.Flow)
	s.equal("grant", s.grant(1), *want.Grant)
	s.equal("account", s.account(1), want.Accounts[0])
	s.equal("events", s.events(), want.Events)
}

func copyAccounts(s *state) {
	s.connected(1)
	scribbleAccount(s.account(1))
	s.equal("after ReadAccount", s.account(1), newAccount(1))
	for _, a := range s.pages(10) {
		scribbleAccount(a)
	}
	s.equal("after ListAccounts", s.account(1), newAccount(1))

	next := func() connect.Account {
		a := newAccount(1)
		a.Version = 2
		return a
	}
	a, event := next(), newEvent(9, "account-1")
	s.ok(s.WriteAccount(s.Context(), a, []connect.Event{event}))
	scribbleAccount(a)
	scribble(event.Data)
	s.equal("after WriteAccount", s.account(1), next())
	s.equal("its event", s.events()[1].Data, newEvent(9, "").Data)

	released := s.release("account-1")
	want, grant := s.account(1), s.grant(1)
	scribbleAccount(released.Account)
	scribbleGrant(released.Grant)
	s.equal("after ReleaseAccount", s.account(1), want)
	s.equal("its grant", s.grant(1), grant)
}

func copyGrants(s *state) {
	s.connected(1)
	scribbleGrant(s.grant(1))
	s.equal("after ReadGrant", s.grant(1), newGrant(1))
	claimed := s.claim(1, "attempt-1")
	want := s.grant(1)
	scribbleGrant(claimed.Grant)
	s.equal("after ClaimGrant", s.grant(1), want)
	s.markSent("attempt-1", 1)
	s.advance(time.Hour)
	for _, g := range s.claimDue(connect.DueClaim{N: 1, Attempt: "attempt-1", Lease: time.Hour}).Grants {
		want = s.grant(1)
		scribbleGrant(g.Grant)
	}
	s.equal("after ClaimDueGrants", s.grant(1), want)

	st := settlement("attempt-1", 1)
	st.AccountStatus, st.RefusedAt = connect.AccountReauthRequired, in(time.Hour)
	st.Events = []connect.Event{newEvent(9, "")}
	settled := s.settle(st)
	want = s.grant(1)
	scribble(st.Tokens.Sealed)
	scribbleAll(st.Tokens.Scopes)
	scribbleTime(st.Tokens.AccessExpiry)
	scribbleTime(st.Tokens.RefreshExpiry)
	scribbleTime(st.DueAt)
	scribbleTime(st.RefusedAt)
	scribble(st.Events[0].Data)
	scribbleGrant(settled)
	s.equal("after SettleGrant", s.grant(1), want)
	s.equal("its event", s.events()[1].Data, newEvent(9, "").Data)
}

func copyClients(s *state) {
	c := newClient("own")
	s.ok(s.PutClient(s.Context(), c))
	scribble(c.Sealed)
	scribbleAll(c.Scopes)
	s.equal("after PutClient", s.client(tenant, "own"), newClient("own"))
	got := s.client(tenant, "own")
	scribble(got.Sealed)
	scribbleAll(got.Scopes)
	s.equal("after ReadClient", s.client(tenant, "own"), newClient("own"))
}

func copyEvents(s *state) {
	s.connected(1)
	want := newEvent(1, "account-1")
	want.Sequence = 1
	for _, e := range s.events() {
		scribble(e.Data)
	}
	s.equal("after ListEvents", s.events(), []connect.Event{want})
	for _, e := range s.claimEvents(1, "attempt-1") {
		scribble(e.Data)
	}
	s.equal("after ClaimEvents", s.events(), []connect.Event{want})
}

func copyPassed(s *state) {
	s.create(newFlow(1))
	passed := newCommit(1)
	must[connect.Flow](s)(s.CommitFlow(s.Context(), passed))
	s.equal("commit", passed, newCommit(1))

	next, event := newAccount(1), []connect.Event{newEvent(2, "account-1")}
	next.Version = 2
	want := next
	s.ok(s.WriteAccount(s.Context(), next, event))
	s.equal("account", next, want)
	s.equal("event", event, []connect.Event{newEvent(2, "account-1")})

	s.claim(1, "attempt-1")
	keys := grantKeys(9, 1)
	must[[]connect.GrantKey](s)(s.MarkSent(s.Context(), "attempt-1", keys))
	s.equal("keys", keys, grantKeys(9, 1))

	st, events := settlement("attempt-1", 1), []connect.Event{newEvent(3, "")}
	st.AccountStatus, st.Events = connect.AccountReauthRequired, events
	s.settle(st)
	s.equal("tokens", st.Tokens, settlement("", 1).Tokens)
	s.equal("events of a settlement", events, []connect.Event{newEvent(3, "")})
}

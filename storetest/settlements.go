package storetest

import (
	"time"

	"github.com/seed944197df/connect"
)

func settleTests() []test {
	return []test{
		{"SettleGrant replaces the tokens and increments the generation", settleTokens},
		{"without tokens both stay", settleKeeps},
		{"Wipe removes the sealed tokens", settleWipes},
		{"SentAt and Presented are kept for uncertain alone", settleForgetsSent},
		{"an uncertain grant is presented as often as the settlement says", settlePresented},
		{"a reason to rest, failures and a first refusal are kept", settleRests},
		{"a settled claim is over", settleEnds},
		{"another generation or attempt is ErrStale and changes nothing", settleStale},
		{"AccountStatus becomes the status of the live accounts", settleAccounts},
		{"AccountTokenExpired spares accounts with a token of their own", settleOwnTokens},
		{"AccountSuspended spares accounts that do not work anyway", settleSuspended},
		{"no AccountStatus leaves the accounts alone", settleNoAccounts},
		{"an unknown grant is ErrNotFound", settleUnknown},
	}
}

// settlement returns the end of a refresh of grant 1.
func settlement(attempt string, generation int64) connect.Settlement {
	return connect.Settlement{
		Tenant:     tenant,
		ID:         "grant-1",
		Attempt:    attempt,
		Generation: generation,
		Status:     connect.GrantActive,
		DueAt:      in(2 * time.Hour),
		Tokens: &connect.SealedTokens{
			Sealed:        []byte("new tokens"),
			Scopes:        []string{"read"},
			AccessExpiry:  in(3 * time.Hour),
			RefreshExpiry: &time.Time{},
		},
	}
}

// noTokens is settlement without tokens.
func noTokens(attempt string, generation int64) connect.Settlement {
	st := settlement(attempt, generation)
	st.Tokens = nil
	return st
}

func (s *state) settle(st connect.Settlement) connect.Grant {
	s.Helper()
	return must[connect.Grant](s)(s.SettleGrant(s.Context(), st))
}

// present claims grant 1 and marks it sent.
func (s *state) present(attempt string) {
	s.Helper()
	s.claim(1, attempt)
	s.markSent(attempt, 1)
}

// uncertain leaves grant 1, of a generation, with a lost answer.
func (s *state) uncertain(attempt string, generation int64) {
	s.Helper()
	s.present(attempt)
	st := noTokens(attempt, generation)
	st.Status, st.Presented = connect.GrantUncertain, 1
	s.settle(st)
}

func settleTokens(s *state) {
	s.connected(1)
	s.claim(1, "attempt-1")
	st := settlement("attempt-1", 1)
	got := s.settle(st)
	want := newGrant(1)
	want.Generation = 2
	want.Sealed, want.Scopes = st.Tokens.Sealed, st.Tokens.Scopes
	want.AccessExpiry, want.RefreshExpiry, want.DueAt = st.Tokens.AccessExpiry, st.Tokens.RefreshExpiry, st.DueAt
	want.UpdatedAt = got.UpdatedAt
	s.equal("returned grant", got, want)
	s.equal("stored grant", s.grant(1), want)
}

func settleKeeps(s *state) {
	s.connected(1)
	s.claim(1, "attempt-1")
	st := settlement("attempt-1", 1)
	st.Tokens, st.DueAt = nil, nil
	got := s.settle(st)
	want := newGrant(1)
	want.DueAt = nil
	want.UpdatedAt = got.UpdatedAt
	s.equal("returned grant", got, want)
	s.equal("stored grant", s.grant(1), want)
}

func settleWipes(s *state) {
	s.connected(1)
	s.claim(1, "attempt-1")
	st := settlement("attempt-1", 1)
	st.Status, st.Reason, st.Tokens, st.Wipe = connect.GrantDead, connect.CodeReauthRequired, nil, true
	s.settle(st)
	got := s.grant(1)
	if got.Sealed != nil || got.Status != connect.GrantDead || got.Reason != connect.CodeReauthRequired {
		s.Errorf("status %s, reason %q, tokens %q", got.Status, got.Reason, got.Sealed)
	}
}

func settleEnds(s *state) {
	s.connected(1)
	s.claim(1, "attempt-1")
	got := s.settle(settlement("attempt-1", 1))
	if got.Attempt != "" || !got.LeaseUntil.IsZero() {
		s.Errorf("still held by %q until %v", got.Attempt, got.LeaseUntil)
	}
	for _, generation := range []int64{1, 2} {
		_, err := s.SettleGrant(s.Context(), noTokens("attempt-1", generation))
		s.wantError(err, connect.ErrStale)
	}
	s.equal("prior of the next claim", s.claim(1, "attempt-1").Prior, connect.GrantActive)
}

// presented checks how often grant 1 may have been presented, the first time
// at the beginning of the test.
func (s *state) presented(what string, n int) {
	s.Helper()
	want := &epoch
	if n == 0 {
		want = nil
	}
	g := s.grant(1)
	s.equal(what+": how often it was presented", g.Presented, n)
	s.equal(what+": when it first was", g.SentAt, want)
}

func settleForgetsSent(s *state) {
	s.connected(1)
	s.uncertain("attempt-0", 1)
	s.advance(time.Second)
	for i, status := range []connect.GrantStatus{connect.GrantUncertain, connect.GrantActive, connect.GrantRevoking, connect.GrantDead} {
		attempt := string(rune('A' + i))
		s.present(attempt)
		st := noTokens(attempt, 1)
		st.Status, st.Presented = status, 2
		s.settle(st)
		if status == connect.GrantUncertain {
			s.presented(string(status), 2)
		} else {
			s.presented(string(status), 0)
		}
	}
}

// settlePresented: the holder may know that nothing was sent after all.
func settlePresented(s *state) {
	s.connected(1)
	s.uncertain("attempt-1", 1)
	s.presented("the first", 1)
	s.advance(time.Second)
	for _, n := range []int{1, 2, 0} {
		attempt := string(rune('A' + n))
		s.present(attempt)
		st := noTokens(attempt, 1)
		st.Status, st.Presented = connect.GrantUncertain, n
		s.settle(st)
		s.presented("another", n)
	}
}

func settleRests(s *state) {
	s.connected(1)
	s.claim(1, "attempt-1")
	st := noTokens("attempt-1", 1)
	st.Reason, st.Failures, st.RefusedAt = connect.CodeRateLimited, 3, in(time.Minute)
	for _, got := range []connect.Grant{s.settle(st), s.grant(1), s.claim(1, "attempt-2").Grant} {
		if got.Reason != st.Reason || got.Failures != 3 {
			s.Errorf("reason %q, %d failures", got.Reason, got.Failures)
		}
		s.equal("first refusal", got.RefusedAt, st.RefusedAt)
	}
	s.settle(noTokens("attempt-2", 1))
	got := s.grant(1)
	if got.Reason != "" || got.Failures != 0 || got.RefusedAt != nil {
		s.Errorf("after a settlement without: reason %q, %d failures, refused at %v", got.Reason, got.Failures, got.RefusedAt)
	}
}

func settleStale(s *state) {
	s.connected(1)
	tryAll := func(tries ...connect.Settlement) {
		s.Helper()
		check := s.unchanged(tenant)
		for _, st := range tries {
			st.AccountStatus = connect.AccountReauthRequired
			st.Events = []connect.Event{newEvent(9, "")}
			_, err := s.SettleGrant(s.Context(), st)
			s.wantError(err, connect.ErrStale)
		}
		check()
	}
	tryAll(noTokens("", 1), noTokens("attempt-1", 1)) // nobody holds it
	s.claim(1, "attempt-1")
	tries := []connect.Settlement{
		settlement("attempt-1", 0),
		settlement("attempt-1", 2),
		noTokens("attempt-1", 0),
		noTokens("attempt-1", 2),
		noTokens("attempt-2", 1),
		noTokens("", 1),
	}
	tryAll(tries...)
	s.markSent("attempt-1", 1)
	tryAll(tries...)
}

func settleAccounts(s *state) {
	s.connected(4)
	s.release("account-4")
	limited := newAccount(2)
	limited.Version, limited.Status = 2, connect.AccountReauthRequired
	s.ok(s.WriteAccount(s.Context(), limited, nil))
	other := newCommit(5)
	s.commit(other)
	before := map[int]connect.Account{2: s.account(2), 4: s.account(4), 5: s.account(5)}

	s.claim(1, "attempt-1")
	st := settlement("attempt-1", 1)
	st.AccountStatus = connect.AccountReauthRequired
	st.Events = []connect.Event{newEvent(8, ""), newEvent(9, "")}
	s.settle(st)
	for n, want := range before { // had it already, a tombstone, on another grant
		s.equal("account that does not change", s.account(n), want)
	}
	var events []connect.Event
	for _, n := range []int{1, 3} {
		want := newAccount(n)
		got := s.account(n)
		want.Status, want.Version, want.UpdatedAt = connect.AccountReauthRequired, 2, got.UpdatedAt
		s.equal("account", got, want)
		for i, e := range st.Events {
			e.ID += "." + want.ID
			e.AccountID = want.ID
			e.Sequence = int64(i) + 2
			events = append(events, e)
		}
	}
	got := s.events()[5:]
	if len(got) == 4 && got[0].AccountID != "account-1" { // the order of the accounts is the store's
		got = append(got[2:], got[:2]...)
	}
	s.equal("new events", got, events)
}

func settleOwnTokens(s *state) {
	c := emptyCommit(1)
	for n := range 2 {
		a := newAccount(n + 1)
		a.OwnToken = n == 0
		c.Accounts = append(c.Accounts, a)
	}
	s.commit(c)
	s.claim(1, "attempt-1")
	st := noTokens("attempt-1", 1)
	st.AccountStatus, st.Events = connect.AccountTokenExpired, []connect.Event{newEvent(9, "")}
	s.settle(st)
	s.equal("account with a token of its own", s.account(1), newAccount(1))
	s.equal("status of the account without", s.account(2).Status, connect.AccountTokenExpired)
	if events := s.events(); len(events) != 1 || events[0].AccountID != "account-2" {
		s.Errorf("events %v, want one of account-2", events)
	}
}

func settleSuspended(s *state) {
	statuses := []connect.AccountStatus{
		connect.AccountActive, connect.AccountLimited, connect.AccountTargetLost, connect.AccountReauthRequired, connect.AccountTokenExpired,
	}
	c := emptyCommit(1)
	for n, status := range statuses {
		a := newAccount(n + 1)
		a.Status = status
		c.Accounts = append(c.Accounts, a)
	}
	s.commit(c)
	s.claim(1, "attempt-1")
	st := noTokens("attempt-1", 1)
	st.AccountStatus, st.Events = connect.AccountSuspended, []connect.Event{newEvent(9, "")}
	s.settle(st)
	for n, status := range statuses {
		if n < 2 {
			s.equal("status of an account that worked", s.account(n+1).Status, connect.AccountSuspended)
		} else {
			s.equal("status of an account that did not", s.account(n+1).Status, status)
		}
	}
	if n := len(s.events()); n != 2 {
		s.Errorf("%d events, want 2", n)
	}
}

func settleNoAccounts(s *state) {
	s.connected(1)
	s.claim(1, "attempt-1")
	st := settlement("attempt-1", 1)
	st.Events = []connect.Event{newEvent(8, "")}
	s.settle(st)
	s.equal("account", s.account(1), newAccount(1))
	if n := len(s.events()); n != 1 {
		s.Errorf("%d events, want 1", n)
	}
}

func settleUnknown(s *state) {
	_, err := s.SettleGrant(s.Context(), settlement("attempt-1", 1))
	s.wantError(err, connect.ErrNotFound)
}

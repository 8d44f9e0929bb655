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
		{"a settled claim is over", settleEnds},
		{"another generation or attempt is ErrStale and changes nothing", settleStale},
		{"a late answer counts while the grant is uncertain", settleLate},
		{"a late answer of another generation is ErrStale", settleTooLate},
		{"an answer after the lease counts while nobody else has the grant", settleAfterLease},
		{"AccountStatus becomes the status of the live accounts", settleAccounts},
		{"no AccountStatus leaves the accounts alone", settleNoAccounts},
		{"an unknown grant is ErrNotFound", settleUnknown},
		{"of concurrent settlements exactly one succeeds", settleRace},
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

func (s *state) settle(st connect.Settlement) connect.Grant {
	s.Helper()
	return must[connect.Grant](s)(s.SettleGrant(s.Context(), st))
}

// uncertain leaves grant 1 with a lost answer.
func (s *state) uncertain() {
	s.Helper()
	s.claim(1, "attempt-1")
	must[[]connect.GrantKey](s)(s.MarkSent(s.Context(), "attempt-1", grantKeys(1)))
	st := settlement("attempt-1", 1)
	st.Status, st.Tokens = connect.GrantUncertain, nil
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
		_, err := s.SettleGrant(s.Context(), settlement("attempt-1", generation))
		s.wantError(err, connect.ErrStale)
	}
	s.equal("prior of the next claim", s.claim(1, "attempt-1").Prior, connect.GrantActive)
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
	tryAll(settlement("", 1), settlement("attempt-1", 1)) // nobody holds it
	s.claim(1, "attempt-1")
	tries := []connect.Settlement{
		settlement("attempt-1", 0),
		settlement("attempt-1", 2),
		settlement("attempt-2", 1),
		settlement("", 1),
	}
	tryAll(tries...)
	must[[]connect.GrantKey](s)(s.MarkSent(s.Context(), "attempt-1", grantKeys(1)))
	tryAll(tries...)
}

func settleLate(s *state) {
	s.connected(1)
	s.uncertain()
	got := s.settle(settlement("attempt-0", 1)) // whoever has it
	if got.Status != connect.GrantActive || got.Generation != 2 || string(got.Sealed) != "new tokens" {
		s.Errorf("status %s, generation %d, tokens %q", got.Status, got.Generation, got.Sealed)
	}
}

func settleTooLate(s *state) {
	s.connected(1)
	s.uncertain()
	s.settle(settlement("attempt-1", 1))
	s.claim(1, "attempt-2")
	st := settlement("attempt-2", 2)
	st.Status, st.Tokens = connect.GrantUncertain, nil
	s.settle(st)
	check := s.unchanged(tenant)
	_, err := s.SettleGrant(s.Context(), settlement("attempt-1", 1))
	s.wantError(err, connect.ErrStale)
	check()
}

func settleAfterLease(s *state) {
	s.connected(1)
	s.claim(1, "attempt-1")
	s.advance(time.Hour)
	if got := s.settle(settlement("attempt-1", 1)); got.Generation != 2 {
		s.Errorf("generation %d, want 2", got.Generation)
	}
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

func settleRace(s *state) {
	s.connected(1)
	s.uncertain()
	won, _ := winner(s, race(func(i int) raced[connect.Grant] {
		st := settlement("attempt-1", 1)
		st.Tokens.Sealed = []byte{byte(i)}
		got, err := s.SettleGrant(s.Context(), st)
		return raced[connect.Grant]{got, err}
	}), connect.ErrStale)
	s.equal("stored grant", s.grant(1), won)
}

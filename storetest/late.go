package storetest

import (
	"time"

	"github.com/seed944197df/connect"
)

// What a platform has issued exists nowhere else: an answer counts as long as
// nothing newer was stored, whoever brings it.
func lateTests() []test {
	return []test{
		{"a late answer counts while the grant is uncertain", lateUncertain},
		{"a late answer counts while nobody has the grant", lateActive},
		{"a late answer counts while another has the grant, who has it no more", lateHeld},
		{"a late answer of another generation is ErrStale", lateGeneration},
		{"a late answer counts while the grant is to be revoked, and is revoked with it", lateRevoking},
		{"a late answer counts while the grant is being revoked, and is revoked after it", lateRevoked},
		{"a late answer is ErrStale once the grant is over", lateOver},
		{"an answer after the lease counts while nobody else has the grant", lateAfterLease},
		{"of concurrent answers, late or not, exactly one counts", lateRace},
	}
}

// late settles grant 1 with new tokens, which must be kept.
func (s *state) late(attempt string) {
	s.Helper()
	got := s.settle(settlement(attempt, 1))
	if got.Status != connect.GrantActive || got.Generation != 2 || string(got.Sealed) != "new tokens" {
		s.Errorf("status %s, generation %d, tokens %q", got.Status, got.Generation, got.Sealed)
	}
	s.equal("stored grant", s.grant(1), got)
}

func lateUncertain(s *state) {
	s.connected(1)
	s.uncertain("attempt-1", 1)
	s.late("attempt-0") // whoever has it
}

func lateActive(s *state) {
	s.connected(1)
	s.late("attempt-0")
}

func lateHeld(s *state) {
	s.connected(1)
	s.present("attempt-1")
	s.advance(time.Minute)
	s.present("attempt-2")
	s.late("attempt-1")

	check := s.unchanged(tenant)
	sent := must[[]connect.GrantKey](s)(s.MarkSent(s.Context(), "attempt-2", grantKeys(1)))
	s.equal("grants that the former holder may send", sent, []connect.GrantKey(nil))
	for _, st := range []connect.Settlement{settlement("attempt-2", 1), noTokens("attempt-2", 1), noTokens("attempt-2", 2)} {
		_, err := s.SettleGrant(s.Context(), st)
		s.wantError(err, connect.ErrStale)
	}
	check()
}

func lateGeneration(s *state) {
	s.connected(1)
	s.uncertain("attempt-1", 1)
	s.settle(settlement("attempt-1", 1))
	s.uncertain("attempt-2", 2)
	check := s.unchanged(tenant)
	_, err := s.SettleGrant(s.Context(), settlement("attempt-1", 1))
	s.wantError(err, connect.ErrStale)
	check()
}

// lateToRevoke brings an answer for grant 1 that is to be revoked: its tokens
// are kept, and nothing else changes but that nobody holds it.
func (s *state) lateToRevoke() {
	s.Helper()
	want := s.grant(1)
	st := settlement("attempt-0", want.Generation)
	st.Tokens.Scopes = want.Scopes
	st.Status, st.Reason, st.DueAt, st.Failures, st.RefusedAt = connect.GrantDead, "identity_mismatch", nil, 7, in(time.Hour)
	want.Status, want.Attempt, want.LeaseUntil, want.SentAt, want.Presented = connect.GrantRevoking, "", time.Time{}, nil, 0
	want.Generation++
	want.Sealed, want.AccessExpiry, want.RefreshExpiry = st.Tokens.Sealed, st.Tokens.AccessExpiry, st.Tokens.RefreshExpiry
	got := s.settle(st)
	want.UpdatedAt = got.UpdatedAt
	s.equal("settled grant", got, want)
	s.equal("stored grant", s.grant(1), want)
}

func lateRevoking(s *state) {
	s.connected(1)
	s.uncertain("attempt-0", 1)
	s.release("account-1")
	s.lateToRevoke()
	claimed := s.claim(1, "attempt-1")
	s.equal("prior", claimed.Prior, connect.GrantRevoking)
	s.equal("tokens to revoke", string(claimed.Sealed), "new tokens")
}

func lateRevoked(s *state) {
	s.connected(1)
	s.release("account-1")
	s.claim(1, "attempt-1")
	s.lateToRevoke()
	check := s.unchanged(tenant)
	dead := noTokens("attempt-1", 1) // what was revoked is no longer all
	dead.Status, dead.Wipe = connect.GrantDead, true
	_, err := s.SettleGrant(s.Context(), dead)
	s.wantError(err, connect.ErrStale)
	check()
	s.claim(1, "attempt-2")
	s.markSent("attempt-2", 1)
	s.lateToRevoke()
}

func lateOver(s *state) {
	s.connected(1)
	s.release("account-1")
	s.claim(1, "attempt-1")
	dead := noTokens("attempt-1", 1)
	dead.Status = connect.GrantDead
	s.settle(dead)
	check := s.unchanged(tenant)
	_, err := s.SettleGrant(s.Context(), settlement("attempt-0", 1))
	s.wantError(err, connect.ErrStale)
	check()
}

func lateAfterLease(s *state) {
	s.connected(1)
	s.claim(1, "attempt-1")
	s.advance(time.Hour)
	s.late("attempt-1")
}

// lateRace lets the holder and those who held the grant before answer at once.
func lateRace(s *state) {
	s.connected(1)
	s.present("attempt-1")
	s.advance(time.Minute)
	s.present("attempt-2")
	won, _ := winner(s, race(func(i int) raced[connect.Grant] {
		st := settlement([]string{"attempt-1", "attempt-2"}[i%2], 1)
		st.Tokens.Sealed = []byte{byte(i)}
		got, err := s.SettleGrant(s.Context(), st)
		return raced[connect.Grant]{got, err}
	}), connect.ErrStale)
	s.equal("stored grant", s.grant(1), won)
}

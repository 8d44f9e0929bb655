package storetest

import (
	"time"

	"github.com/seed944197df/connect"
)

func sentTests() []test {
	return []test{
		{"MarkSent finds by id and by key", sentByKey},
		{"MarkSent returns only what the attempt holds", sentHolders},
		{"a lease that has run out holds nothing", sentTooLate},
		{"an empty attempt holds nothing", sentByNobody},
		{"MarkSent counts, and keeps when a token was first presented", sentCounts},
		{"RenewClaims gives what the attempt holds a new lease", renewHeld},
		{"RenewClaims leaves the others alone", renewOthers},
	}
}

// markSent marks grants that the attempt holds.
func (s *state) markSent(attempt string, numbers ...int) {
	s.Helper()
	got := must[[]connect.GrantKey](s)(s.MarkSent(s.Context(), attempt, grantKeys(numbers...)))
	s.equal("marked grants", got, grantKeys(numbers...))
}

func sentByKey(s *state) {
	s.commit(newCommit(1))
	s.claim(1, "attempt-1")
	for _, keys := range [][]connect.GrantKey{grantKeys(1), {newGrant(1).Key()}} {
		got := must[[]connect.GrantKey](s)(s.MarkSent(s.Context(), "attempt-1", keys))
		s.equal("marked grants", got, keys)
	}
}

func sentHolders(s *state) {
	for i := range 4 {
		s.commit(newCommit(i))
	}
	s.claim(0, "attempt-1")
	s.claim(1, "attempt-2")
	s.claim(3, "attempt-1")
	check := func(attempt string, want ...int) {
		s.Helper()
		keys := append(grantKeys(0, 1, 2, 3, 9), connect.GrantKey{Tenant: "tenant-2", ID: "grant-0"})
		got := must[[]connect.GrantKey](s)(s.MarkSent(s.Context(), attempt, keys))
		s.equal("grants that "+attempt+" holds", got, grantKeys(want...))
	}
	check("attempt-3")
	check("")
	check("attempt-1", 0, 3)
	check("attempt-1", 0, 3) // again: it still holds them
	for i, want := range []connect.GrantStatus{connect.GrantSent, connect.GrantClaimed, connect.GrantActive, connect.GrantSent} {
		s.equal("status", s.grant(i).Status, want)
	}
}

func sentTooLate(s *state) {
	s.commit(newCommit(1))
	s.claim(1, "attempt-1")
	s.advance(time.Minute)
	got := must[[]connect.GrantKey](s)(s.MarkSent(s.Context(), "attempt-1", grantKeys(1)))
	s.equal("grants after the lease", got, []connect.GrantKey(nil))
	s.equal("status", s.grant(1).Status, connect.GrantClaimed)
}

func sentByNobody(s *state) {
	s.commit(newCommit(1))
	_, _ = s.tryClaim(1, "") // whether it gets the grant or not
	got := must[[]connect.GrantKey](s)(s.MarkSent(s.Context(), "", grantKeys(1)))
	s.equal("grants that nobody holds", got, []connect.GrantKey(nil))
	_, err := s.SettleGrant(s.Context(), noTokens("", 1))
	s.wantError(err, connect.ErrStale)
}

// sentCounts loses the claim between two presentations.
func sentCounts(s *state) {
	s.commit(newCommit(1))
	for i, attempt := range []string{"attempt-1", "attempt-2"} {
		s.advance(time.Minute)
		s.claim(1, attempt)
		g := s.grant(1)
		if g.Presented != 2*i || (g.SentAt != nil) != (i > 0) {
			s.Errorf("claimed for the %d. time: presented %d times, first at %v", i+1, g.Presented, g.SentAt)
		}
		s.markSent(attempt, 1)
		s.advance(time.Second)
		s.markSent(attempt, 1)
		g = s.grant(1)
		s.equal("how often it was presented", g.Presented, 2*i+2)
		s.equal("when it first was", g.SentAt, in(time.Minute))
	}
}

func renewHeld(s *state) {
	s.commit(newCommit(1))
	s.commit(newCommit(2))
	s.claim(1, "attempt-1")
	s.claim(2, "attempt-1")
	s.markSent("attempt-1", 2)
	s.advance(time.Minute - time.Second)
	want := []connect.Grant{s.grant(1), s.grant(2)}
	keys := []connect.GrantKey{newGrant(1).Key(), grantKeys(2)[0]}
	s.ok(s.RenewClaims(s.Context(), "attempt-1", keys, time.Hour))
	for i := range want {
		got := s.grant(i + 1)
		want[i].LeaseUntil, want[i].UpdatedAt = s.now().Add(time.Hour), got.UpdatedAt
		s.equal("renewed grant", got, want[i])
	}
	s.advance(time.Minute)
	s.notClaimed(1, connect.ErrConflict)
}

func renewOthers(s *state) {
	for n := range 4 {
		s.commit(newCommit(n))
	}
	s.claim(1, "attempt-1") // runs out before the others
	s.advance(time.Minute)
	s.claim(2, "attempt-2")
	s.claim(3, "attempt-1")
	want := s.grant(3)
	check := s.unchanged(tenant)
	s.ok(s.RenewClaims(s.Context(), "attempt-1", grantKeys(0, 1, 2, 9), time.Hour))
	s.ok(s.RenewClaims(s.Context(), "attempt-9", grantKeys(0, 1, 2, 3), time.Hour))
	s.ok(s.RenewClaims(s.Context(), "", grantKeys(0, 1, 2, 3), time.Hour))
	check()
	s.equal("a grant that was not named", s.grant(3), want)
	s.claim(1, "attempt-2")
}

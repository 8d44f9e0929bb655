package storetest

import (
	"strconv"
	"time"

	"github.com/seed944197df/connect"
)

func claimTests() []test {
	return []test{
		{"ReadGrant finds by id and by key", grantRead},
		{"ReadGrant returns ErrNotFound", grantNotFound},
		{"ClaimGrant finds by id and by key", claimByKey},
		{"ClaimGrant of an unknown grant is ErrNotFound", claimUnknown},
		{"a claim returns the grant as it is now, its prior status and the clock", claimOne},
		{"an active, uncertain or revoking grant may be claimed, a dead one not", claimStatuses},
		{"a held grant is not given away before its lease has run out", claimHeld},
		{"a claim of one grant does not wait until it is due", claimNotDue},
		{"a prior of sent, uncertain or revoking survives a lost claim", claimKeepsPrior},
		{"of concurrent claims for one grant exactly one succeeds", claimRace},
	}
}

// claim claims grant n, which must succeed, for a minute.
func (s *state) claim(n int, attempt string) connect.ClaimedGrant {
	s.Helper()
	return must[connect.ClaimedGrant](s)(s.tryClaim(n, attempt))
}

func (s *state) tryClaim(n int, attempt string) (connect.ClaimedGrant, error) {
	return s.ClaimGrant(s.Context(), grantKeys(n)[0], attempt, time.Minute)
}

// notClaimed checks that grant n cannot be claimed.
func (s *state) notClaimed(n int, want error) {
	s.Helper()
	_, err := s.tryClaim(n, "attempt-9")
	s.wantError(err, want)
}

// grantKeys returns the keys of grants, by id.
func grantKeys(numbers ...int) []connect.GrantKey {
	var keys []connect.GrantKey
	for _, n := range numbers {
		keys = append(keys, connect.GrantKey{Tenant: tenant, ID: newGrant(n).ID})
	}
	return keys
}

func grantRead(s *state) {
	s.commit(newCommit(1))
	s.commit(newCommit(2))
	want := newGrant(2)
	s.equal("by id", s.grant(2), want)
	s.equal("by key", must[connect.Grant](s)(s.ReadGrant(s.Context(), want.Key())), want)
}

func grantNotFound(s *state) {
	s.commit(newCommit(1))
	g := newGrant(1)
	for name, key := range map[string]connect.GrantKey{
		"nothing":        {Tenant: tenant},
		"unknown id":     {Tenant: tenant, ID: "grant-9"},
		"other tenant":   {Tenant: "tenant-2", ID: g.ID},
		"other platform": {Tenant: tenant, Platform: "x", ClientID: g.ClientID, Subject: g.Subject},
		"other client":   {Tenant: tenant, Platform: g.Platform, ClientID: "client-2", Subject: g.Subject},
		"other subject":  {Tenant: tenant, Platform: g.Platform, ClientID: g.ClientID, Subject: "subject-9"},
	} {
		if _, err := s.ReadGrant(s.Context(), key); err == nil {
			s.Errorf("%s: found a grant", name)
		} else {
			s.wantError(err, connect.ErrNotFound)
		}
	}
}

func claimByKey(s *state) {
	s.commit(newCommit(1))
	s.commit(newCommit(2))
	for n, key := range map[int]connect.GrantKey{1: grantKeys(1)[0], 2: newGrant(2).Key()} {
		got := must[connect.ClaimedGrant](s)(s.ClaimGrant(s.Context(), key, "attempt-1", time.Minute))
		s.equal("claimed grant", got.ID, newGrant(n).ID)
	}
}

func claimUnknown(s *state) {
	s.commit(newCommit(1))
	s.notClaimed(6, connect.ErrNotFound)
	key := newGrant(1).Key()
	key.Subject = "subject-9"
	_, err := s.ClaimGrant(s.Context(), key, "attempt-1", time.Minute)
	s.wantError(err, connect.ErrNotFound)
}

func claimOne(s *state) {
	s.commit(newCommit(1))
	s.advance(time.Second)
	got := s.claim(1, "attempt-1")
	s.claimedNow(got, newGrant(1))
}

// claimedNow checks what attempt-1 got when it claimed a grant, which was
// active, for a minute.
func (s *state) claimedNow(got connect.ClaimedGrant, want connect.Grant) {
	s.Helper()
	want.Status = connect.GrantClaimed
	want.Attempt = "attempt-1"
	want.LeaseUntil = s.now().Add(time.Minute)
	want.UpdatedAt = got.UpdatedAt
	s.equal("claimed grant", got, connect.ClaimedGrant{Grant: want, Prior: connect.GrantActive, Now: s.now()})
	s.equal("stored grant", must[connect.Grant](s)(s.ReadGrant(s.Context(), connect.GrantKey{Tenant: want.Tenant, ID: want.ID})), want)
}

func claimStatuses(s *state) {
	for i, status := range []connect.GrantStatus{connect.GrantActive, connect.GrantUncertain, connect.GrantRevoking} {
		c := emptyCommit(i)
		c.Grant.Status = status
		s.commit(c)
		s.equal("prior", s.claim(i, "attempt-1").Prior, status)
	}
	c := emptyCommit(5)
	c.Grant.Status = connect.GrantDead
	s.commit(c)
	s.notClaimed(5, connect.ErrConflict)
}

func claimHeld(s *state) {
	s.commit(newCommit(1))
	s.claim(1, "attempt-1")
	s.advance(time.Minute - time.Second)
	check := s.unchanged(tenant)
	s.notClaimed(1, connect.ErrConflict)
	check()
	s.advance(time.Second)
	got := s.claim(1, "attempt-2")
	if got.Prior != connect.GrantClaimed || got.Attempt != "attempt-2" {
		s.Errorf("prior %s, attempt %q", got.Prior, got.Attempt)
	}
	_, err := s.SettleGrant(s.Context(), noTokens("attempt-1", 1))
	s.wantError(err, connect.ErrStale)
}

func claimNotDue(s *state) {
	for i, due := range []*time.Time{nil, in(time.Hour)} {
		c := newCommit(i)
		c.Grant.DueAt = due
		s.commit(c)
		s.claim(i, "attempt-1")
	}
}

// claimKeepsPrior loses claims of both kinds.
func claimKeepsPrior(s *state) {
	for i, status := range []connect.GrantStatus{connect.GrantSent, connect.GrantUncertain, connect.GrantRevoking} {
		c := emptyCommit(i)
		if status != connect.GrantSent {
			c.Grant.Status = status
		}
		s.commit(c)
		s.claim(i, "attempt-1")
		if status == connect.GrantSent {
			s.markSent("attempt-1", i)
		}
		s.advance(time.Minute)
		s.equal("prior of a claim", s.claim(i, "attempt-2").Prior, status)
		s.advance(time.Minute)
		for _, g := range s.claimDue(connect.DueClaim{N: 9, Attempt: "attempt-3", Lease: time.Minute}).Grants {
			if g.ID == c.Grant.ID {
				s.equal("prior of a claim of many", g.Prior, status)
			}
		}
		s.advance(time.Minute)
		s.equal("prior of the last claim", s.claim(i, "attempt-4").Prior, status)
	}
}

func claimRace(s *state) {
	s.commit(newCommit(1))
	won, _ := winner(s, race(func(i int) raced[connect.ClaimedGrant] {
		got, err := s.tryClaim(1, strconv.Itoa(i))
		return raced[connect.ClaimedGrant]{got, err}
	}), connect.ErrConflict)
	s.equal("stored grant", s.grant(1), won.Grant)
}

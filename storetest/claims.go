package storetest

import (
	"maps"
	"strconv"
	"time"

	"github.com/seed944197df/connect"
)

func claimTests() []test {
	return []test{
		{"ReadGrant finds by id and by key", grantRead},
		{"ReadGrant returns ErrNotFound", grantNotFound},
		{"a claim returns the grant as it is now and its prior status", claimOne},
		{"an active, uncertain or revoking grant may be claimed, a dead one not", claimStatuses},
		{"a held grant is not given away before its lease has run out", claimHeld},
		{"a claim of one grant does not wait until it is due", claimNotDue},
		{"a claim of many gets what is due, at most N", claimDue},
		{"what is due longest comes first", claimLongestDue},
		{"a claim of many for one tenant gets that tenant's only", claimDueOfTenant},
		{"a prior of sent, uncertain or revoking survives a lost claim", claimKeepsPrior},
		{"of concurrent claims for one grant one gets it", claimRace},
		{"of concurrent claims for many no grant goes out twice", claimManyRace},
		{"MarkSent finds by id and by key", sentByKey},
		{"MarkSent returns only what the attempt holds", sentHolders},
		{"a lease that has run out holds nothing", sentTooLate},
		{"an empty attempt holds nothing", sentByNobody},
	}
}

// claim claims grant n, which must succeed, for a minute.
func (s *state) claim(n int, attempt string) connect.ClaimedGrant {
	s.Helper()
	got := s.tryClaim(n, attempt)
	if len(got) != 1 {
		s.Fatalf("grant %d could not be claimed", n)
	}
	return got[0]
}

func (s *state) tryClaim(n int, attempt string) []connect.ClaimedGrant {
	s.Helper()
	claim := connect.GrantClaim{Tenant: tenant, ID: newGrant(n).ID, Attempt: attempt, Lease: time.Minute}
	return must[[]connect.ClaimedGrant](s)(s.ClaimGrants(s.Context(), claim))
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

func claimOne(s *state) {
	s.commit(newCommit(1))
	got := s.claim(1, "attempt-1")
	want := newGrant(1)
	want.Status = connect.GrantClaimed
	want.Attempt = "attempt-1"
	want.LeaseUntil = got.LeaseUntil
	want.UpdatedAt = got.UpdatedAt
	s.equal("claimed grant", got, connect.ClaimedGrant{Grant: want, Prior: connect.GrantActive})
	s.equal("stored grant", s.grant(1), want)
	if d := got.LeaseUntil.Sub(s.now()); d != time.Minute {
		s.Errorf("the lease runs for %v, want a minute", d)
	}
}

func claimStatuses(s *state) {
	for i, status := range []connect.GrantStatus{connect.GrantActive, connect.GrantUncertain, connect.GrantRevoking} {
		c := newCommit(i)
		c.Grant.Status = status
		s.commit(c)
		s.equal("prior", s.claim(i, "attempt-1").Prior, status)
	}
	c := newCommit(5)
	c.Grant.Status, c.Grant.DueAt = connect.GrantDead, in(-time.Hour)
	s.commit(c)
	s.equal("claims of a dead grant", s.tryClaim(5, "attempt-1"), []connect.ClaimedGrant(nil))
	s.equal("claims of an unknown grant", s.tryClaim(6, "attempt-1"), []connect.ClaimedGrant(nil))
	due := must[[]connect.ClaimedGrant](s)(s.ClaimGrants(s.Context(), connect.GrantClaim{N: 9, Attempt: "a", Lease: time.Minute}))
	s.equal("a dead grant that was due", due, []connect.ClaimedGrant(nil))
}

func claimHeld(s *state) {
	s.commit(newCommit(1))
	s.claim(1, "attempt-1")
	s.advance(time.Minute - time.Second)
	s.equal("claims of a held grant", s.tryClaim(1, "attempt-2"), []connect.ClaimedGrant(nil))
	s.advance(time.Second)
	got := s.claim(1, "attempt-2")
	if got.Prior != connect.GrantClaimed || got.Attempt != "attempt-2" {
		s.Errorf("prior %s, attempt %q", got.Prior, got.Attempt)
	}
	_, err := s.SettleGrant(s.Context(), settlement("attempt-1", 1))
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

func claimDue(s *state) {
	for i, due := range []*time.Time{nil, in(time.Hour), in(time.Minute), in(2 * time.Minute), in(3 * time.Minute), in(time.Hour)} {
		c := newCommit(i)
		c.Grant.DueAt = due
		s.commit(c)
	}
	s.claim(5, "attempt-0") // its lease runs out in a minute
	claim := connect.GrantClaim{N: 3, Attempt: "attempt-1", Lease: time.Hour}
	claimDue := func() map[string]connect.GrantStatus {
		got := map[string]connect.GrantStatus{}
		for _, g := range must[[]connect.ClaimedGrant](s)(s.ClaimGrants(s.Context(), claim)) {
			got[g.ID] = g.Prior
		}
		return got
	}
	s.equal("before the first is due", claimDue(), map[string]connect.GrantStatus{})
	s.advance(3 * time.Minute)
	first, second := claimDue(), claimDue()
	if len(first) != 3 || len(second) != 1 {
		s.Errorf("%d and %d grants were claimed, want 3 and the last 1", len(first), len(second))
	}
	maps.Copy(first, second)
	s.equal("claimed grants", first, map[string]connect.GrantStatus{
		"grant-2": connect.GrantActive,
		"grant-3": connect.GrantActive,
		"grant-4": connect.GrantActive,
		"grant-5": connect.GrantClaimed,
	})
	claim.N = 0
	s.advance(time.Hour)
	s.equal("none of many", claimDue(), map[string]connect.GrantStatus{})
}

// claimMany returns the ids of the grants that claim gets.
func (s *state) claimMany(claim connect.GrantClaim) []string {
	s.Helper()
	var ids []string
	for _, g := range must[[]connect.ClaimedGrant](s)(s.ClaimGrants(s.Context(), claim)) {
		ids = append(ids, g.ID)
	}
	return ids
}

func claimLongestDue(s *state) {
	for i, due := range []*time.Time{in(3 * time.Minute), in(time.Minute), in(4 * time.Minute), in(2 * time.Minute)} {
		c := newCommit(i)
		c.Grant.DueAt = due
		s.commit(c)
	}
	s.advance(time.Hour)
	claim := connect.GrantClaim{N: 2, Attempt: "attempt-1", Lease: time.Minute}
	s.equal("first claim", s.claimMany(claim), []string{"grant-1", "grant-3"})
	s.equal("second claim", s.claimMany(claim), []string{"grant-0", "grant-2"})
}

func claimDueOfTenant(s *state) {
	s.commit(newCommit(1))
	c := newCommit(2)
	c.Flow.Tenant, c.Grant.Tenant, c.Accounts[0].Tenant = "tenant-2", "tenant-2", "tenant-2"
	s.commit(c)
	s.advance(time.Hour)
	claim := connect.GrantClaim{Tenant: "tenant-2", N: 9, Attempt: "attempt-1", Lease: time.Minute}
	s.equal("grants of one tenant", s.claimMany(claim), []string{"grant-2"})
	claim.Tenant = ""
	s.equal("the rest", s.claimMany(claim), []string{"grant-1"})
}

func claimKeepsPrior(s *state) {
	for i, status := range []connect.GrantStatus{connect.GrantSent, connect.GrantUncertain, connect.GrantRevoking} {
		c := newCommit(i)
		if status != connect.GrantSent {
			c.Grant.Status = status
		}
		s.commit(c)
		s.claim(i, "attempt-1")
		if status == connect.GrantSent {
			must[[]connect.GrantKey](s)(s.MarkSent(s.Context(), "attempt-1", grantKeys(i)))
		}
		for _, attempt := range []string{"attempt-2", "attempt-3"} {
			s.advance(time.Minute)
			s.equal("prior", s.claim(i, attempt).Prior, status)
		}
	}
}

func claimRace(s *state) {
	s.commit(newCommit(1))
	winners := 0
	for _, r := range race(func(i int) raced[[]connect.ClaimedGrant] {
		claim := connect.GrantClaim{Tenant: tenant, ID: "grant-1", Attempt: strconv.Itoa(i), Lease: time.Minute}
		got, err := s.ClaimGrants(s.Context(), claim)
		return raced[[]connect.ClaimedGrant]{got, err}
	}) {
		s.ok(r.err)
		winners += len(r.value)
	}
	if winners != 1 {
		s.Errorf("%d claims got the grant, want 1", winners)
	}
}

func claimManyRace(s *state) {
	const grants = 20
	for i := range grants {
		c := newCommit(i)
		c.Grant.DueAt = in(0)
		s.commit(c)
	}
	seen := map[string]int{}
	for _, r := range race(func(i int) raced[[]connect.ClaimedGrant] {
		got, err := s.ClaimGrants(s.Context(), connect.GrantClaim{N: 3, Attempt: strconv.Itoa(i), Lease: time.Minute})
		return raced[[]connect.ClaimedGrant]{got, err}
	}) {
		s.ok(r.err)
		for _, g := range r.value {
			seen[g.ID]++
		}
	}
	for id, n := range seen {
		if n != 1 {
			s.Errorf("%s was claimed %d times", id, n)
		}
	}
	if len(seen) != grants {
		s.Errorf("%d grants were claimed, want %d", len(seen), grants)
	}
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
	s.tryClaim(1, "") // whether it gets the grant or not
	got := must[[]connect.GrantKey](s)(s.MarkSent(s.Context(), "", grantKeys(1)))
	s.equal("grants that nobody holds", got, []connect.GrantKey(nil))
	_, err := s.SettleGrant(s.Context(), settlement("", 1))
	s.wantError(err, connect.ErrStale)
}

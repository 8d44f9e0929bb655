package storetest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/seed944197df/connect"
)

func dueTests() []test {
	return []test{
		{"ClaimDueGrants returns grants as they are now, their prior status and the clock", dueOne},
		{"it gets what is due of its platform, at most N", dueBounded},
		{"a dead grant is never due", dueDead},
		{"what may have been sent comes first, then what is due longest", dueOrder},
		{"where more are due, half of N is for the tenants in turn", dueTurn},
		{"where no more are due, the turn stays where it is", dueTurnStays},
		{"the tenants of Except are left alone, in the turn as well", dueExcept},
		{"of concurrent claims no grant goes out twice", dueRace},
	}
}

// claimDue claims grants of the builders' platform, unless claim has another.
func (s *state) claimDue(claim connect.DueClaim) connect.DueGrants {
	s.Helper()
	if claim.Platform == "" {
		claim.Platform = newGrant(1).Platform
	}
	return must[connect.DueGrants](s)(s.ClaimDueGrants(s.Context(), claim))
}

func idsOf(got connect.DueGrants) []string {
	var ids []string
	for _, g := range got.Grants {
		ids = append(ids, g.ID)
	}
	return ids
}

// dueGrant stores grant n, which is due at a time, or never, without accounts.
func (s *state) dueGrant(n int, due *time.Time) {
	s.Helper()
	c := emptyCommit(n)
	c.Grant.DueAt = due
	s.commit(c)
}

func dueOne(s *state) {
	s.dueGrant(1, in(time.Second))
	s.advance(time.Second)
	got := s.claimDue(connect.DueClaim{N: 1, Attempt: "attempt-1", Lease: time.Minute})
	if len(got.Grants) != 1 {
		s.Fatalf("%d grants, want 1", len(got.Grants))
	}
	want := newGrant(1)
	want.DueAt = in(time.Second)
	s.claimedNow(got.Grants[0], want)
}

func dueBounded(s *state) {
	for i, due := range []*time.Time{nil, in(time.Hour), in(time.Minute), in(2 * time.Minute), in(3 * time.Minute), in(time.Hour)} {
		s.dueGrant(i, due)
	}
	elsewhere := emptyCommit(6)
	elsewhere.Grant.Platform, elsewhere.Grant.DueAt = "x", in(0)
	s.commit(elsewhere)
	s.claim(5, "attempt-0") // its lease runs out in a minute
	claim := connect.DueClaim{N: 3, Attempt: "attempt-1", Lease: time.Hour}
	claimDue := func() map[string]connect.GrantStatus {
		got := map[string]connect.GrantStatus{}
		for _, g := range s.claimDue(claim).Grants {
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

func dueDead(s *state) {
	for i, status := range []connect.GrantStatus{connect.GrantDead, connect.GrantRevoking, connect.GrantUncertain} {
		c := emptyCommit(i)
		c.Grant.Status, c.Grant.DueAt = status, in(0)
		s.commit(c)
	}
	ids := idsOf(s.claimDue(connect.DueClaim{N: 9, Attempt: "attempt-1", Lease: time.Minute}))
	slices.Sort(ids)
	s.equal("grants that were due", ids, []string{"grant-1", "grant-2"})
}

// dueOrder has two grants that are due longest, and three of which nobody knows
// what became of them.
func dueOrder(s *state) {
	for i, minute := range []int{2, 1, 40, 40} {
		s.dueGrant(i, in(time.Duration(minute)*time.Minute))
	}
	uncertain := emptyCommit(4)
	uncertain.Grant.Status, uncertain.Grant.DueAt = connect.GrantUncertain, in(20*time.Minute)
	s.commit(uncertain)
	for _, n := range []int{2, 3} { // sent, and lost at minute 10 and 11
		s.advance(time.Duration(n-2) * time.Minute)
		must[connect.ClaimedGrant](s)(s.ClaimGrant(s.Context(), grantKeys(n)[0], "attempt-0", 10*time.Minute))
		s.markSent("attempt-0", n)
	}
	s.advance(time.Hour)
	s.claim(3, "attempt-0") // and once more, without being sent, until an hour and two minutes
	s.advance(time.Hour)

	claim := connect.DueClaim{N: 9, Attempt: "attempt-1", Lease: time.Minute}
	s.equal("all", idsOf(s.claimDue(claim)), []string{"grant-2", "grant-4", "grant-3", "grant-1", "grant-0"})
	s.advance(time.Hour)
	claim.N = 2
	first := idsOf(s.claimDue(claim))
	if len(first) == 0 || !slices.Contains([]string{"grant-2", "grant-3", "grant-4"}, first[0]) {
		s.Errorf("of five that are due, %v come first", first)
	}
}

// dueTurn has a tenant with many grants that are due longest, and three with
// one each.
func dueTurn(s *state) {
	for n := range 10 {
		name := "a"
		if n >= 7 {
			name = "bcd"[n-7 : n-6]
		}
		c := emptyCommit(n)
		c.Flow.Tenant, c.Grant.Tenant, c.Grant.DueAt = name, name, in(time.Duration(n)*time.Minute)
		s.commit(c)
	}
	s.advance(time.Hour)
	claim := connect.DueClaim{N: 4, Attempt: "attempt-1", Lease: time.Hour}
	for i, want := range []struct{ longest, turn []string }{
		{[]string{"grant-0", "grant-1"}, []string{"grant-2", "grant-7"}}, // a and b
		{[]string{"grant-3", "grant-4"}, []string{"grant-8", "grant-9"}}, // c and d
	} {
		got := s.claimDue(claim)
		claim.After = got.After
		ids := idsOf(got)
		s.equal(fmt.Sprintf("claim %d", i+1), slices.Sorted(slices.Values(ids)), slices.Sorted(slices.Values(slices.Concat(want.longest, want.turn))))
	}
	late := emptyCommit(10) // e joins; the turn is at d
	late.Flow.Tenant, late.Grant.Tenant, late.Grant.DueAt = "e", "e", in(time.Hour)
	s.commit(late)
	claim.N, claim.Attempt = 2, "attempt-2"
	s.equal("after the last tenant", slices.Sorted(slices.Values(idsOf(s.claimDue(claim)))), []string{"grant-10", "grant-5"})
	again := emptyCommit(11) // a has more than fits, and is where the turn comes around to
	again.Flow.Tenant, again.Grant.Tenant, again.Grant.DueAt = "a", "a", in(2*time.Minute)
	s.commit(again)
	more := emptyCommit(12)
	more.Flow.Tenant, more.Grant.Tenant, more.Grant.DueAt = "b", "b", in(time.Minute)
	s.commit(more)
	claim.After = "e"
	s.equal("around", slices.Sorted(slices.Values(idsOf(s.claimDue(claim)))), []string{"grant-11", "grant-12"})
}

func dueTurnStays(s *state) {
	s.dueGrant(1, in(0))
	claim := connect.DueClaim{N: 1, After: "b", Attempt: "attempt-1", Lease: time.Minute}
	for _, what := range []string{"one of one", "nothing"} {
		s.equal("where the turn goes on after "+what, s.claimDue(claim).After, "b")
	}
}

// dueExcept has a tenant with what is due longest, and may have been sent, whose
// turn it is.
func dueExcept(s *state) {
	for n, name := range []string{"a", "a", "a", "b", "b", "b"} {
		c := emptyCommit(n)
		c.Flow.Tenant, c.Grant.Tenant, c.Grant.DueAt = name, name, in(time.Duration(n)*time.Minute)
		if n == 0 {
			c.Grant.Status = connect.GrantUncertain
		}
		s.commit(c)
	}
	s.advance(time.Hour)
	claim := connect.DueClaim{Attempt: "attempt-1", Lease: time.Hour}
	for _, step := range []struct {
		n      int
		except []string
		want   []string
	}{
		{2, []string{"a"}, []string{"grant-3", "grant-4"}},
		{9, []string{"a", "b"}, nil},
		{9, []string{"a"}, []string{"grant-5"}},
		{9, nil, []string{"grant-0", "grant-1", "grant-2"}},
	} {
		claim.N, claim.Except = step.n, step.except
		got := s.claimDue(claim)
		claim.After = got.After
		s.equal(fmt.Sprintf("%d but those of %v", step.n, step.except), slices.Sorted(slices.Values(idsOf(got))), step.want)
	}
}

// dueRace has eight claimers, who take what is due until they find nothing.
func dueRace(s *state) {
	const claimers, grants = 8, 60
	for n := range grants {
		c := emptyCommit(n)
		name := "tenant-" + strconv.Itoa(n%7)
		c.Flow.Tenant, c.Grant.Tenant, c.Grant.DueAt = name, name, in(0)
		s.commit(c)
	}
	platform := newGrant(1).Platform
	drain := func(attempt string) (ids []string, err error) {
		claim := connect.DueClaim{Platform: platform, N: 6, Attempt: attempt, Lease: time.Minute}
		for {
			got, err := s.ClaimDueGrants(s.Context(), claim)
			if err != nil || len(got.Grants) == 0 {
				return ids, err
			}
			claim.After = got.After
			ids = append(ids, idsOf(got)...)
		}
	}
	seen := map[string]int{}
	drains := raceOf(claimers, func(i int) raced[[]string] {
		ids, err := drain(strconv.Itoa(i))
		return raced[[]string]{ids, err}
	})
	rest, err := drain("last") // whom the others may have kept from a row
	for _, r := range append(drains, raced[[]string]{rest, err}) {
		s.ok(r.err)
		for _, id := range r.value {
			seen[id]++
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

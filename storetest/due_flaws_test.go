package storetest

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/seed944197df/connect"
)

func dueFlaws() []flaw {
	return []flaw{
		{
			"ClaimDueGrants returns grants as they are now, their prior status and the clock", "a claim of many does not say when it is",
			func(s *flawed) {
				s.claimingDue(func(_ connect.DueClaim, got *connect.DueGrants) {
					for i := range got.Grants {
						got.Grants[i].Now = time.Time{}
					}
				})
			},
		},
		{
			"it gets what is due of its platform, at most N", "who asks for no grant gets one",
			func(s *flawed) {
				s.claimDueGrants = func(ctx context.Context, claim connect.DueClaim) (connect.DueGrants, error) {
					claim.N = max(claim.N, 1)
					return s.sound.ClaimDueGrants(ctx, claim)
				}
			},
		},
		{
			"it gets what is due of its platform, at most N", "who asks for a platform gets another's, too",
			func(s *flawed) {
				s.claimDueGrants = func(ctx context.Context, claim connect.DueClaim) (connect.DueGrants, error) {
					got, err := s.sound.ClaimDueGrants(ctx, claim)
					claim.Platform, claim.N = "x", claim.N-len(got.Grants)
					others, _ := s.sound.ClaimDueGrants(ctx, claim)
					got.Grants = append(got.Grants, others.Grants...)
					return got, err
				}
			},
		},
		{
			"a dead grant is never due", "what is dead is due once more",
			func(s *flawed) {
				s.claimingDue(func(_ connect.DueClaim, got *connect.DueGrants) {
					if g := s.grant(grantKeys(0)[0]); g.Status == connect.GrantDead && g.DueAt != nil {
						got.Grants = append(got.Grants, connect.ClaimedGrant{Grant: g, Prior: g.Status})
					}
				})
			},
		},
		{
			"what may have been sent comes first, then what is due longest", "what is due longest comes last",
			func(s *flawed) {
				s.claimingDue(func(_ connect.DueClaim, got *connect.DueGrants) { slices.Reverse(got.Grants) })
			},
		},
		{
			"what may have been sent comes first, then what is due longest", "what may have been sent comes last",
			func(s *flawed) {
				s.claimingDue(func(_ connect.DueClaim, got *connect.DueGrants) {
					sent := func(g connect.ClaimedGrant) int {
						if g.Prior == connect.GrantSent || g.Prior == connect.GrantUncertain {
							return 1
						}
						return 0
					}
					slices.SortStableFunc(got.Grants, func(a, b connect.ClaimedGrant) int { return cmp.Compare(sent(a), sent(b)) })
				})
			},
		},
		{
			"where more are due, half of N is for the tenants in turn", "the longest due take all",
			func(s *flawed) {
				s.committing(func(c *connect.Commit) {
					if c.Grant != nil {
						s.known.Store(c.Grant.Key(), true)
					}
				})
				s.claimDueGrants = s.claimLongestDue
			},
		},
		{
			"where more are due, half of N is for the tenants in turn", "each turn begins with the first tenant",
			func(s *flawed) {
				s.claimDueGrants = func(ctx context.Context, claim connect.DueClaim) (connect.DueGrants, error) {
					after := claim.After
					claim.After = ""
					got, err := s.sound.ClaimDueGrants(ctx, claim)
					if got.After == "" {
						got.After = after
					}
					return got, err
				}
			},
		},
		{
			"where no more are due, the turn stays where it is", "without a turn the next one begins anew",
			func(s *flawed) {
				s.claimingDue(func(claim connect.DueClaim, got *connect.DueGrants) {
					if got.After == claim.After {
						got.After = ""
					}
				})
			},
		},
		{
			"the tenants of Except are left alone, in the turn as well", "no tenant is left alone",
			func(s *flawed) {
				s.claimDueGrants = func(ctx context.Context, claim connect.DueClaim) (connect.DueGrants, error) {
					claim.Except = nil
					return s.sound.ClaimDueGrants(ctx, claim)
				}
			},
		},
		{
			"the tenants of Except are left alone, in the turn as well", "a tenant is left alone unless something of it may have been sent",
			func(s *flawed) {
				s.claimDueGrants = func(ctx context.Context, claim connect.DueClaim) (connect.DueGrants, error) {
					lost := func(tenant string) bool {
						g, err := s.sound.ReadGrant(ctx, connect.GrantKey{Tenant: tenant, ID: "grant-0"})
						return err == nil && g.Status == connect.GrantUncertain
					}
					claim.Except = slices.DeleteFunc(slices.Clone(claim.Except), lost)
					return s.sound.ClaimDueGrants(ctx, claim)
				}
			},
		},
		{
			"of concurrent claims no grant goes out twice", "due grants are read, and then claimed",
			func(s *flawed) {
				s.claimDueGrants = func(ctx context.Context, claim connect.DueClaim) (connect.DueGrants, error) {
					reading := claim
					reading.Lease = 0
					read, err := s.sound.ClaimDueGrants(ctx, reading)
					yield()
					for i, g := range read.Grants {
						prior := g.Prior
						claimed, err := s.sound.ClaimGrant(ctx, connect.GrantKey{Tenant: g.Tenant, ID: g.ID}, claim.Attempt, claim.Lease)
						if err == nil {
							read.Grants[i], read.Grants[i].Prior = claimed, prior
						}
					}
					return read, err
				}
			},
		},
	}
}

// claimLongestDue claims without regard to tenants where more are due than
// claim asks for. It knows the keys of the grants.
func (s *flawed) claimLongestDue(ctx context.Context, claim connect.DueClaim) (connect.DueGrants, error) {
	var due []connect.Grant
	s.known.Range(func(key, _ any) bool {
		k, _ := key.(connect.GrantKey)
		g := s.grant(k)
		if g.Status == connect.GrantActive && g.DueAt != nil && !g.DueAt.After(s.now()) && g.Platform == claim.Platform && !slices.Contains(claim.Except, g.Tenant) {
			due = append(due, g)
		}
		return true
	})
	if len(due) <= claim.N {
		return s.sound.ClaimDueGrants(ctx, claim)
	}
	slices.SortFunc(due, func(a, b connect.Grant) int { return a.DueAt.Compare(*b.DueAt) })
	got := connect.DueGrants{After: claim.After}
	for _, g := range due[:claim.N] {
		if claimed, err := s.sound.ClaimGrant(ctx, g.Key(), claim.Attempt, claim.Lease); err == nil {
			got.Grants = append(got.Grants, claimed)
		}
	}
	return got, nil
}

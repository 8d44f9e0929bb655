package storetest

import (
	"context"
	"slices"
	"time"

	"github.com/seed944197df/connect"
)

func claimFlaws() []flaw {
	return []flaw{
		{
			"ReadGrant finds by id and by key", "no grant is found by its key",
			func(s *flawed) {
				s.readGrant = func(ctx context.Context, key connect.GrantKey) (connect.Grant, error) {
					key.Subject = ""
					return s.sound.ReadGrant(ctx, key)
				}
			},
		},
		{
			"ReadGrant returns ErrNotFound", "the client of a grant is not compared",
			func(s *flawed) {
				s.readGrant = func(ctx context.Context, key connect.GrantKey) (connect.Grant, error) {
					if key.ID == "" {
						key.ClientID = newGrant(1).ClientID
					}
					return s.sound.ReadGrant(ctx, key)
				}
			},
		},
		{
			"a claim returns the grant as it is now and its prior status", "a claim returns the grant as it was",
			func(s *flawed) {
				s.claiming(func(_ connect.GrantClaim, got []connect.ClaimedGrant) []connect.ClaimedGrant {
					for i := range got {
						got[i].Status = got[i].Prior
					}
					return got
				})
			},
		},
		{
			"an active, uncertain or revoking grant may be claimed, a dead one not", "a dead grant may be claimed",
			func(s *flawed) {
				s.claiming(func(claim connect.GrantClaim, got []connect.ClaimedGrant) []connect.ClaimedGrant {
					if g := s.grant(connect.GrantKey{Tenant: claim.Tenant, ID: claim.ID}); g.Status == connect.GrantDead {
						got = append(got, connect.ClaimedGrant{Grant: g, Prior: g.Status})
					}
					return got
				})
			},
		},
		{
			"a held grant is not given away before its lease has run out", "a lease ends a second early for others",
			func(s *flawed) {
				s.claiming(func(claim connect.GrantClaim, got []connect.ClaimedGrant) []connect.ClaimedGrant {
					g := s.grant(connect.GrantKey{Tenant: claim.Tenant, ID: claim.ID})
					if len(got) == 0 && g.Status == connect.GrantClaimed && g.LeaseUntil.Sub(s.now()) <= time.Second {
						got = append(got, connect.ClaimedGrant{Grant: g, Prior: g.Status})
					}
					return got
				})
			},
		},
		{
			"a claim of one grant does not wait until it is due", "what is never due cannot be claimed",
			func(s *flawed) {
				s.claimGrants = func(ctx context.Context, claim connect.GrantClaim) ([]connect.ClaimedGrant, error) {
					if g := s.grant(connect.GrantKey{Tenant: claim.Tenant, ID: claim.ID}); g.ID != "" && g.DueAt == nil {
						return nil, nil
					}
					return s.sound.ClaimGrants(ctx, claim)
				}
			},
		},
		{
			"a claim of many gets what is due, at most N", "who asks for no grant gets one",
			func(s *flawed) {
				s.claimGrants = func(ctx context.Context, claim connect.GrantClaim) ([]connect.ClaimedGrant, error) {
					claim.N = max(claim.N, 1)
					return s.sound.ClaimGrants(ctx, claim)
				}
			},
		},
		{
			"what is due longest comes first", "what is due longest comes last",
			func(s *flawed) {
				s.claiming(func(_ connect.GrantClaim, got []connect.ClaimedGrant) []connect.ClaimedGrant {
					slices.Reverse(got)
					return got
				})
			},
		},
		{
			"a claim of many for one tenant gets that tenant's only", "a claim of many is one of all tenants",
			func(s *flawed) {
				s.claimGrants = func(ctx context.Context, claim connect.GrantClaim) ([]connect.ClaimedGrant, error) {
					if claim.ID == "" {
						claim.Tenant = ""
					}
					return s.sound.ClaimGrants(ctx, claim)
				}
			},
		},
		{
			"a prior of sent, uncertain or revoking survives a lost claim", "a prior is what was stored last",
			func(s *flawed) {
				s.claimGrants = func(ctx context.Context, claim connect.GrantClaim) ([]connect.ClaimedGrant, error) {
					before := s.grant(connect.GrantKey{Tenant: claim.Tenant, ID: claim.ID})
					got, err := s.sound.ClaimGrants(ctx, claim)
					if claim.ID != "" && len(got) == 1 {
						got[0].Prior = before.Status
					}
					return got, err
				}
			},
		},
		{
			"of concurrent claims for one grant one gets it", "who read that a grant is free gets it",
			func(s *flawed) {
				s.claimGrants = func(ctx context.Context, claim connect.GrantClaim) ([]connect.ClaimedGrant, error) {
					read := s.grant(connect.GrantKey{Tenant: claim.Tenant, ID: claim.ID})
					yield()
					got, err := s.sound.ClaimGrants(ctx, claim)
					if len(got) == 0 && read.Status == connect.GrantActive {
						got = append(got, connect.ClaimedGrant{Grant: read, Prior: read.Status})
					}
					return got, err
				}
			},
		},
		{
			"of concurrent claims for many no grant goes out twice", "due grants are read, and then claimed",
			func(s *flawed) {
				s.claimGrants = func(ctx context.Context, claim connect.GrantClaim) ([]connect.ClaimedGrant, error) {
					if claim.ID != "" {
						return s.sound.ClaimGrants(ctx, claim)
					}
					reading := claim
					reading.Lease = 0
					read, err := s.sound.ClaimGrants(ctx, reading)
					yield()
					for _, g := range read {
						claim.Tenant, claim.ID = g.Tenant, g.ID
						_, _ = s.sound.ClaimGrants(ctx, claim)
					}
					return read, err
				}
			},
		},
		{
			"MarkSent finds by id and by key", "no grant is marked by its key",
			func(s *flawed) {
				s.markSent = func(ctx context.Context, attempt string, keys []connect.GrantKey) ([]connect.GrantKey, error) {
					marked, err := s.sound.MarkSent(ctx, attempt, keys)
					return slices.DeleteFunc(marked, func(key connect.GrantKey) bool { return key.ID == "" }), err
				}
			},
		},
		{
			"MarkSent returns only what the attempt holds", "who marks a grant need not be who holds it",
			func(s *flawed) {
				s.marking(func(attempt string, g connect.Grant) bool {
					return g.Attempt != "" && s.now().Before(g.LeaseUntil)
				})
			},
		},
		{
			"a lease that has run out holds nothing", "who held a grant last holds it",
			func(s *flawed) {
				s.marking(func(attempt string, g connect.Grant) bool { return g.Attempt != "" && g.Attempt == attempt })
			},
		},
		{
			"an empty attempt holds nothing", "an empty attempt holds what it claimed",
			func(s *flawed) {
				s.marking(func(attempt string, g connect.Grant) bool {
					return g.Attempt == attempt && g.Status == connect.GrantClaimed && s.now().Before(g.LeaseUntil)
				})
			},
		},
	}
}

// claiming changes what a claim returns.
func (s *flawed) claiming(change func(claim connect.GrantClaim, got []connect.ClaimedGrant) []connect.ClaimedGrant) {
	s.claimGrants = func(ctx context.Context, claim connect.GrantClaim) ([]connect.ClaimedGrant, error) {
		got, err := s.sound.ClaimGrants(ctx, claim)
		return change(claim, got), err
	}
}

// marking has MarkSent return what it marks, and where also says so.
func (s *flawed) marking(also func(attempt string, g connect.Grant) bool) {
	s.markSent = func(ctx context.Context, attempt string, keys []connect.GrantKey) ([]connect.GrantKey, error) {
		marked, err := s.sound.MarkSent(ctx, attempt, keys)
		for _, key := range keys {
			if !slices.Contains(marked, key) && also(attempt, s.grant(key)) {
				marked = append(marked, key)
			}
		}
		return marked, err
	}
}

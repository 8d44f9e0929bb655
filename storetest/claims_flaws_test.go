package storetest

import (
	"context"
	"errors"
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
			"ClaimGrant finds by id and by key", "no grant is claimed by its key",
			func(s *flawed) {
				s.claiming(func(key connect.GrantKey, got *connect.ClaimedGrant, err error) error {
					if key.ID == "" && err == nil {
						*got, err = connect.ClaimedGrant{}, connect.ErrNotFound
					}
					return err
				})
			},
		},
		{
			"ClaimGrant of an unknown grant is ErrNotFound", "an unknown grant is a held one",
			func(s *flawed) {
				s.claiming(func(key connect.GrantKey, _ *connect.ClaimedGrant, err error) error {
					if errors.Is(err, connect.ErrNotFound) && key.Tenant == tenant {
						err = connect.ErrConflict
					}
					return err
				})
			},
		},
		{
			"a claim returns the grant as it is now, its prior status and the clock", "a claim returns the grant as it was",
			func(s *flawed) {
				s.claiming(func(_ connect.GrantKey, got *connect.ClaimedGrant, err error) error {
					if s.now().Sub(epoch) == time.Second {
						got.Status = got.Prior
					}
					return err
				})
			},
		},
		{
			"an active, uncertain or revoking grant may be claimed, a dead one not", "a dead grant may be claimed",
			func(s *flawed) {
				s.claiming(func(key connect.GrantKey, got *connect.ClaimedGrant, err error) error {
					if g := s.grant(key); g.Status == connect.GrantDead {
						*got, err = connect.ClaimedGrant{Grant: g, Prior: g.Status}, nil
					}
					return err
				})
			},
		},
		{
			"a held grant is not given away before its lease has run out", "a lease ends a second early for others",
			func(s *flawed) {
				s.claiming(func(key connect.GrantKey, got *connect.ClaimedGrant, err error) error {
					g := s.grant(key)
					if errors.Is(err, connect.ErrConflict) && g.Status == connect.GrantClaimed && g.LeaseUntil.Sub(s.now()) <= time.Second {
						*got, err = connect.ClaimedGrant{Grant: g, Prior: g.Status}, nil
					}
					return err
				})
			},
		},
		{
			"a claim of one grant does not wait until it is due", "what is never due cannot be claimed",
			func(s *flawed) {
				s.claimGrant = func(ctx context.Context, key connect.GrantKey, attempt string, lease time.Duration) (connect.ClaimedGrant, error) {
					if g := s.grant(key); g.Status == connect.GrantActive && g.DueAt == nil {
						return connect.ClaimedGrant{}, connect.ErrConflict
					}
					return s.sound.ClaimGrant(ctx, key, attempt, lease)
				}
			},
		},
		{
			"a prior of sent, uncertain or revoking survives a lost claim", "a prior is what was stored last",
			func(s *flawed) {
				s.claimGrant = func(ctx context.Context, key connect.GrantKey, attempt string, lease time.Duration) (connect.ClaimedGrant, error) {
					before := s.grant(key)
					got, err := s.sound.ClaimGrant(ctx, key, attempt, lease)
					if err == nil {
						got.Prior = before.Status
					}
					return got, err
				}
			},
		},
		{
			"a prior of sent, uncertain or revoking survives a lost claim", "a prior is what was stored last, where many are claimed",
			func(s *flawed) {
				s.claimingDue(func(_ connect.DueClaim, got *connect.DueGrants) {
					for i, g := range got.Grants {
						if g.Attempt == "attempt-3" {
							got.Grants[i].Prior = connect.GrantClaimed
						}
					}
				})
			},
		},
		{
			"of concurrent claims for one grant exactly one succeeds", "who read that a grant is free gets it",
			func(s *flawed) {
				s.claimGrant = func(ctx context.Context, key connect.GrantKey, attempt string, lease time.Duration) (connect.ClaimedGrant, error) {
					read := s.grant(key)
					yield()
					got, err := s.sound.ClaimGrant(ctx, key, attempt, lease)
					if errors.Is(err, connect.ErrConflict) && read.Status == connect.GrantActive {
						return connect.ClaimedGrant{Grant: read, Prior: read.Status}, nil
					}
					return got, err
				}
			},
		},
	}
}

// claiming changes what a claim of one grant returns.
func (s *flawed) claiming(change func(key connect.GrantKey, got *connect.ClaimedGrant, err error) error) {
	s.claimGrant = func(ctx context.Context, key connect.GrantKey, attempt string, lease time.Duration) (connect.ClaimedGrant, error) {
		got, err := s.sound.ClaimGrant(ctx, key, attempt, lease)
		err = change(key, &got, err)
		return got, err
	}
}

// claimingDue changes what a claim of many returns.
func (s *flawed) claimingDue(change func(claim connect.DueClaim, got *connect.DueGrants)) {
	s.claimDueGrants = func(ctx context.Context, claim connect.DueClaim) (connect.DueGrants, error) {
		got, err := s.sound.ClaimDueGrants(ctx, claim)
		change(claim, &got)
		return got, err
	}
}

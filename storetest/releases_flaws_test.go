package storetest

import (
	"context"
	"errors"
	"time"

	"github.com/seed944197df/connect"
)

func releaseFlaws() []flaw {
	return []flaw{
		{
			"ReleaseAccount makes a tombstone and wipes its secret", "a tombstone keeps its secret",
			func(s *flawed) {
				s.releasing(func(ctx context.Context, before connect.Account, released *connect.Released) {
					if before.Status != connect.AccountDisconnected {
						released.Account.Sealed = before.Sealed
						released.Account.Version++
						_ = s.sound.WriteAccount(ctx, released.Account, nil)
					}
				})
			},
		},
		{
			"the grant lives while an account is on it", "every release marks the grant for revocation",
			func(s *flawed) {
				s.releasing(func(ctx context.Context, _ connect.Account, released *connect.Released) {
					if g := released.Grant; g.Status == connect.GrantActive && len(g.Sealed) > 0 {
						s.settled(ctx, connect.Settlement{Tenant: g.Tenant, ID: g.ID, Generation: g.Generation, Status: connect.GrantRevoking, DueAt: g.DueAt})
					}
				})
			},
		},
		{
			"the last account out marks the grant for revocation", "a revocation can wait",
			func(s *flawed) {
				s.releasing(func(ctx context.Context, _ connect.Account, released *connect.Released) {
					if g := released.Grant; released.Last {
						due := s.now().Add(time.Hour)
						released.Grant = s.settled(ctx, connect.Settlement{
							Tenant: g.Tenant, ID: g.ID, Generation: g.Generation, Status: connect.GrantRevoking, DueAt: &due,
						})
					}
				})
			},
		},
		{
			"the grant is taken from whoever held it", "whoever held a grant that is to be revoked may go on",
			func(s *flawed) {
				s.releaseAccount = func(ctx context.Context, tenant, id string, events []connect.Event) (connect.Released, error) {
					account := s.account(connect.AccountKey{Tenant: tenant, ID: id})
					holder := s.grant(connect.GrantKey{Tenant: tenant, ID: account.GrantID}).Attempt
					released, err := s.sound.ReleaseAccount(ctx, tenant, id, events)
					if holder != "" && err == nil {
						_, _ = s.sound.ClaimGrant(ctx, connect.GrantKey{Tenant: tenant, ID: account.GrantID}, holder, time.Minute)
					}
					return released, err
				}
			},
		},
		{
			"a grant without tokens is left as it is", "a dead grant is to be revoked",
			func(s *flawed) {
				s.releasing(func(_ context.Context, _ connect.Account, released *connect.Released) {
					released.Last = released.Last || released.Grant.Status == connect.GrantDead
				})
			},
		},
		{
			"a grant without tokens is left as it is", "a grant is to be revoked unless it is dead",
			func(s *flawed) {
				s.releasing(func(_ context.Context, _ connect.Account, released *connect.Released) {
					released.Last = released.Last || released.Grant.Status == connect.GrantActive && len(released.Grant.Sealed) == 0
				})
			},
		},
		{
			"releasing a tombstone changes nothing and returns it", "a tombstone is not found",
			func(s *flawed) {
				s.releaseAccount = func(ctx context.Context, tenant, id string, events []connect.Event) (connect.Released, error) {
					if s.account(connect.AccountKey{Tenant: tenant, ID: id}).Status == connect.AccountDisconnected {
						return connect.Released{}, connect.ErrNotFound
					}
					return s.sound.ReleaseAccount(ctx, tenant, id, events)
				}
			},
		},
		{
			"an account without a stored grant can be released", "an account without a grant is not found",
			func(s *flawed) {
				s.releaseAccount = func(ctx context.Context, tenant, id string, events []connect.Event) (connect.Released, error) {
					if s.account(connect.AccountKey{Tenant: tenant, ID: id}).GrantID == "" {
						return connect.Released{}, connect.ErrNotFound
					}
					return s.sound.ReleaseAccount(ctx, tenant, id, events)
				}
			},
		},
		{
			"an unknown account is ErrNotFound", "the events of an unknown account are written",
			func(s *flawed) {
				s.releaseAccount = func(ctx context.Context, tenant, id string, events []connect.Event) (connect.Released, error) {
					released, err := s.sound.ReleaseAccount(ctx, tenant, id, events)
					if errors.Is(err, connect.ErrNotFound) && len(events) > 0 {
						s.noted(ctx, events)
					}
					return released, err
				}
			},
		},
		{
			"of concurrent releases exactly one is the last", "accounts are counted, and then one is released",
			func(s *flawed) {
				s.releaseAccount = func(ctx context.Context, tenant, id string, events []connect.Event) (connect.Released, error) {
					account := s.account(connect.AccountKey{Tenant: tenant, ID: id})
					left := len(s.accounts(tenant, connect.AccountFilter{GrantID: account.GrantID}))
					yield()
					released, err := s.sound.ReleaseAccount(ctx, tenant, id, events)
					released.Last = released.Last && left == 1
					return released, err
				}
			},
		},
	}
}

// releasing changes what a release returns, and what it has done.
func (s *flawed) releasing(change func(ctx context.Context, before connect.Account, released *connect.Released)) {
	s.releaseAccount = func(ctx context.Context, tenant, id string, events []connect.Event) (connect.Released, error) {
		before := s.account(connect.AccountKey{Tenant: tenant, ID: id})
		released, err := s.sound.ReleaseAccount(ctx, tenant, id, events)
		if err == nil {
			change(ctx, before, &released)
		}
		return released, err
	}
}

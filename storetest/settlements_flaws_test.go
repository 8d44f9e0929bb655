package storetest

import (
	"context"
	"errors"

	"github.com/seed944197df/connect"
)

func settleFlaws() []flaw {
	return []flaw{
		{
			"SettleGrant replaces the tokens and increments the generation", "new tokens have the scopes of the old",
			func(s *flawed) {
				s.settling(func(st *connect.Settlement) {
					if st.Tokens != nil {
						tokens := *st.Tokens
						tokens.Scopes = s.grant(connect.GrantKey{Tenant: st.Tenant, ID: st.ID}).Scopes
						st.Tokens = &tokens
					}
				})
			},
		},
		{
			"without tokens both stay", "an active grant is a generation older",
			func(s *flawed) {
				s.settling(func(st *connect.Settlement) {
					g := s.grant(connect.GrantKey{Tenant: st.Tenant, ID: st.ID})
					if st.Status == connect.GrantActive && st.Tokens == nil {
						st.Tokens = &connect.SealedTokens{Sealed: g.Sealed, Scopes: g.Scopes, AccessExpiry: g.AccessExpiry, RefreshExpiry: g.RefreshExpiry}
					}
				})
			},
		},
		{
			"Wipe removes the sealed tokens", "a dead grant keeps its tokens",
			func(s *flawed) { s.settling(func(st *connect.Settlement) { st.Wipe = false }) },
		},
		{
			"a settled claim is over", "who settled may settle again",
			func(s *flawed) {
				s.settleGrant = func(ctx context.Context, st connect.Settlement) (connect.Grant, error) {
					key := connect.GrantKey{Tenant: st.Tenant, ID: st.ID}
					settled, err := s.sound.SettleGrant(ctx, st)
					if last, _ := s.known.Load(key); errors.Is(err, connect.ErrStale) && last == st.Attempt && s.grant(key).Generation == st.Generation {
						return s.settled(ctx, st), nil
					}
					if err == nil {
						s.known.Store(key, st.Attempt)
					}
					return settled, err
				}
			},
		},
		{
			"another generation or attempt is ErrStale and changes nothing", "accounts change before the claim is looked at",
			func(s *flawed) {
				s.settleGrant = func(ctx context.Context, st connect.Settlement) (connect.Grant, error) {
					settled, err := s.sound.SettleGrant(ctx, st)
					if errors.Is(err, connect.ErrStale) && st.AccountStatus != "" {
						s.setStatus(ctx, st, connect.AccountFilter{GrantID: st.ID})
					}
					return settled, err
				}
			},
		},
		{
			"a late answer counts while the grant is uncertain", "only who lost the answer may bring it",
			func(s *flawed) {
				s.settleGrant = func(ctx context.Context, st connect.Settlement) (connect.Grant, error) {
					key := connect.GrantKey{Tenant: st.Tenant, ID: st.ID}
					if last, _ := s.known.Load(key); s.grant(key).Status == connect.GrantUncertain && last != st.Attempt {
						return connect.Grant{}, connect.ErrStale
					}
					s.known.Store(key, st.Attempt)
					return s.sound.SettleGrant(ctx, st)
				}
			},
		},
		{
			"a late answer of another generation is ErrStale", "a late answer may be of any generation",
			func(s *flawed) {
				s.settling(func(st *connect.Settlement) {
					if g := s.grant(connect.GrantKey{Tenant: st.Tenant, ID: st.ID}); g.Status == connect.GrantUncertain {
						st.Generation = g.Generation
					}
				})
			},
		},
		{
			"an answer after the lease counts while nobody else has the grant", "an answer after the lease is stale",
			func(s *flawed) {
				s.settleGrant = func(ctx context.Context, st connect.Settlement) (connect.Grant, error) {
					g := s.grant(connect.GrantKey{Tenant: st.Tenant, ID: st.ID})
					if !g.LeaseUntil.IsZero() && !s.now().Before(g.LeaseUntil) {
						return connect.Grant{}, connect.ErrStale
					}
					return s.sound.SettleGrant(ctx, st)
				}
			},
		},
		{
			"AccountStatus becomes the status of the live accounts", "a settlement brings tombstones to life",
			func(s *flawed) {
				s.settleGrant = func(ctx context.Context, st connect.Settlement) (connect.Grant, error) {
					settled, err := s.sound.SettleGrant(ctx, st)
					if err == nil && st.AccountStatus != "" {
						s.setStatus(ctx, st, connect.AccountFilter{GrantID: st.ID, Status: connect.AccountDisconnected})
					}
					return settled, err
				}
			},
		},
		{
			"no AccountStatus leaves the accounts alone", "without a status the accounts are limited",
			func(s *flawed) {
				s.settling(func(st *connect.Settlement) {
					if st.AccountStatus == "" {
						st.AccountStatus = connect.AccountLimited
					}
				})
			},
		},
		{
			"an unknown grant is ErrNotFound", "an unknown grant without accounts is no error",
			func(s *flawed) {
				s.settleGrant = func(ctx context.Context, st connect.Settlement) (connect.Grant, error) {
					settled, err := s.sound.SettleGrant(ctx, st)
					if errors.Is(err, connect.ErrNotFound) && st.AccountStatus == "" {
						err = nil
					}
					return settled, err
				}
			},
		},
		{
			"of concurrent settlements exactly one succeeds", "who read that a grant is uncertain may settle it",
			func(s *flawed) {
				s.settleGrant = func(ctx context.Context, st connect.Settlement) (connect.Grant, error) {
					read := s.grant(connect.GrantKey{Tenant: st.Tenant, ID: st.ID})
					yield()
					settled, err := s.sound.SettleGrant(ctx, st)
					if errors.Is(err, connect.ErrStale) && read.Status == connect.GrantUncertain && read.Generation == st.Generation {
						return read, nil
					}
					return settled, err
				}
			},
		},
	}
}

// setStatus gives accounts the status that a settlement has for them.
func (s *flawed) setStatus(ctx context.Context, st connect.Settlement, filter connect.AccountFilter) {
	for _, a := range s.accounts(st.Tenant, filter) {
		a.Version++
		a.Status = st.AccountStatus
		_ = s.sound.WriteAccount(ctx, a, nil)
	}
}

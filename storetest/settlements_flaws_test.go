package storetest

import (
	"context"
	"errors"
	"time"

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
			"without tokens both stay", "every settlement is a generation",
			func(s *flawed) {
				s.settleGrant = func(ctx context.Context, st connect.Settlement) (connect.Grant, error) {
					settled, err := s.sound.SettleGrant(ctx, st)
					if st.Tokens == nil && err == nil {
						settled.Generation++
					}
					return settled, err
				}
			},
		},
		{
			"Wipe removes the sealed tokens", "a dead grant keeps its tokens",
			func(s *flawed) { s.settling(func(st *connect.Settlement) { st.Wipe = false }) },
		},
		{
			"SentAt and Presented are kept for uncertain alone", "a dead grant keeps when it was sent",
			func(s *flawed) {
				s.settleGrant = func(ctx context.Context, st connect.Settlement) (connect.Grant, error) {
					if sent := s.grant(connect.GrantKey{Tenant: st.Tenant, ID: st.ID}).SentAt; sent != nil {
						s.known.Store("sent", sent)
					}
					return s.sound.SettleGrant(ctx, st)
				}
				s.readGrant = func(ctx context.Context, key connect.GrantKey) (connect.Grant, error) {
					g, err := s.sound.ReadGrant(ctx, key)
					if kept, _ := s.known.Load("sent"); g.Status == connect.GrantDead && g.SentAt == nil {
						g.SentAt, _ = kept.(*time.Time)
					}
					return g, err
				}
			},
		},
		{
			"an uncertain grant is presented as often as the settlement says", "what was marked was presented",
			func(s *flawed) {
				s.settling(func(st *connect.Settlement) {
					st.Presented = s.grant(connect.GrantKey{Tenant: st.Tenant, ID: st.ID}).Presented
				})
			},
		},
		{
			"a reason to rest, failures and a first refusal are kept", "a first refusal is forgotten",
			func(s *flawed) { s.settling(func(st *connect.Settlement) { st.RefusedAt = nil }) },
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
			"AccountTokenExpired spares accounts with a token of their own", "every account is token_expired",
			func(s *flawed) {
				s.settleGrant = func(ctx context.Context, st connect.Settlement) (connect.Grant, error) {
					settled, err := s.sound.SettleGrant(ctx, st)
					if err == nil && st.AccountStatus == connect.AccountTokenExpired {
						s.setStatus(ctx, st, connect.AccountFilter{GrantID: st.ID})
					}
					return settled, err
				}
			},
		},
		{
			"AccountSuspended spares accounts that do not work anyway", "every account is suspended",
			func(s *flawed) {
				s.settleGrant = func(ctx context.Context, st connect.Settlement) (connect.Grant, error) {
					settled, err := s.sound.SettleGrant(ctx, st)
					if err == nil && st.AccountStatus == connect.AccountSuspended {
						s.setStatus(ctx, st, connect.AccountFilter{GrantID: st.ID})
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

package storetest

import (
	"context"
	"errors"

	"github.com/seed944197df/connect"
)

func lateFlaws() []flaw {
	return []flaw{
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
			"a late answer counts while nobody has the grant", "who never claimed an active grant has no answer for it",
			func(s *flawed) {
				s.answering(func(stored connect.Grant, _ connect.Settlement) bool { return stored.Status != connect.GrantActive })
			},
		},
		{
			"a late answer counts while another has the grant, who has it no more", "only the holder has an answer",
			func(s *flawed) {
				s.answering(func(stored connect.Grant, st connect.Settlement) bool {
					return stored.Attempt == "" || stored.Attempt == st.Attempt || !s.isUsed(stored)
				})
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
			"a late answer counts while the grant is to be revoked, and is revoked with it", "what is to be revoked takes no answer",
			func(s *flawed) {
				s.answering(func(stored connect.Grant, _ connect.Settlement) bool { return stored.Status != connect.GrantRevoking })
			},
		},
		{
			"a late answer counts while the grant is being revoked, and is revoked after it", "what is being revoked takes no answer",
			func(s *flawed) {
				s.answering(func(stored connect.Grant, st connect.Settlement) bool {
					return stored.Attempt == "" || stored.Attempt == st.Attempt || s.isUsed(stored)
				})
			},
		},
		{
			"a late answer is ErrStale once the grant is over", "an answer brings a dead grant to life",
			func(s *flawed) {
				s.settleGrant = func(ctx context.Context, st connect.Settlement) (connect.Grant, error) {
					settled, err := s.sound.SettleGrant(ctx, st)
					if g := s.grant(connect.GrantKey{Tenant: st.Tenant, ID: st.ID}); errors.Is(err, connect.ErrStale) && g.Status == connect.GrantDead {
						return g, nil
					}
					return settled, err
				}
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
			"of concurrent answers, late or not, exactly one counts", "who read the generation is told that the answer counts",
			func(s *flawed) {
				s.settleGrant = func(ctx context.Context, st connect.Settlement) (connect.Grant, error) {
					key := connect.GrantKey{Tenant: st.Tenant, ID: st.ID}
					read := s.grant(key)
					yield()
					settled, err := s.sound.SettleGrant(ctx, st)
					if errors.Is(err, connect.ErrStale) && read.Generation == st.Generation && s.grant(key).Generation > read.Generation {
						return read, nil
					}
					return settled, err
				}
			},
		},
	}
}

// isUsed reports whether the grant has a live account.
func (s *flawed) isUsed(grant connect.Grant) bool {
	live, _, _ := s.sound.ListAccounts(context.Background(), grant.Tenant, connect.AccountFilter{GrantID: grant.ID}, connect.Page{Limit: 1})
	return len(live) > 0
}

// answering refuses settlements that counts does not let through.
func (s *flawed) answering(counts func(stored connect.Grant, st connect.Settlement) bool) {
	s.settleGrant = func(ctx context.Context, st connect.Settlement) (connect.Grant, error) {
		stored := s.grant(connect.GrantKey{Tenant: st.Tenant, ID: st.ID})
		if stored.ID != "" && !counts(stored, st) {
			return connect.Grant{}, connect.ErrStale
		}
		return s.sound.SettleGrant(ctx, st)
	}
}

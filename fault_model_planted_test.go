package connect_test

import (
	"context"
	"errors"
	"time"

	"github.com/seed944197df/connect"
)

// The stores of this file are broken.

func planted(breaks func(*model, connect.Store) connect.Store) func(*setup) {
	return func(s *setup) { s.breaks = breaks }
}

// forgetful does not record what is sent.
type forgetful struct{ connect.Store }

func (forgetful) MarkSent(_ context.Context, _ string, grants []connect.GrantKey) ([]connect.GrantKey, error) {
	return grants, nil
}

// generous gives a grant to whoever asks, as if all were one.
type generous struct {
	connect.Store

	m *model
}

const everybody = "everybody"

// anyway is a grant that somebody has.
func (s generous) anyway(ctx context.Context, key connect.GrantKey) (claimed connect.ClaimedGrant, ok bool) {
	g, err := s.ReadGrant(ctx, key)
	g.Presented, g.SentAt = 0, nil
	ok = err == nil && (g.Status == connect.GrantClaimed || g.Status == connect.GrantSent)
	return connect.ClaimedGrant{Grant: g, Prior: connect.GrantActive, Now: time.Now()}, ok
}

func (s generous) ClaimGrant(ctx context.Context, key connect.GrantKey, _ string, lease time.Duration) (connect.ClaimedGrant, error) {
	claimed, err := s.Store.ClaimGrant(ctx, key, everybody, lease)
	if other, ok := s.anyway(ctx, key); ok && errors.Is(err, connect.ErrConflict) {
		return other, nil
	}
	return claimed, err
}

func (s generous) ClaimDueGrants(ctx context.Context, claim connect.DueClaim) (connect.DueGrants, error) {
	claim.Attempt = everybody
	due, err := s.Store.ClaimDueGrants(ctx, claim)
	for _, a := range s.m.accounts {
		if other, ok := s.anyway(ctx, connect.GrantKey{Tenant: acmeKey.Tenant, ID: a.grant}); ok && len(due.Grants) == 0 {
			due.Grants = append(due.Grants, other)
		}
	}
	return due, err
}

func (s generous) RenewClaims(ctx context.Context, _ string, grants []connect.GrantKey, lease time.Duration) error {
	return s.Store.RenewClaims(ctx, everybody, grants, lease)
}

func (s generous) MarkSent(ctx context.Context, _ string, grants []connect.GrantKey) ([]connect.GrantKey, error) {
	return s.Store.MarkSent(ctx, everybody, grants)
}

func (s generous) SettleGrant(ctx context.Context, st connect.Settlement) (connect.Grant, error) {
	st.Attempt = everybody
	return s.Store.SettleGrant(ctx, st)
}

// careless stores what comes late over what is newer.
type careless struct{ connect.Store }

func (s careless) SettleGrant(ctx context.Context, st connect.Settlement) (connect.Grant, error) {
	grant, err := s.Store.SettleGrant(ctx, st)
	if !errors.Is(err, connect.ErrStale) {
		return grant, err
	}
	if grant, err = s.ReadGrant(ctx, connect.GrantKey{Tenant: st.Tenant, ID: st.ID}); err != nil {
		return grant, err
	}
	st.Generation = grant.Generation
	return s.Store.SettleGrant(ctx, st)
}

// silent ends a grant and leaves its accounts as they are.
type silent struct{ connect.Store }

func (s silent) SettleGrant(ctx context.Context, st connect.Settlement) (connect.Grant, error) {
	st.AccountStatus = ""
	return s.Store.SettleGrant(ctx, st)
}

// hopeful takes a refresh whose answer is lost for one that never was.
type hopeful struct{ connect.Store }

func (s hopeful) SettleGrant(ctx context.Context, st connect.Settlement) (connect.Grant, error) {
	if st.Status == connect.GrantUncertain {
		st.Status = connect.GrantActive
	}
	return s.Store.SettleGrant(ctx, st)
}

package memstore

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/grantclaim"
)

// grantRow is a grant with what its claims leave behind.
type grantRow struct{ grantclaim.Row }

// claimable reports whether the grant may be claimed.
func (r *grantRow) claimable(now time.Time) bool {
	if r.Claimed() {
		return passed(r.LeaseUntil, now)
	}
	return r.Status != connect.GrantDead
}

// dueAt returns when Run should see to the grant, and false for never.
func (r *grantRow) dueAt() (time.Time, bool) {
	switch {
	case r.Claimed():
		return r.LeaseUntil, true
	case r.DueAt == nil || r.Status == connect.GrantDead:
		return time.Time{}, false
	default:
		return *r.DueAt, true
	}
}

// ReadGrant implements [connect.GrantStore].
func (s *Store) ReadGrant(ctx context.Context, key connect.GrantKey) (connect.Grant, error) {
	if err := s.enter(ctx); err != nil {
		return connect.Grant{}, err
	}
	defer s.mu.Unlock()
	row, ok := s.findGrant(key)
	if !ok {
		return connect.Grant{}, connect.ErrNotFound
	}
	return cloneGrant(row.Grant), nil
}

// findGrant returns the stored grant that key names.
func (s *Store) findGrant(key connect.GrantKey) (grantRow, bool) {
	id := key.ID
	if id == "" {
		id = s.grantIDs[key]
	}
	row, ok := s.grants[rowKey{key.Tenant, id}]
	return row, ok
}

// ClaimGrants implements [connect.GrantStore]. Of the grants that are due, the
// longest due come first; a tenant without an id narrows them to that tenant.
func (s *Store) ClaimGrants(ctx context.Context, claim connect.GrantClaim) ([]connect.ClaimedGrant, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	now := s.now()
	var claimed []connect.ClaimedGrant
	for _, row := range s.askedFor(claim, now) {
		row.Claim(claim.Attempt, now.Add(claim.Lease))
		s.grants[rowKey{row.Tenant, row.ID}] = row
		claimed = append(claimed, connect.ClaimedGrant{Grant: cloneGrant(row.Grant), Prior: row.Prior})
	}
	return claimed, nil
}

// askedFor returns the grants that claim asks for and may have.
func (s *Store) askedFor(claim connect.GrantClaim, now time.Time) []grantRow {
	if claim.ID == "" {
		due := s.dueGrants(claim.Tenant, now)
		return due[:min(max(claim.N, 0), len(due))]
	}
	row, ok := s.grants[rowKey{claim.Tenant, claim.ID}]
	if !ok || !row.claimable(now) {
		return nil
	}
	return []grantRow{row}
}

// dueGrants returns the grants that are due, the longest due first.
func (s *Store) dueGrants(tenant string, now time.Time) []grantRow {
	var due []grantRow
	for _, row := range s.grants {
		at, ok := row.dueAt()
		if ok && passed(at, now) && (tenant == "" || tenant == row.Tenant) {
			due = append(due, row)
		}
	}
	slices.SortFunc(due, func(a, b grantRow) int {
		x, _ := a.dueAt()
		y, _ := b.dueAt()
		return cmp.Or(x.Compare(y), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Tenant, b.Tenant))
	})
	return due
}

// MarkSent implements [connect.GrantStore]. A lease that has run out holds
// nothing: another process may claim the grant at any moment.
func (s *Store) MarkSent(ctx context.Context, attempt string, grants []connect.GrantKey) ([]connect.GrantKey, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	now := s.now()
	var held []connect.GrantKey
	for _, key := range grants {
		row, ok := s.findGrant(key)
		if !ok || !row.HeldBy(attempt) || passed(row.LeaseUntil, now) {
			continue
		}
		row.Status = connect.GrantSent
		s.grants[rowKey{row.Tenant, row.ID}] = row
		held = append(held, key)
	}
	return held, nil
}

// SettleGrant implements [connect.GrantStore]. It returns
// [connect.ErrNotFound] where the tenant has no such grant.
func (s *Store) SettleGrant(ctx context.Context, st connect.Settlement) (connect.Grant, error) {
	if err := s.enter(ctx); err != nil {
		return connect.Grant{}, err
	}
	defer s.mu.Unlock()
	row, ok := s.grants[rowKey{st.Tenant, st.ID}]
	if !ok {
		return connect.Grant{}, connect.ErrNotFound
	}
	late := row.Status == connect.GrantUncertain
	if row.Generation != st.Generation || !late && !row.HeldBy(st.Attempt) {
		return connect.Grant{}, connect.ErrStale
	}
	if err := s.settleAccounts(st); err != nil {
		return connect.Grant{}, err
	}
	now := s.now()
	row.Status = st.Status
	row.Reason = st.Reason
	row.DueAt = cloneTime(st.DueAt)
	row.UpdatedAt = now
	row.setTokens(st)
	row.Free()
	s.grants[rowKey{st.Tenant, st.ID}] = row
	return cloneGrant(row.Grant), nil
}

// setTokens replaces or wipes the tokens, as st says.
func (r *grantRow) setTokens(st connect.Settlement) {
	if t := st.Tokens; t != nil {
		r.Generation++
		r.Sealed = slices.Clone(t.Sealed)
		r.Scopes = slices.Clone(t.Scopes)
		r.AccessExpiry = cloneTime(t.AccessExpiry)
		r.RefreshExpiry = cloneTime(t.RefreshExpiry)
	}
	if st.Wipe {
		r.Sealed = nil
	}
}

// settleAccounts gives the grant's live accounts the status of st, and writes
// the events of those whose status this changes.
func (s *Store) settleAccounts(st connect.Settlement) error {
	if st.AccountStatus == "" {
		return nil
	}
	var changed []connect.Account
	var events []connect.Event
	for _, a := range s.liveAccounts(st.Tenant, st.ID) {
		if a.Status == st.AccountStatus {
			continue
		}
		a.Status = st.AccountStatus
		a.Version++
		a.UpdatedAt = s.now()
		changed = append(changed, a)
		for _, e := range st.Events {
			e.ID += "." + a.ID
			e.AccountID = a.ID
			events = append(events, e)
		}
	}
	if err := s.checkEvents(events); err != nil {
		return err
	}
	for _, a := range changed {
		s.keepAccount(a)
	}
	s.putEvents(events)
	return nil
}

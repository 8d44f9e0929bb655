package memstore

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/grantclaim"
)

// grantRow is a grant with what its claims leave behind.
type grantRow struct{ grantclaim.Row }

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

// ClaimGrant implements [connect.GrantStore].
func (s *Store) ClaimGrant(ctx context.Context, key connect.GrantKey, attempt string, lease time.Duration) (connect.ClaimedGrant, error) {
	if err := s.enter(ctx); err != nil {
		return connect.ClaimedGrant{}, err
	}
	defer s.mu.Unlock()
	row, ok := s.findGrant(key)
	if !ok {
		return connect.ClaimedGrant{}, connect.ErrNotFound
	}
	now := s.now()
	if !row.Claimable(now) {
		return connect.ClaimedGrant{}, connect.ErrConflict
	}
	return s.claim(row, attempt, now, lease), nil
}

func (s *Store) claim(row grantRow, attempt string, now time.Time, lease time.Duration) connect.ClaimedGrant {
	row.Claim(attempt, now.Add(lease))
	s.keepGrant(row)
	return connect.ClaimedGrant{Grant: cloneGrant(row.Grant), Prior: row.Prior, Now: now}
}

func (s *Store) keepGrant(row grantRow) { s.grants[rowKey{row.Tenant, row.ID}] = row }

// ClaimDueGrants implements [connect.GrantStore].
func (s *Store) ClaimDueGrants(ctx context.Context, claim connect.DueClaim) (connect.DueGrants, error) {
	if err := s.enter(ctx); err != nil {
		return connect.DueGrants{}, err
	}
	defer s.mu.Unlock()
	now := s.now()
	due, after := shared(s.dueGrants(claim, now), max(claim.N, 0), claim.After)
	result := connect.DueGrants{After: after}
	for _, row := range due {
		result.Grants = append(result.Grants, s.claim(row, claim.Attempt, now, claim.Lease))
	}
	return result, nil
}

// shared returns n of what is due: half as it stands, half by the turn of the
// tenants, and what is left of that again as it stands.
func shared(due []grantRow, n int, after string) (taken []grantRow, turnedTo string) {
	if len(due) <= n {
		return due, after
	}
	half := (n + 1) / 2
	rest := due[half:]
	turn := inTurn(rest, after, n-half)
	rest = slices.DeleteFunc(slices.Clone(rest), func(row grantRow) bool {
		return slices.ContainsFunc(turn, func(taken grantRow) bool { return taken.Tenant == row.Tenant && taken.ID == row.ID })
	})
	taken = slices.Concat(due[:half], rest[:n-half-len(turn)], turn)
	if len(turn) > 0 {
		after = turn[len(turn)-1].Tenant
	}
	return taken, after
}

// inTurn returns the first grant of each tenant, at most n, beginning with the
// tenant after the given one.
func inTurn(due []grantRow, after string, n int) []grantRow {
	first := map[string]grantRow{}
	for _, row := range slices.Backward(due) {
		first[row.Tenant] = row
	}
	tenants := slices.Sorted(maps.Keys(first))
	begin, found := slices.BinarySearch(tenants, after)
	if found {
		begin++
	}
	var turn []grantRow
	for _, tenant := range append(slices.Clone(tenants[begin:]), tenants[:begin]...) {
		if len(turn) < n {
			turn = append(turn, first[tenant])
		}
	}
	return turn
}

// dueGrants returns the grants that are due for claim: those that may have been
// sent first, then the longest due.
func (s *Store) dueGrants(claim connect.DueClaim, now time.Time) []grantRow {
	var due []grantRow
	for _, row := range s.grants {
		if at, ok := row.dueAt(); ok && row.Platform == claim.Platform && passed(at, now) && !slices.Contains(claim.Except, row.Tenant) {
			due = append(due, row)
		}
	}
	slices.SortFunc(due, func(a, b grantRow) int {
		if a.Lost() != b.Lost() {
			if a.Lost() {
				return -1
			}
			return 1
		}
		x, _ := a.dueAt()
		y, _ := b.dueAt()
		return cmp.Or(x.Compare(y), cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.ID, b.ID))
	})
	return due
}

// RenewClaims implements [connect.GrantStore].
func (s *Store) RenewClaims(ctx context.Context, attempt string, grants []connect.GrantKey, lease time.Duration) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	now := s.now()
	for _, key := range grants {
		if row, ok := s.held(key, attempt, now); ok {
			row.LeaseUntil = now.Add(lease)
			s.keepGrant(row)
		}
	}
	return nil
}

// held returns a grant that attempt holds now.
func (s *Store) held(key connect.GrantKey, attempt string, now time.Time) (grantRow, bool) {
	row, ok := s.findGrant(key)
	return row, ok && row.HeldBy(attempt) && !passed(row.LeaseUntil, now)
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
		row, ok := s.held(key, attempt, now)
		if !ok {
			continue
		}
		row.Present(now)
		s.keepGrant(row)
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
	if !row.Accepts(st) {
		return connect.Grant{}, connect.ErrStale
	}
	if err := s.settleAccounts(st); err != nil {
		return connect.Grant{}, err
	}
	row.Settle(st)
	row.Grant = cloneGrant(row.Grant) // what the caller passed stays the caller's
	row.UpdatedAt = s.now()
	s.keepGrant(row)
	return cloneGrant(row.Grant), nil
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
		if !grantclaim.Touches(st, a) {
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

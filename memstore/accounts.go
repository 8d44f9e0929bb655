package memstore

import (
	"cmp"
	"context"
	"slices"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/storerow"
)

// ReadAccount implements [connect.AccountStore].
func (s *Store) ReadAccount(ctx context.Context, key connect.AccountKey) (connect.Account, error) {
	if err := s.enter(ctx); err != nil {
		return connect.Account{}, err
	}
	defer s.mu.Unlock()
	a, ok := s.findAccount(key)
	if !ok {
		return connect.Account{}, connect.ErrNotFound
	}
	return cloneAccount(a), nil
}

// findAccount returns the stored account that key names.
func (s *Store) findAccount(key connect.AccountKey) (connect.Account, bool) {
	id := key.ID
	if id == "" {
		id = s.accountIDs[key]
	}
	a, ok := s.accounts[rowKey{key.Tenant, id}]
	return a, ok
}

// keepAccount stores an account, and its key in place of the earlier one.
func (s *Store) keepAccount(a connect.Account) {
	id := rowKey{a.Tenant, a.ID}
	if former, ok := s.accounts[id]; ok {
		delete(s.accountIDs, former.Key())
	}
	s.accountIDs[a.Key()] = a.ID
	s.accounts[id] = cloneAccount(a)
}

// ListAccounts implements [connect.AccountStore]. The newest account is the one
// with the latest ConnectedAt; where two are equal, the one with the larger id.
func (s *Store) ListAccounts(ctx context.Context, tenant string, filter connect.AccountFilter, page connect.Page) ([]connect.Account, string, error) {
	after, ok := storerow.ParsePosition(page.Cursor)
	if !ok {
		return nil, "", connect.ErrNotFound
	}
	if err := s.enter(ctx); err != nil {
		return nil, "", err
	}
	defer s.mu.Unlock()
	var rows []connect.Account
	for _, a := range s.accounts {
		if a.Tenant == tenant && accountMatches(a, filter) && storerow.PositionOf(a).Compare(after) < 0 {
			rows = append(rows, cloneAccount(a))
		}
	}
	slices.SortFunc(rows, func(a, b connect.Account) int { return storerow.PositionOf(b).Compare(storerow.PositionOf(a)) })
	accounts, next := storerow.PageOf(rows, max(page.Limit, 0))
	return accounts, next, nil
}

// accountMatches reports whether filter lets a through.
func accountMatches(a connect.Account, filter connect.AccountFilter) bool {
	if filter.Status == "" && a.Status == connect.AccountDisconnected {
		return false
	}
	fits := func(want, is string) bool { return want == "" || want == is }
	return fits(filter.Platform, a.Platform) &&
		fits(filter.Kind, a.Kind) &&
		fits(filter.PlatformID, a.PlatformID) &&
		fits(filter.GrantID, a.GrantID) &&
		fits(filter.ConnectedBy, a.ConnectedBy) &&
		fits(string(filter.Status), string(a.Status))
}

// WriteAccount implements [connect.AccountStore]. It returns
// [connect.ErrConflict] where another account has the new key.
func (s *Store) WriteAccount(ctx context.Context, account connect.Account, events []connect.Event) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	stored, ok := s.accounts[rowKey{account.Tenant, account.ID}]
	if !ok {
		return connect.ErrNotFound
	}
	if account.Version != stored.Version+1 {
		return connect.ErrStale
	}
	if other, ok := s.findAccount(account.Key()); ok && other.ID != account.ID {
		return connect.ErrConflict
	}
	if err := s.checkEvents(events); err != nil {
		return err
	}
	s.keepAccount(account)
	s.putEvents(events)
	return nil
}

// ReleaseAccount implements [connect.AccountStore].
func (s *Store) ReleaseAccount(ctx context.Context, tenant, id string, events []connect.Event) (connect.Released, error) {
	if err := s.enter(ctx); err != nil {
		return connect.Released{}, err
	}
	defer s.mu.Unlock()
	account, ok := s.accounts[rowKey{tenant, id}]
	if !ok {
		return connect.Released{}, connect.ErrNotFound
	}
	grant := s.grants[rowKey{tenant, account.GrantID}]
	if account.Status == connect.AccountDisconnected {
		return connect.Released{Account: cloneAccount(account), Grant: cloneGrant(grant.Grant)}, nil
	}
	if err := s.checkEvents(events); err != nil {
		return connect.Released{}, err
	}
	account.Status = connect.AccountDisconnected
	account.Sealed = nil
	account.Version++
	account.UpdatedAt = s.now()
	s.keepAccount(account)
	s.putEvents(events)
	grant, last := s.leaveGrant(grant)
	return connect.Released{Account: cloneAccount(account), Grant: cloneGrant(grant.Grant), Last: last}, nil
}

// leaveGrant marks the grant for revocation where no live account is left on
// it. A row without an id stands for no grant at all.
func (s *Store) leaveGrant(grant grantRow) (grantRow, bool) {
	if grant.ID == "" || len(grant.Sealed) == 0 || len(s.liveAccounts(grant.Tenant, grant.ID)) > 0 {
		return grant, false
	}
	now := s.now()
	grant.Status = connect.GrantRevoking
	grant.DueAt = &now
	grant.UpdatedAt = now
	grant.Free()
	s.grants[rowKey{grant.Tenant, grant.ID}] = grant
	return grant, true
}

// liveAccounts returns the accounts on a grant that are no tombstones, by id.
func (s *Store) liveAccounts(tenant, grantID string) []connect.Account {
	var live []connect.Account
	for _, a := range s.accounts {
		if a.Tenant == tenant && a.GrantID == grantID && a.Status != connect.AccountDisconnected {
			live = append(live, a)
		}
	}
	slices.SortFunc(live, func(a, b connect.Account) int { return cmp.Compare(a.ID, b.ID) })
	return live
}

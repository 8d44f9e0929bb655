package memstore

import (
	"context"
	"maps"

	"github.com/seed944197df/connect"
)

// EndTenant implements [connect.TenantStore].
func (s *Store) EndTenant(ctx context.Context, tenant string) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	s.ended[tenant] = true
	for _, g := range s.grants {
		if g.Tenant == tenant && !g.Revoking() {
			s.leaveGrant(g)
		}
	}
	return nil
}

// EraseTenant implements [connect.TenantStore].
func (s *Store) EraseTenant(ctx context.Context, tenant string) (bool, error) {
	if err := s.enter(ctx); err != nil {
		return false, err
	}
	defer s.mu.Unlock()
	if !s.ended[tenant] || s.busy(tenant) {
		return false, nil
	}
	for _, f := range s.flows {
		if f.Tenant == tenant {
			s.dropFlow(f)
		}
	}
	ours := func(key rowKey) bool { return key.tenant == tenant }
	maps.DeleteFunc(s.accounts, func(key rowKey, _ connect.Account) bool { return ours(key) })
	maps.DeleteFunc(s.accountIDs, func(key connect.AccountKey, _ string) bool { return key.Tenant == tenant })
	maps.DeleteFunc(s.grants, func(key rowKey, _ grantRow) bool { return ours(key) })
	maps.DeleteFunc(s.grantIDs, func(key connect.GrantKey, _ string) bool { return key.Tenant == tenant })
	maps.DeleteFunc(s.clients, func(key clientKey, _ connect.ClientRecord) bool { return key.tenant == tenant })
	maps.DeleteFunc(s.sequences, func(key rowKey, _ int64) bool { return ours(key) })
	s.dropEvents(tenant)
	return true, nil
}

// busy reports whether the tenant has something that has to end first.
func (s *Store) busy(tenant string) bool {
	for _, f := range s.flows {
		if f.Tenant == tenant && f.Status.Open() {
			return true
		}
	}
	for _, a := range s.accounts {
		if a.Tenant == tenant && a.Status != connect.AccountDisconnected {
			return true
		}
	}
	for _, g := range s.grants {
		if g.Tenant == tenant && g.Revoking() {
			return true
		}
	}
	return false
}

func (s *Store) dropFlow(f connect.Flow) {
	for _, h := range handlesOf(f) {
		delete(s.handles, h)
	}
	delete(s.flows, f.ID)
	delete(s.flowHeld, f.ID)
}

// dropEvents empties the tenant's events; they keep their place, which is what
// the cursors of other tenants count.
func (s *Store) dropEvents(tenant string) {
	for _, row := range s.events {
		if row.Tenant == tenant {
			delete(s.eventIDs, row.ID)
			*row = eventRow{delivered: true, erased: true}
		}
	}
}

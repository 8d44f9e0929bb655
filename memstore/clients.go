package memstore

import (
	"context"

	"github.com/seed944197df/connect"
)

// clientKey names a client.
type clientKey struct{ tenant, platform, name string }

// ReadClient implements [connect.ClientStore].
func (s *Store) ReadClient(ctx context.Context, tenant, platform, name string) (connect.ClientRecord, error) {
	if err := s.enter(ctx); err != nil {
		return connect.ClientRecord{}, err
	}
	defer s.mu.Unlock()
	c, ok := s.clients[clientKey{tenant, platform, name}]
	if !ok {
		return connect.ClientRecord{}, connect.ErrNotFound
	}
	return cloneClient(c), nil
}

// PutClient implements [connect.ClientStore].
func (s *Store) PutClient(ctx context.Context, client connect.ClientRecord) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if s.ended[client.Tenant] {
		return connect.ErrNotFound
	}
	key := clientKey{client.Tenant, client.Platform, client.Name}
	if client.Version != s.clients[key].Version+1 { // an absent one has version 0
		return connect.ErrStale
	}
	s.clients[key] = cloneClient(client)
	return nil
}

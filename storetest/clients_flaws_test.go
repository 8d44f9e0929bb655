package storetest

import (
	"context"
	"errors"

	"github.com/seed944197df/connect"
)

func clientFlaws() []flaw {
	return []flaw{
		{
			"PutClient stores and ReadClient returns", "no secret becomes one",
			func(s *flawed) {
				s.readClient = func(ctx context.Context, tenant, platform, name string) (connect.ClientRecord, error) {
					client, err := s.sound.ReadClient(ctx, tenant, platform, name)
					if client.Sealed == nil {
						client.Sealed = []byte{}
					}
					return client, err
				}
			},
		},
		{
			"a client of all tenants has no tenant", "a client of all tenants is every tenant's",
			func(s *flawed) {
				s.readClient = func(ctx context.Context, tenant, platform, name string) (connect.ClientRecord, error) {
					client, err := s.sound.ReadClient(ctx, tenant, platform, name)
					if errors.Is(err, connect.ErrNotFound) {
						return s.sound.ReadClient(ctx, "", platform, name)
					}
					return client, err
				}
			},
		},
		{
			"ReadClient returns ErrNotFound", "the platform of a client is not compared",
			func(s *flawed) {
				s.readClient = func(ctx context.Context, tenant, _, name string) (connect.ClientRecord, error) {
					return s.sound.ReadClient(ctx, tenant, newClient(name).Platform, name)
				}
			},
		},
		{
			"PutClient of another version is ErrStale and changes nothing", "a put may leave versions out",
			func(s *flawed) {
				s.putClient = func(ctx context.Context, c connect.ClientRecord) error {
					stored, _ := s.sound.ReadClient(ctx, c.Tenant, c.Platform, c.Name)
					c.Version = min(c.Version, stored.Version+1)
					return s.sound.PutClient(ctx, c)
				}
			},
		},
		{
			"of concurrent first puts exactly one succeeds", "who read that there is no client puts one",
			func(s *flawed) {
				s.putClient = func(ctx context.Context, c connect.ClientRecord) error {
					_, missing := s.sound.ReadClient(ctx, c.Tenant, c.Platform, c.Name)
					yield()
					err := s.sound.PutClient(ctx, c)
					if errors.Is(err, connect.ErrStale) && missing != nil && c.Version == 1 {
						return nil
					}
					return err
				}
			},
		},
	}
}

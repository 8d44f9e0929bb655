package storetest

import (
	"context"
	"slices"

	"github.com/seed944197df/connect"
)

// copyFlaws keep what they were passed, or return what they keep.
func copyFlaws() []flaw {
	return []flaw{
		{
			"flows", "a flow's request is kept as it was passed",
			func(s *flawed) {
				s.creating(func(f *connect.Flow, _ *connect.FlowCaps) { s.known.Store(f.ID, f.Request) })
				s.readFlow = func(ctx context.Context, key connect.FlowKey) (connect.Flow, error) {
					flow, err := s.sound.ReadFlow(ctx, key)
					if kept, _ := s.known.Load(flow.ID); flow.Version == 1 && err == nil {
						request, _ := kept.([]byte)
						flow.Request = slices.Clone(request)
					}
					return flow, err
				}
			},
		},
		{
			"commits", "a grant's scopes are kept as they were passed",
			func(s *flawed) {
				type key struct {
					connect.GrantKey
					generation int64
				}
				s.committing(func(c *connect.Commit) {
					if g := c.Grant; g != nil {
						s.known.Store(key{g.Key(), g.Generation}, g.Scopes)
					}
				})
				s.readGrant = func(ctx context.Context, k connect.GrantKey) (connect.Grant, error) {
					g, err := s.sound.ReadGrant(ctx, k)
					if kept, ok := s.known.Load(key{g.Key(), g.Generation}); ok {
						scopes, _ := kept.([]string)
						g.Scopes = slices.Clone(scopes)
					}
					return g, err
				}
			},
		},
		{
			"accounts", "a reader gets the account's own target",
			func(s *flawed) {
				type version struct {
					connect.AccountKey
					version int64
				}
				s.readAccount = func(ctx context.Context, key connect.AccountKey) (connect.Account, error) {
					a, err := s.sound.ReadAccount(ctx, key)
					a.Target = first(s, version{a.Key(), a.Version}, a.Target)
					return a, err
				}
			},
		},
		{
			"grants", "a reader gets the grant's own scopes",
			func(s *flawed) {
				type generation struct {
					connect.GrantKey
					generation int64
				}
				s.readGrant = func(ctx context.Context, key connect.GrantKey) (connect.Grant, error) {
					g, err := s.sound.ReadGrant(ctx, key)
					g.Scopes = first(s, generation{g.Key(), g.Generation}, g.Scopes)
					return g, err
				}
			},
		},
		{
			"clients", "a client's scopes are kept as they were passed",
			func(s *flawed) {
				type version struct {
					tenant, name string
					version      int64
				}
				s.putClient = func(ctx context.Context, c connect.ClientRecord) error {
					first(s, version{c.Tenant, c.Name, c.Version}, c.Scopes)
					return s.sound.PutClient(ctx, c)
				}
				s.readClient = func(ctx context.Context, tenant, platform, name string) (connect.ClientRecord, error) {
					c, err := s.sound.ReadClient(ctx, tenant, platform, name)
					c.Scopes = first(s, version{c.Tenant, c.Name, c.Version}, c.Scopes)
					return c, err
				}
			},
		},
		{
			"events", "a reader gets the event's own data",
			func(s *flawed) {
				s.listEvents = func(ctx context.Context, tenant string, page connect.Page) ([]connect.Event, string, error) {
					events, next, err := s.sound.ListEvents(ctx, tenant, page)
					for i, e := range events {
						events[i].Data = first(s, e.ID, e.Data)
					}
					return events, next, err
				}
			},
		},
		{
			"what a method is passed stays as it was", "the keys that are not marked are dropped in place",
			func(s *flawed) {
				s.markSent = func(ctx context.Context, attempt string, keys []connect.GrantKey) ([]connect.GrantKey, error) {
					marked, err := s.sound.MarkSent(ctx, attempt, keys)
					return append(keys[:0], marked...), err
				}
			},
		},
	}
}

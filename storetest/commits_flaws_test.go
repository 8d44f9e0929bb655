package storetest

import (
	"context"
	"errors"
	"time"

	"github.com/seed944197df/connect"
)

func commitFlaws() []flaw {
	return []flaw{
		{
			"CommitFlow stores flow, grant, accounts and events", "a new account has no parent",
			func(s *flawed) {
				s.committing(func(c *connect.Commit) {
					for i := range c.Accounts {
						c.Accounts[i].ParentID = ""
					}
				})
			},
		},
		{
			"a commit without a grant stores the rest", "what was selected is not stored",
			func(s *flawed) {
				s.committing(func(c *connect.Commit) {
					if c.Grant == nil && c.From == connect.FlowPending {
						c.Accounts = nil
					}
				})
			},
		},
		{
			"a commit replaces grant and accounts and keeps their ids", "a live account keeps its name",
			func(s *flawed) {
				s.committing(func(c *connect.Commit) {
					for i, a := range c.Accounts {
						if former := s.account(a.Key()); former.ID != "" && former.Status != connect.AccountDisconnected {
							c.Accounts[i].Name = former.Name
						}
					}
				})
			},
		},
		{
			"a commit replaces a tombstone, which keeps its id", "a tombstone stays one",
			func(s *flawed) {
				s.committing(func(c *connect.Commit) {
					for i, a := range c.Accounts {
						if s.account(a.Key()).Status == connect.AccountDisconnected {
							c.Accounts[i].Status = connect.AccountDisconnected
						}
					}
				})
			},
		},
		{
			"a commit takes the grant from whoever held its claim", "a commit leaves a claim as it is",
			func(s *flawed) {
				s.commitFlow = func(ctx context.Context, c connect.Commit) (connect.Flow, error) {
					holder := ""
					if c.Grant != nil {
						holder = s.grant(c.Grant.Key()).Attempt
					}
					flow, err := s.sound.CommitFlow(ctx, c)
					if holder != "" && err == nil {
						_, _ = s.sound.ClaimGrant(ctx, c.Grant.Key(), holder, time.Minute)
					}
					return flow, err
				}
			},
		},
		{
			"a commit that takes an account leaves its former grant alone", "a grant that an account left is ended",
			func(s *flawed) {
				s.commitFlow = func(ctx context.Context, c connect.Commit) (connect.Flow, error) {
					for _, a := range c.Accounts {
						if former := s.account(a.Key()); former.GrantID != a.GrantID {
							s.settled(ctx, connect.Settlement{Tenant: a.Tenant, ID: former.GrantID, Generation: 1, Status: connect.GrantDead})
						}
					}
					return s.sound.CommitFlow(ctx, c)
				}
			},
		},
		{
			"nil, zero and known times stay apart", "never becomes unknown",
			func(s *flawed) {
				s.committing(func(c *connect.Commit) {
					if g := c.Grant; g != nil && g.AccessExpiry != nil && g.AccessExpiry.IsZero() {
						g.AccessExpiry = nil
					}
				})
			},
		},
		{
			"of concurrent commits exactly one succeeds", "who read an open flow is told that it committed",
			func(s *flawed) {
				s.commitFlow = func(ctx context.Context, c connect.Commit) (connect.Flow, error) {
					read := s.flow(c.Flow.ID)
					yield()
					flow, err := s.sound.CommitFlow(ctx, c)
					late := read.Status == c.From && read.Version == c.Flow.Version && flow.Version > read.Version
					if late && errors.Is(err, connect.ErrConflict) {
						return flow, nil
					}
					return flow, err
				}
			},
		},
		{
			"of concurrent first commits of one grant exactly one succeeds", "who read that there is no grant is told that it stored one",
			func(s *flawed) {
				s.commitFlow = func(ctx context.Context, c connect.Commit) (connect.Flow, error) {
					if c.Grant == nil || s.grant(c.Grant.Key()).ID != "" {
						return s.sound.CommitFlow(ctx, c)
					}
					yield()
					flow, err := s.sound.CommitFlow(ctx, c)
					if late := s.grant(c.Grant.Key()).ID != ""; late && errors.Is(err, connect.ErrStale) {
						return flow, nil
					}
					return flow, err
				}
			},
		},
	}
}

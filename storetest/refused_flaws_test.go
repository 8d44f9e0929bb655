package storetest

import (
	"context"
	"errors"
	"reflect"
	"slices"

	"github.com/seed944197df/connect"
)

func refusedCommitFlaws() []flaw {
	return append([]flaw{
		{
			"a repeated commit returns the outcome and ErrConflict", "a repeated commit is no conflict",
			func(s *flawed) {
				s.commitFlow = func(ctx context.Context, c connect.Commit) (connect.Flow, error) {
					flow, err := s.sound.CommitFlow(ctx, c)
					if errors.Is(err, connect.ErrConflict) && reflect.DeepEqual(flow.Outcome, c.Flow.Outcome) {
						err = nil
					}
					return flow, err
				}
			},
		},
		{
			"ErrConflict changes nothing", "a commit does not look at the status",
			func(s *flawed) {
				s.committing(func(c *connect.Commit) { c.From = s.flow(c.Flow.ID).Status })
			},
		},
		{
			"an event whose id is taken is ErrConflict and changes nothing", "events that are taken are left out",
			func(s *flawed) {
				s.commitFlow = func(ctx context.Context, c connect.Commit) (connect.Flow, error) {
					flow, err := s.sound.CommitFlow(ctx, c)
					if errors.Is(err, connect.ErrConflict) {
						c.Events = nil
						flow, err = s.sound.CommitFlow(ctx, c)
					}
					return flow, err
				}
			},
		},
		{
			"ErrBusy changes nothing", "a flow moves although its commit has to wait",
			func(s *flawed) {
				s.commitFlow = func(ctx context.Context, c connect.Commit) (connect.Flow, error) {
					flow, err := s.sound.CommitFlow(ctx, c)
					if errors.Is(err, connect.ErrBusy) && c.Grant != nil {
						_, _ = s.sound.MoveFlow(ctx, c.From, c.Flow)
					}
					return flow, err
				}
			},
		},
		{
			"accounts that join a claimed subject's grant are ErrBusy", "a claim does not hold off who joins a grant",
			func(s *flawed) {
				s.commitFlow = func(ctx context.Context, c connect.Commit) (connect.Flow, error) {
					flow, err := s.sound.CommitFlow(ctx, c)
					if errors.Is(err, connect.ErrBusy) && c.Grant == nil {
						_ = s.sound.ReleaseSubject(ctx, subject, "attempt-1")
						flow, err = s.sound.CommitFlow(ctx, c)
					}
					return flow, err
				}
			},
		},
		{
			"a failing account in the middle undoes the whole", "accounts are written up to the one that fails",
			func(s *flawed) {
				s.commitFlow = func(ctx context.Context, c connect.Commit) (connect.Flow, error) {
					flow, err := s.sound.CommitFlow(ctx, c)
					if errors.Is(err, connect.ErrStale) && len(c.Accounts) > 1 {
						_ = s.sound.WriteAccount(ctx, c.Accounts[0], nil)
					}
					return flow, err
				}
			},
		},
	}, slices.Concat(staleCommitFlaws(), staleJoinFlaws())...)
}

// staleJoinFlaws do not look at some state of the grant that accounts join, and
// tell who joins it that all went well.
func staleJoinFlaws() []flaw {
	const sentence = "ErrStale changes nothing: account on "
	joining := func(overlooked func(g connect.Grant) bool) func(s *flawed) {
		return func(s *flawed) {
			s.commitFlow = func(ctx context.Context, c connect.Commit) (connect.Flow, error) {
				flow, err := s.sound.CommitFlow(ctx, c)
				if errors.Is(err, connect.ErrStale) && c.Grant == nil &&
					overlooked(s.grant(connect.GrantKey{Tenant: c.Flow.Tenant, ID: c.Accounts[0].GrantID})) {
					return c.Flow, nil
				}
				return flow, err
			}
		}
	}
	return []flaw{
		{
			sentence + "a grant that is not stored", "an account needs no grant",
			joining(func(g connect.Grant) bool { return g.ID == "" }),
		},
		{
			sentence + "a grant that is to be revoked", "an account may join what is to be revoked",
			joining(func(g connect.Grant) bool { return g.Status == connect.GrantRevoking }),
		},
		{
			sentence + "a grant that is claimed for its revocation", "an account may join what is being revoked",
			joining(func(g connect.Grant) bool { return g.Status == connect.GrantClaimed }),
		},
		{
			sentence + "a dead grant", "an account may join what is dead",
			joining(func(g connect.Grant) bool { return g.Status == connect.GrantDead }),
		},
	}
}

// staleCommitFlaws set right what makes a commit stale, so that it is written.
// A grant is only set right where accounts come with it.
func staleCommitFlaws() []flaw {
	grant := func(setRight func(s *flawed, stored connect.Grant, g *connect.Grant)) func(s *flawed) {
		return func(s *flawed) {
			s.committing(func(c *connect.Commit) {
				if c.Grant != nil && len(c.Accounts) > 0 {
					setRight(s, s.grant(c.Grant.Key()), c.Grant)
				}
			})
		}
	}
	account := func(setRight func(s *flawed, stored connect.Account, a *connect.Account)) func(s *flawed) {
		return func(s *flawed) {
			s.committing(func(c *connect.Commit) {
				if len(c.Accounts) == 1 {
					setRight(s, s.account(c.Accounts[0].Key()), &c.Accounts[0])
				}
			})
		}
	}
	return []flaw{
		{
			"ErrStale changes nothing: grant of the same generation", "a generation may be written twice",
			grant(func(_ *flawed, stored connect.Grant, g *connect.Grant) {
				if g.Generation == stored.Generation {
					g.Generation++
				}
			}),
		},
		{
			"ErrStale changes nothing: grant of a later generation", "generations may be left out",
			grant(func(_ *flawed, stored connect.Grant, g *connect.Grant) {
				if stored.ID != "" {
					g.Generation = min(g.Generation, stored.Generation+1)
				}
			}),
		},
		{
			"ErrStale changes nothing: grant with another id", "a grant's id is not compared",
			grant(func(_ *flawed, stored connect.Grant, g *connect.Grant) {
				if stored.ID != "" {
					g.ID = stored.ID
				}
			}),
		},
		{
			"ErrStale changes nothing: first grant not of generation 1", "a first grant may have any generation",
			grant(func(_ *flawed, stored connect.Grant, g *connect.Grant) {
				if stored.ID == "" {
					g.Generation = 1
				}
			}),
		},
		{
			"ErrStale changes nothing: first grant with a taken id", "a first grant may have another's id",
			grant(func(s *flawed, stored connect.Grant, g *connect.Grant) {
				if taken := s.grant(connect.GrantKey{Tenant: g.Tenant, ID: g.ID}); stored.ID == "" && taken.ID != "" {
					g.ID = "another " + g.ID
				}
			}),
		},
		{
			"ErrStale changes nothing: account of the same version", "a version may be written twice",
			account(func(_ *flawed, stored connect.Account, a *connect.Account) {
				if a.Version == stored.Version {
					a.Version++
				}
			}),
		},
		{
			"ErrStale changes nothing: account of a later version", "versions may be left out",
			account(func(_ *flawed, stored connect.Account, a *connect.Account) {
				if stored.ID != "" {
					a.Version = min(a.Version, stored.Version+1)
				}
			}),
		},
		{
			"ErrStale changes nothing: account with another id", "an account's id is not compared",
			account(func(_ *flawed, stored connect.Account, a *connect.Account) {
				if stored.ID != "" {
					a.ID = stored.ID
				}
			}),
		},
		{
			"ErrStale changes nothing: first account not of version 1", "a first account may have any version",
			account(func(_ *flawed, stored connect.Account, a *connect.Account) {
				if stored.ID == "" {
					a.Version = 1
				}
			}),
		},
		{
			"ErrStale changes nothing: first account with a taken id", "a first account may have another's id",
			account(func(s *flawed, stored connect.Account, a *connect.Account) {
				if taken := s.account(connect.AccountKey{Tenant: a.Tenant, ID: a.ID}); stored.ID == "" && taken.ID != "" {
					a.ID = "another " + a.ID
				}
			}),
		},
	}
}

package storetest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/seed944197df/connect"
)

func flowFlaws() []flaw {
	return []flaw{
		{
			"CreateFlow stores a new flow", "a new flow was never linked",
			func(s *flawed) { s.creating(func(f *connect.Flow, _ *connect.FlowCaps) { f.Linked = false }) },
		},
		{
			"CreateFlow refuses an id or a handle that is taken", "a ticket that is taken is left out",
			func(s *flawed) {
				s.createFlow = func(ctx context.Context, flow connect.Flow, caps connect.FlowCaps) error {
					err := s.sound.CreateFlow(ctx, flow, caps)
					if errors.Is(err, connect.ErrConflict) {
						flow.Ticket = nil
						err = s.sound.CreateFlow(ctx, flow, caps)
					}
					return err
				}
			},
		},
		{
			"ReadFlow finds by id, link, session and ticket", "no flow is found by its link",
			func(s *flawed) {
				s.readFlow = func(ctx context.Context, key connect.FlowKey) (connect.Flow, error) {
					key.Link = nil
					return s.sound.ReadFlow(ctx, key)
				}
			},
		},
		{
			"ReadFlow returns ErrNotFound", "of two names, one is enough",
			func(s *flawed) {
				s.readFlow = func(ctx context.Context, key connect.FlowKey) (connect.Flow, error) {
					if len(key.Ticket) > 0 {
						key.ID, key.Session = "", nil
					}
					return s.sound.ReadFlow(ctx, key)
				}
			},
		},
		{
			"what is nil stays nil", "no progress becomes some",
			func(s *flawed) {
				s.readFlow = func(ctx context.Context, key connect.FlowKey) (connect.Flow, error) {
					flow, err := s.sound.ReadFlow(ctx, key)
					if flow.Progress == nil {
						flow.Progress = []byte{}
					}
					return flow, err
				}
			},
		},
		{
			"ClaimOverdueFlows returns open flows that are over, unchanged", "a parked flow is never over",
			func(s *flawed) {
				s.claimOverdueFlows = func(ctx context.Context, n int, lease time.Duration) ([]connect.Flow, error) {
					flows, err := s.sound.ClaimOverdueFlows(ctx, n, lease)
					return slices.DeleteFunc(flows, func(f connect.Flow) bool { return f.Status == connect.FlowParked }), err
				}
			},
		},
		{
			"ClaimOverdueFlows returns at most n, the longest overdue first", "the longest overdue flow comes last",
			func(s *flawed) {
				s.claimOverdueFlows = func(ctx context.Context, n int, lease time.Duration) ([]connect.Flow, error) {
					flows, err := s.sound.ClaimOverdueFlows(ctx, n, lease)
					slices.Reverse(flows)
					return flows, err
				}
			},
		},
		{
			"ClaimOverdueFlows returns no flow twice within the lease", "overdue flows are read, and then claimed",
			func(s *flawed) {
				s.claimOverdueFlows = func(ctx context.Context, n int, lease time.Duration) ([]connect.Flow, error) {
					read, err := s.sound.ClaimOverdueFlows(ctx, n, 0)
					yield()
					_, _ = s.sound.ClaimOverdueFlows(ctx, n, lease)
					return read, err
				}
			},
		},
		{
			"ClaimOverdueFlows returns a flow again after the lease", "who claims overdue flows has them for good",
			func(s *flawed) {
				s.claimOverdueFlows = func(ctx context.Context, n int, _ time.Duration) ([]connect.Flow, error) {
					return s.sound.ClaimOverdueFlows(ctx, n, 24*time.Hour)
				}
			},
		},
		{
			"HastenFlows makes open flows overdue, of a tenant or of one user", "everybody's flows are hastened",
			func(s *flawed) {
				s.hastenFlows = func(ctx context.Context, tenant, _ string) (int, error) {
					return s.sound.HastenFlows(ctx, tenant, "")
				}
			},
		},
		{
			"HastenFlows returns how many are open, overdue before or not", "flows that are overdue are not counted",
			func(s *flawed) {
				s.hastenFlows = func(ctx context.Context, tenant, user string) (int, error) {
					overdue, _ := s.sound.ClaimOverdueFlows(ctx, 1, 0)
					n, err := s.sound.HastenFlows(ctx, tenant, user)
					if n == 0 {
						return n, err
					}
					return n - len(overdue), err
				}
			},
		},
		{
			"who read a flow before it was hastened cannot move it", "being hastened is no move",
			func(s *flawed) {
				s.moveFlow = func(ctx context.Context, from connect.FlowStatus, next connect.Flow) (connect.Flow, error) {
					stored := s.flow(next.ID)
					if stored.ExpiresAt.Equal(s.now()) && stored.Version == next.Version+1 {
						next.Version = stored.Version
					}
					return s.sound.MoveFlow(ctx, from, next)
				}
			},
		},
	}
}

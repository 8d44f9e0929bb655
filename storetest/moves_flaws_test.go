package storetest

import (
	"context"
	"errors"

	"github.com/seed944197df/connect"
)

func moveFlaws() []flaw {
	return []flaw{
		{
			"MoveFlow replaces the flow and increments its version", "a move forgets that the link was used",
			func(s *flawed) { s.moving(func(next *connect.Flow) { next.Linked = false }) },
		},
		{
			"a handle that a move took away finds nothing", "a flow keeps its link",
			func(s *flawed) {
				s.moving(func(next *connect.Flow) {
					if next.Link == nil {
						next.Link = s.flow(next.ID).Link
					}
				})
			},
		},
		{
			"MoveFlow from another status or version changes nothing", "a move does not look at the status",
			func(s *flawed) {
				s.moveFlow = func(ctx context.Context, _ connect.FlowStatus, next connect.Flow) (connect.Flow, error) {
					return s.sound.MoveFlow(ctx, s.flow(next.ID).Status, next)
				}
			},
		},
		{
			"MoveFlow of an unknown flow is ErrNotFound", "a move creates the flow that it lacks",
			func(s *flawed) {
				s.moveFlow = func(ctx context.Context, from connect.FlowStatus, next connect.Flow) (connect.Flow, error) {
					_ = s.sound.CreateFlow(ctx, next, connect.FlowCaps{})
					return s.sound.MoveFlow(ctx, from, next)
				}
			},
		},
		{
			"MoveFlow takes no handle of another flow", "a session that is taken is left out of a move",
			func(s *flawed) {
				s.moveFlow = func(ctx context.Context, from connect.FlowStatus, next connect.Flow) (connect.Flow, error) {
					moved, err := s.sound.MoveFlow(ctx, from, next)
					if errors.Is(err, connect.ErrConflict) {
						next.Session = nil
						moved, err = s.sound.MoveFlow(ctx, from, next)
					}
					return moved, err
				}
			},
		},
		{
			"of concurrent moves exactly one succeeds", "a flow is compared, and then written",
			func(s *flawed) {
				s.moveFlow = func(ctx context.Context, from connect.FlowStatus, next connect.Flow) (connect.Flow, error) {
					if read := s.flow(next.ID); read.Status != from || read.Version != next.Version {
						return s.sound.MoveFlow(ctx, from, next)
					}
					yield()
					s.mu.Lock()
					defer s.mu.Unlock()
					now := s.flow(next.ID)
					next.Version = now.Version
					return s.sound.MoveFlow(ctx, now.Status, next)
				}
			},
		},
		{
			"a flow that ended cannot be moved from before", "who is late moves a flow that expired",
			func(s *flawed) {
				s.moveFlow = func(ctx context.Context, from connect.FlowStatus, next connect.Flow) (connect.Flow, error) {
					if now := s.flow(next.ID); now.Status == connect.FlowExpired {
						from, next.Version = now.Status, now.Version
					}
					return s.sound.MoveFlow(ctx, from, next)
				}
			},
		},
	}
}

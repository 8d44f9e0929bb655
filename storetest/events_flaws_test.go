package storetest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/seed944197df/connect"
)

func eventFlaws() []flaw {
	return []flaw{
		{
			"ListEvents returns the oldest first, in pages", "who has read everything starts again",
			func(s *flawed) {
				s.listEvents = func(ctx context.Context, tenant string, page connect.Page) ([]connect.Event, string, error) {
					events, next, err := s.sound.ListEvents(ctx, tenant, page)
					if len(events) == 0 {
						next = ""
					}
					return events, next, err
				}
			},
		},
		{
			"a malformed cursor is ErrNotFound", "a malformed cursor is the first page",
			func(s *flawed) {
				s.listEvents = func(ctx context.Context, tenant string, page connect.Page) ([]connect.Event, string, error) {
					events, next, err := s.sound.ListEvents(ctx, tenant, page)
					if errors.Is(err, connect.ErrNotFound) {
						page.Cursor = ""
						return s.sound.ListEvents(ctx, tenant, page)
					}
					return events, next, err
				}
			},
		},
		{
			"no data stays no data", "no data becomes an object",
			func(s *flawed) {
				s.listEvents = func(ctx context.Context, tenant string, page connect.Page) ([]connect.Event, string, error) {
					events, next, err := s.sound.ListEvents(ctx, tenant, page)
					for i := range events {
						if events[i].Data == nil {
							events[i].Data = []byte("{}")
						}
					}
					return events, next, err
				}
			},
		},
		{
			"a change whose event cannot be written does not happen", "an account is released without its events",
			func(s *flawed) {
				s.releaseAccount = func(ctx context.Context, tenant, id string, events []connect.Event) (connect.Released, error) {
					released, err := s.sound.ReleaseAccount(ctx, tenant, id, events)
					if errors.Is(err, connect.ErrConflict) {
						return s.sound.ReleaseAccount(ctx, tenant, id, nil)
					}
					return released, err
				}
			},
		},
		{
			"ClaimEvents claims at most n, the oldest of each account first", "who asks for no event gets one",
			func(s *flawed) {
				s.claimEvents = func(ctx context.Context, n int, attempt string, lease time.Duration) ([]connect.Event, error) {
					return s.sound.ClaimEvents(ctx, max(n, 1), attempt, lease)
				}
			},
		},
		{
			"an event waits for the earlier ones of its account", "an event waits for the first of its account only",
			func(s *flawed) {
				s.claimEvents = func(ctx context.Context, n int, attempt string, lease time.Duration) ([]connect.Event, error) {
					claimed, err := s.sound.ClaimEvents(ctx, n, attempt, lease)
					for _, e := range claimed {
						s.known.LoadOrStore(e.ID, "claimed")
					}
					all, _, _ := s.sound.ListEvents(ctx, tenant, connect.Page{Limit: 1000})
					for _, e := range all {
						if state, _ := s.known.Load(first(s, e.AccountID, e.ID)); state != "delivered" || len(claimed) == n {
							continue
						}
						if _, ever := s.known.LoadOrStore(e.ID, "claimed"); !ever {
							claimed = append(claimed, e)
						}
					}
					return claimed, err
				}
				s.ackEvents = func(ctx context.Context, attempt string, ids []string) error {
					for _, id := range ids {
						s.known.CompareAndSwap(id, "claimed", "delivered")
					}
					return s.sound.AckEvents(ctx, attempt, ids)
				}
			},
		},
		{
			"events without an account wait for none", "events without an account wait for each other",
			func(s *flawed) {
				s.claimEvents = func(ctx context.Context, n int, attempt string, lease time.Duration) ([]connect.Event, error) {
					claimed, err := s.sound.ClaimEvents(ctx, n, attempt, lease)
					return slices.DeleteFunc(claimed, func(e connect.Event) bool {
						return e.AccountID == "" && first(s, "holder", attempt) != attempt
					}), err
				}
			},
		},
		{
			"a claim ends with its lease", "a lease ends two seconds early",
			func(s *flawed) {
				s.claimEvents = func(ctx context.Context, n int, attempt string, lease time.Duration) ([]connect.Event, error) {
					return s.sound.ClaimEvents(ctx, n, attempt, lease-2*time.Second)
				}
			},
		},
		{
			"AckEvents takes only what the attempt holds", "an event that nobody holds may be acknowledged",
			func(s *flawed) {
				s.claimEvents = func(ctx context.Context, n int, attempt string, lease time.Duration) ([]connect.Event, error) {
					claimed, err := s.sound.ClaimEvents(ctx, n, attempt, lease)
					return slices.DeleteFunc(claimed, func(e connect.Event) bool { return first(s, e.ID, "claimed") != "claimed" }), err
				}
				s.ackEvents = func(ctx context.Context, attempt string, ids []string) error {
					for _, id := range ids {
						first(s, id, "acknowledged")
					}
					return s.sound.AckEvents(ctx, attempt, ids)
				}
			},
		},
		{
			"of concurrent claims no event goes out twice", "events are read, and then claimed",
			func(s *flawed) {
				s.claimEvents = func(ctx context.Context, n int, attempt string, lease time.Duration) ([]connect.Event, error) {
					read, err := s.sound.ClaimEvents(ctx, n, attempt, 0)
					yield()
					_, _ = s.sound.ClaimEvents(ctx, n, attempt, lease)
					return read, err
				}
			},
		},
	}
}

package storetest

import (
	"context"
	"slices"
	"time"

	"github.com/seed944197df/connect"
)

func sentFlaws() []flaw {
	return []flaw{
		{
			"MarkSent finds by id and by key", "no grant is marked by its key",
			func(s *flawed) {
				s.markSent = func(ctx context.Context, attempt string, keys []connect.GrantKey) ([]connect.GrantKey, error) {
					marked, err := s.sound.MarkSent(ctx, attempt, keys)
					return slices.DeleteFunc(marked, func(key connect.GrantKey) bool { return key.ID == "" }), err
				}
			},
		},
		{
			"MarkSent returns only what the attempt holds", "who marks a grant need not be who holds it",
			func(s *flawed) {
				s.marking(func(attempt string, g connect.Grant) bool {
					return g.Attempt != "" && s.now().Before(g.LeaseUntil)
				})
			},
		},
		{
			"a lease that has run out holds nothing", "who held a grant last holds it",
			func(s *flawed) {
				s.marking(func(attempt string, g connect.Grant) bool { return g.Attempt != "" && g.Attempt == attempt })
			},
		},
		{
			"an empty attempt holds nothing", "an empty attempt holds what it claimed",
			func(s *flawed) {
				s.marking(func(attempt string, g connect.Grant) bool {
					return g.Attempt == attempt && g.Status == connect.GrantClaimed && s.now().Before(g.LeaseUntil)
				})
			},
		},
		{
			"MarkSent counts, and keeps when a token was first presented", "what was presented is presented once",
			func(s *flawed) {
				s.readGrant = func(ctx context.Context, key connect.GrantKey) (connect.Grant, error) {
					g, err := s.sound.ReadGrant(ctx, key)
					if g.Status == connect.GrantSent {
						g.Presented = min(g.Presented, 1)
					}
					return g, err
				}
			},
		},
		{
			"MarkSent counts, and keeps when a token was first presented", "a token was first presented when it was last",
			func(s *flawed) {
				s.markSent = func(ctx context.Context, attempt string, keys []connect.GrantKey) ([]connect.GrantKey, error) {
					s.known.Store("sent", s.now())
					return s.sound.MarkSent(ctx, attempt, keys)
				}
				s.readGrant = func(ctx context.Context, key connect.GrantKey) (connect.Grant, error) {
					g, err := s.sound.ReadGrant(ctx, key)
					if last, ok := s.known.Load("sent"); ok && g.Status == connect.GrantSent {
						at, _ := last.(time.Time)
						g.SentAt = &at
					}
					return g, err
				}
			},
		},
		{
			"RenewClaims gives what the attempt holds a new lease", "one grant is renewed",
			func(s *flawed) {
				s.renewClaims = func(ctx context.Context, attempt string, keys []connect.GrantKey, lease time.Duration) error {
					return s.sound.RenewClaims(ctx, attempt, keys[:1], lease)
				}
			},
		},
		{
			"RenewClaims leaves the others alone", "a claim that has run out is renewed",
			func(s *flawed) {
				s.renewClaims = func(ctx context.Context, attempt string, keys []connect.GrantKey, lease time.Duration) error {
					for _, key := range keys {
						if g := s.grant(key); g.Attempt == attempt && g.Attempt != "" && !s.now().Before(g.LeaseUntil) {
							_, _ = s.sound.ClaimGrant(ctx, key, attempt, lease)
						}
					}
					return s.sound.RenewClaims(ctx, attempt, keys, lease)
				}
			},
		},
	}
}

// marking has MarkSent return what it marks, and where also says so.
func (s *flawed) marking(also func(attempt string, g connect.Grant) bool) {
	s.markSent = func(ctx context.Context, attempt string, keys []connect.GrantKey) ([]connect.GrantKey, error) {
		marked, err := s.sound.MarkSent(ctx, attempt, keys)
		for _, key := range keys {
			if !slices.Contains(marked, key) && also(attempt, s.grant(key)) {
				marked = append(marked, key)
			}
		}
		return marked, err
	}
}

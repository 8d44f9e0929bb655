package storetest

import (
	"context"
	"errors"
	"time"

	"github.com/seed944197df/connect"
)

func subjectFlaws() []flaw {
	return []flaw{
		{
			"ClaimSubject counts the live accounts of all tenants", "only one tenant's accounts are counted",
			func(s *flawed) {
				s.claimSubject = func(ctx context.Context, subjectKey, attempt string, lease time.Duration) error {
					err := s.sound.ClaimSubject(ctx, subjectKey, attempt, lease)
					if errors.Is(err, connect.ErrConflict) && len(s.accounts(tenant, connect.AccountFilter{})) == 0 {
						return nil
					}
					return err
				}
			},
		},
		{
			"one attempt holds a subject until its lease has run out", "a lease ends two seconds early",
			func(s *flawed) {
				s.claimSubject = func(ctx context.Context, subjectKey, attempt string, lease time.Duration) error {
					return s.sound.ClaimSubject(ctx, subjectKey, attempt, lease-2*time.Second)
				}
			},
		},
		{
			"the attempt that holds a subject may claim it again", "who holds a subject waits for himself",
			func(s *flawed) {
				s.holding()
				claim := s.claimSubject
				s.claimSubject = func(ctx context.Context, subjectKey, attempt string, lease time.Duration) error {
					holder, _ := s.known.Load(subjectKey)
					if err := claim(ctx, subjectKey, attempt, lease); err != nil || holder != attempt {
						return err
					}
					return connect.ErrBusy
				}
			},
		},
		{
			"ReleaseSubject ends only the attempt's own claim", "anybody may release a subject",
			func(s *flawed) {
				s.holding()
				s.releaseSubject = func(ctx context.Context, subjectKey, _ string) error {
					holder, _ := s.known.Load(subjectKey)
					attempt, _ := holder.(string)
					return s.sound.ReleaseSubject(ctx, subjectKey, attempt)
				}
			},
		},
		{
			"of concurrent claims exactly one succeeds", "who read that a subject is free claims it",
			func(s *flawed) {
				s.holding()
				claim := s.claimSubject
				s.claimSubject = func(ctx context.Context, subjectKey, attempt string, lease time.Duration) error {
					_, held := s.known.Load(subjectKey)
					yield()
					err := claim(ctx, subjectKey, attempt, lease)
					if errors.Is(err, connect.ErrBusy) && !held {
						return nil
					}
					return err
				}
			},
		},
		{
			"a claim and a commit cannot both succeed", "who read that a subject is free commits",
			func(s *flawed) {
				s.holding()
				claim := s.claimSubject
				s.claimSubject = func(ctx context.Context, subjectKey, attempt string, lease time.Duration) error {
					yield() // until the commits have read
					return claim(ctx, subjectKey, attempt, lease)
				}
				s.commitFlow = func(ctx context.Context, c connect.Commit) (connect.Flow, error) {
					held := true
					if c.Grant != nil {
						_, held = s.known.Load(c.Grant.SubjectKey)
					}
					yield()
					yield() // until the claims are there
					flow, err := s.sound.CommitFlow(ctx, c)
					if errors.Is(err, connect.ErrBusy) && !held {
						return flow, nil
					}
					return flow, err
				}
			},
		},
	}
}

// holding remembers which attempt claimed a subject.
func (s *flawed) holding() {
	s.claimSubject = func(ctx context.Context, subjectKey, attempt string, lease time.Duration) error {
		err := s.sound.ClaimSubject(ctx, subjectKey, attempt, lease)
		if err == nil {
			s.known.Store(subjectKey, attempt)
		}
		return err
	}
}

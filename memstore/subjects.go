package memstore

import (
	"context"
	"time"

	"github.com/seed944197df/connect"
)

// subjectClaim is a revocation under way.
type subjectClaim struct {
	attempt string
	until   time.Time
}

// ClaimSubject implements [connect.SubjectStore]. The attempt that holds the
// claim may claim again, which renews its lease.
func (s *Store) ClaimSubject(ctx context.Context, subjectKey, attempt string, lease time.Duration) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	for _, g := range s.grants {
		if g.SubjectKey == subjectKey && len(s.liveAccounts(g.Tenant, g.ID)) > 0 {
			return connect.ErrConflict
		}
	}
	if s.subjectClaimed(subjectKey) && s.subjects[subjectKey].attempt != attempt {
		return connect.ErrBusy
	}
	s.subjects[subjectKey] = subjectClaim{attempt, s.now().Add(lease)}
	return nil
}

// subjectClaimed reports whether a revocation of the subject is under way.
func (s *Store) subjectClaimed(subjectKey string) bool {
	claim, ok := s.subjects[subjectKey]
	return ok && !passed(claim.until, s.now())
}

// ReleaseSubject implements [connect.SubjectStore].
func (s *Store) ReleaseSubject(ctx context.Context, subjectKey, attempt string) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if s.subjects[subjectKey].attempt == attempt {
		delete(s.subjects, subjectKey)
	}
	return nil
}

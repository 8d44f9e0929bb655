package storetest

import (
	"errors"
	"strconv"
	"time"

	"github.com/seed944197df/connect"
)

func subjectTests() []test {
	return []test{
		{"ClaimSubject counts the live accounts of all tenants", subjectCounts},
		{"one attempt holds a subject until its lease has run out", subjectHeld},
		{"the attempt that holds a subject may claim it again", subjectAgain},
		{"ReleaseSubject ends only the attempt's own claim", subjectRelease},
		{"of concurrent claims exactly one succeeds", subjectRace},
		{"a claim and a commit cannot both succeed", subjectCommitRace},
	}
}

const subject = "subject-key-1"

func (s *state) claimSubject(attempt string) error {
	s.Helper()
	return s.ClaimSubject(s.Context(), subject, attempt, time.Minute)
}

func subjectCounts(s *state) {
	s.connected(2)
	c := newCommit(2)
	c.Flow.Tenant, c.Grant.Tenant, c.Accounts[0].Tenant = "tenant-2", "tenant-2", "tenant-2"
	c.Grant.SubjectKey = subject
	c.Events = nil
	s.commit(c)

	s.wantError(s.claimSubject("attempt-1"), connect.ErrConflict)
	s.release("account-1")
	s.release("account-2")
	s.wantError(s.claimSubject("attempt-1"), connect.ErrConflict)
	must[connect.Released](s)(s.ReleaseAccount(s.Context(), "tenant-2", "account-2", nil))
	s.ok(s.claimSubject("attempt-1"))
}

func subjectHeld(s *state) {
	s.ok(s.claimSubject("attempt-1"))
	s.wantError(s.claimSubject("attempt-2"), connect.ErrBusy)
	s.ok(s.ClaimSubject(s.Context(), "subject-key-2", "attempt-2", time.Minute))
	s.advance(time.Minute - time.Second)
	s.wantError(s.claimSubject("attempt-2"), connect.ErrBusy)
	s.advance(time.Second)
	s.ok(s.claimSubject("attempt-2"))
	s.wantError(s.claimSubject("attempt-1"), connect.ErrBusy)
}

func subjectAgain(s *state) {
	s.ok(s.claimSubject("attempt-1"))
	s.ok(s.claimSubject("attempt-1"))
	s.wantError(s.claimSubject("attempt-2"), connect.ErrBusy)
}

func subjectRelease(s *state) {
	s.ok(s.ReleaseSubject(s.Context(), subject, "attempt-1")) // nobody's
	s.ok(s.claimSubject("attempt-1"))
	s.ok(s.ReleaseSubject(s.Context(), subject, "attempt-2"))
	s.ok(s.ReleaseSubject(s.Context(), "subject-key-2", "attempt-1"))
	s.wantError(s.claimSubject("attempt-2"), connect.ErrBusy)
	s.ok(s.ReleaseSubject(s.Context(), subject, "attempt-1"))
	s.ok(s.claimSubject("attempt-2"))
}

func subjectRace(s *state) {
	winner(s, race(func(i int) raced[int] {
		return raced[int]{i, s.claimSubject(strconv.Itoa(i))}
	}), connect.ErrBusy)
}

// subjectCommitRace lets one revocation and many commits meet. Whoever is
// first, nobody may revoke what an account has just begun to use.
func subjectCommitRace(s *state) {
	for i := range parallel {
		s.create(newFlow(i))
	}
	errs := race(func(i int) error {
		if i%2 == 0 {
			return s.claimSubject("attempt-1")
		}
		c := newCommit(i)
		c.Grant.SubjectKey = subject
		_, err := s.CommitFlow(s.Context(), c)
		return err
	})
	claims, commits := 0, 0
	for i, err := range errs {
		switch {
		case err == nil && i%2 == 0:
			claims++
		case err == nil:
			commits++
		case !errors.Is(err, connect.ErrBusy) && !errors.Is(err, connect.ErrConflict):
			s.Errorf("unexpected error: %v", err)
		}
	}
	if claims > 0 && commits > 0 || claims+commits == 0 {
		s.Errorf("%d claims and %d commits succeeded", claims, commits)
	}
}

package pgstore

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed944197df/connect"
)

// claimSubject tells why it has not claimed the subject, or that it has.
const claimSubject = `WITH live AS (
	SELECT FROM connect.grants g JOIN connect.accounts a ON a.tenant = g.tenant AND a.grant_id = g.id
	WHERE g.subject_key = @subject AND a.status <> 'disconnected' LIMIT 1
), held AS (
	SELECT FROM connect.subjects WHERE subject_key = @subject AND attempt <> @attempt AND lease_until > ` + now + `
), claimed AS (
	INSERT INTO connect.subjects (subject_key, attempt, lease_until)
	SELECT @subject::text, @attempt::text, ` + now + ` + @lease::interval
	WHERE NOT EXISTS (SELECT FROM live) AND NOT EXISTS (SELECT FROM held)
	ON CONFLICT (subject_key) DO UPDATE SET attempt = excluded.attempt, lease_until = excluded.lease_until
)
SELECT EXISTS (SELECT FROM live), EXISTS (SELECT FROM held)`

// ClaimSubject implements [connect.SubjectStore]. The attempt that holds the
// claim may claim again, which renews its lease.
func (s *Store) ClaimSubject(ctx context.Context, subjectKey, attempt string, lease time.Duration) error {
	var live, held bool
	err := s.once(ctx, func(b *pgx.Batch) {
		s.alone(b, subjectLock, subjectKey)
		b.Queue(claimSubject, s.with(values{"subject": subjectKey, "attempt": attempt, "lease": lease})).
			QueryRow(func(row pgx.Row) error { return row.Scan(&live, &held) })
	})
	switch {
	case err != nil:
		return err
	case live:
		return connect.ErrConflict
	case held:
		return connect.ErrBusy
	default:
		return nil
	}
}

// ReleaseSubject implements [connect.SubjectStore].
func (s *Store) ReleaseSubject(ctx context.Context, subjectKey, attempt string) error {
	return s.once(ctx, func(b *pgx.Batch) {
		b.Queue("DELETE FROM connect.subjects WHERE subject_key = @subject AND attempt = @attempt",
			s.with(values{"subject": subjectKey, "attempt": attempt}))
	})
}

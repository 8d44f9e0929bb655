package sqlitestore

import (
	"context"
	"database/sql"
	"time"

	"github.com/seed944197df/connect"
)

// ClaimSubject implements [connect.SubjectStore]. The attempt that holds the
// claim may claim again, which renews its lease.
func (s *Store) ClaimSubject(ctx context.Context, subjectKey, attempt string, lease time.Duration) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		now := s.clock()
		live, err := exists(ctx, tx, `SELECT 1 FROM grants g JOIN accounts a ON a.tenant = g.tenant AND a.grant_id = g.id
			WHERE g.subject_key = ? AND a.status <> 'disconnected'`, subjectKey)
		if err != nil {
			return err
		}
		if live {
			return connect.ErrConflict
		}
		held, err := exists(ctx, tx, "SELECT 1 FROM subjects WHERE subject_key = ? AND attempt <> ? AND lease_until > ?",
			subjectKey, attempt, now.UnixMicro())
		if err := busyOr(err, held); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO subjects (subject_key, attempt, lease_until) VALUES (?, ?, ?)
			ON CONFLICT (subject_key) DO UPDATE SET attempt = excluded.attempt, lease_until = excluded.lease_until`,
			subjectKey, attempt, now.Add(lease).UnixMicro())
		return err
	})
}

// ReleaseSubject implements [connect.SubjectStore].
func (s *Store) ReleaseSubject(ctx context.Context, subjectKey, attempt string) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM subjects WHERE subject_key = ? AND attempt = ?", subjectKey, attempt)
		return err
	})
}

package pgstore

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/storerow"
)

const claimOverdue = `WITH ` + clock + `, overdue AS (
	SELECT id FROM connect.flows
	WHERE ` + isOpen + ` AND expires_at <= (SELECT now FROM clock) AND held_until <= (SELECT now FROM clock)
	ORDER BY expires_at LIMIT @n FOR UPDATE SKIP LOCKED
)
UPDATE connect.flows SET held_until = (SELECT now FROM clock) + @lease::interval
WHERE id IN (SELECT id FROM overdue) RETURNING ` + flowColumns

// ClaimOverdueFlows implements [connect.FlowStore].
func (s *Store) ClaimOverdueFlows(ctx context.Context, n int, lease time.Duration) ([]connect.Flow, error) {
	var overdue []connect.Flow
	var unread error
	err := s.once(ctx, func(b *pgx.Batch) {
		s.turn(b, overdueTurn, "")
		b.Queue(claimOverdue, s.with(values{"n": max(n, 0), "lease": lease})).Query(func(rows pgx.Rows) (err error) {
			overdue, unread, err = readable(rows, scanFlow)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(overdue, storerow.ByExpiry)
	return overdue, unread
}

// hasten moves the flows whose time is not over, and counts all.
const hasten = `WITH open AS (
	SELECT id FROM connect.flows
	WHERE tenant = @tenant AND (@user = '' OR user_id = @user) AND ` + isOpen + `
	ORDER BY id FOR UPDATE
), hastened AS (
	UPDATE connect.flows SET expires_at = ` + now + `, version = version + 1
	WHERE id IN (SELECT id FROM open) AND expires_at > ` + now + `
)
SELECT count(*) FROM open`

// HastenFlows implements [connect.FlowStore].
func (s *Store) HastenFlows(ctx context.Context, tenant, user string) (int, error) {
	var n int
	err := s.once(ctx, func(b *pgx.Batch) {
		b.Queue(hasten, s.with(values{"tenant": tenant, "user": user})).QueryRow(func(row pgx.Row) error {
			return row.Scan(&n)
		})
	})
	return n, err
}

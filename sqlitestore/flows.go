package sqlitestore

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/storerow"
)

const flowColumns = `id, tenant, user, platform, method, status, version,
	link, session, ticket, created_at, expires_at, data`

// flowValues returns f as flowColumns.
func flowValues(f connect.Flow) ([]any, error) {
	data, err := storerow.Encode(storerow.FlowOf(f))
	return []any{
		f.ID, f.Tenant, f.User, f.Platform, f.Method, f.Status, f.Version,
		blob(f.Link), blob(f.Session), blob(f.Ticket), f.CreatedAt.UnixMicro(), f.ExpiresAt.UnixMicro(), data,
	}, err
}

// scanFlow is the reverse of flowValues.
func scanFlow(row scanner) (connect.Flow, error) {
	var f connect.Flow
	var created, expires int64
	var text string
	err := row.Scan(&f.ID, &f.Tenant, &f.User, &f.Platform, &f.Method, &f.Status, &f.Version,
		&f.Link, &f.Session, &f.Ticket, &created, &expires, &text)
	if err != nil {
		return connect.Flow{}, err
	}
	data, err := storerow.Decode[storerow.Flow](text)
	if err != nil {
		return connect.Flow{}, fmt.Errorf("flow %s: %w", f.ID, err)
	}
	data.Fill(&f)
	f.CreatedAt, f.ExpiresAt = moment(created), moment(expires)
	return f, nil
}

// CreateFlow implements [connect.FlowStore]. It returns [connect.ErrConflict]
// where the id or a handle is taken.
func (s *Store) CreateFlow(ctx context.Context, flow connect.Flow, caps connect.FlowCaps) error {
	values, err := flowValues(flow)
	if err != nil {
		return failed(err)
	}
	return s.write(ctx, func(tx *sql.Tx) error {
		if err := checkTenant(ctx, tx, flow.Tenant); err != nil {
			return err
		}
		if err := s.checkCaps(ctx, tx, flow, caps); err != nil {
			return err
		}
		err := insert(ctx, tx, "flows", flowColumns, values)
		if taken(err) {
			return connect.ErrConflict
		}
		return err
	})
}

// checkCaps returns [connect.ErrTooMany] where flow would be one too many.
func (s *Store) checkCaps(ctx context.Context, tx *sql.Tx, f connect.Flow, caps connect.FlowCaps) error {
	since := s.clock().Add(-caps.Window).UnixMicro()
	for _, c := range []struct {
		bound int
		where string
		args  []any
	}{
		{caps.OpenPerUser, "tenant = ? AND user = ? AND " + isOpen, []any{f.Tenant, f.User}},
		{caps.OpenPerTenant, "tenant = ? AND " + isOpen, []any{f.Tenant}},
		{
			caps.Recent, "tenant = ? AND user = ? AND platform = ? AND method = ? AND created_at > ?",
			[]any{f.Tenant, f.User, f.Platform, f.Method, since},
		},
	} {
		if c.bound <= 0 {
			continue
		}
		var count int
		err := tx.QueryRowContext(ctx, "SELECT count(*) FROM flows WHERE "+c.where, c.args...).Scan(&count)
		if err != nil {
			return err
		}
		if count >= c.bound {
			return connect.ErrTooMany
		}
	}
	return nil
}

// isOpen is what [connect.FlowStatus.Open] is in SQL. The indexes of open flows
// hold for exactly this text.
const isOpen = "status IN ('started', 'claimed', 'parked', 'pending')"

// ReadFlow implements [connect.FlowStore].
func (s *Store) ReadFlow(ctx context.Context, key connect.FlowKey) (connect.Flow, error) {
	column, value := storerow.FlowName(key)
	if column == "" {
		return connect.Flow{}, connect.ErrNotFound
	}
	query := "SELECT " + flowColumns + " FROM flows WHERE " + column + " = ? AND (tenant = ? OR ? = '')"
	f, err := one(s.reader.QueryRowContext(ctx, query, value, key.Tenant, key.Tenant), scanFlow)
	return f, failed(err)
}

// MoveFlow implements [connect.FlowStore]. It returns [connect.ErrNotFound]
// where the tenant has no such flow.
func (s *Store) MoveFlow(ctx context.Context, from connect.FlowStatus, next connect.Flow) (connect.Flow, error) {
	var stored connect.Flow
	err := s.write(ctx, func(tx *sql.Tx) error {
		var err error
		if stored, err = movable(ctx, tx, from, next); err != nil {
			return err
		}
		moved, err := putFlow(ctx, tx, next)
		if err == nil {
			stored = moved
		}
		return err
	})
	return storerow.FlowOr(stored, err)
}

// movable returns the stored flow, and the error that a move to next meets.
func movable(ctx context.Context, tx *sql.Tx, from connect.FlowStatus, next connect.Flow) (connect.Flow, error) {
	query := "SELECT " + flowColumns + " FROM flows WHERE id = ? AND tenant = ?"
	stored, err := one(tx.QueryRowContext(ctx, query, next.ID, next.Tenant), scanFlow)
	if err == nil && (stored.Status != from || stored.Version != next.Version) {
		err = connect.ErrConflict
	}
	return stored, err
}

// putFlow stores the next version of a flow and returns it as stored.
func putFlow(ctx context.Context, tx *sql.Tx, flow connect.Flow) (connect.Flow, error) {
	flow.Version++
	values, err := flowValues(flow)
	if err != nil {
		return connect.Flow{}, err
	}
	err = replace(ctx, tx, "flows", flowColumns, values, "id = ? AND tenant = ?", flow.ID, flow.Tenant)
	if taken(err) {
		return connect.Flow{}, connect.ErrConflict
	}
	if err != nil {
		return connect.Flow{}, err
	}
	return one(tx.QueryRowContext(ctx, "SELECT "+flowColumns+" FROM flows WHERE id = ?", flow.ID), scanFlow)
}

// claimOverdue holds what it finds before anything of it is read.
const claimOverdue = `UPDATE flows SET held_until = :until WHERE id IN (
		SELECT id FROM flows WHERE ` + isOpen + ` AND expires_at <= :now AND held_until <= :now ORDER BY expires_at LIMIT :n
	) RETURNING ` + flowColumns

// ClaimOverdueFlows implements [connect.FlowStore].
func (s *Store) ClaimOverdueFlows(ctx context.Context, n int, lease time.Duration) ([]connect.Flow, error) {
	var overdue []connect.Flow
	var unread error
	err := s.write(ctx, func(tx *sql.Tx) error {
		now := s.clock()
		var err error
		overdue, unread, err = readable(ctx, tx, scanFlow, claimOverdue,
			sql.Named("now", now.UnixMicro()), sql.Named("until", now.Add(lease).UnixMicro()), sql.Named("n", max(n, 0)))
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(overdue, storerow.ByExpiry)
	return overdue, unread
}

// HastenFlows implements [connect.FlowStore]. It counts as a move: a move under
// way would otherwise bring the former ExpiresAt back.
func (s *Store) HastenFlows(ctx context.Context, tenant, user string) (int, error) {
	where, args := "tenant = ? AND "+isOpen, []any{tenant}
	if user != "" {
		where, args = where+" AND user = ?", append(args, user)
	}
	var n int
	err := s.write(ctx, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, "SELECT count(*) FROM flows WHERE "+where, args...).Scan(&n)
		if err != nil {
			return err
		}
		now := s.clock().UnixMicro()
		query := "UPDATE flows SET expires_at = ?, version = version + 1 WHERE expires_at > ? AND " + where //nolint:gosec // where is made of constants
		_, err = tx.ExecContext(ctx, query, append([]any{now, now}, args...)...)
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

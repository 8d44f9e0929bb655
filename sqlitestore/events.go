package sqlitestore

import (
	"context"
	"database/sql"
	"strconv"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/storerow"
)

const eventColumns = "id, tenant, account_id, sequence, created_at, data"

// scanEvent reads eventColumns and the position.
func scanEvent(row scanner) (storerow.EventRow, error) {
	var e storerow.EventRow
	var created int64
	var text string
	if err := row.Scan(&e.ID, &e.Tenant, &e.AccountID, &e.Sequence, &created, &text, &e.Position); err != nil {
		return storerow.EventRow{}, err
	}
	data, err := storerow.Decode[storerow.Event](text)
	if err != nil {
		return storerow.EventRow{}, err
	}
	data.Fill(&e.Event)
	e.CreatedAt = moment(created)
	return e, nil
}

// putEvents appends events, and counts those of accounts. It returns
// [connect.ErrConflict] where an event's id is taken.
func putEvents(ctx context.Context, tx *sql.Tx, events []connect.Event) error {
	for _, e := range events {
		sequence, err := nextSequence(ctx, tx, e)
		if err != nil {
			return err
		}
		data, err := storerow.Encode(storerow.EventOf(e))
		if err != nil {
			return err
		}
		err = insert(ctx, tx, "events", eventColumns, []any{
			e.ID, e.Tenant, e.AccountID, sequence, e.CreatedAt.UnixMicro(), data,
		})
		if taken(err) {
			return connect.ErrConflict
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// nextSequence returns the number of e among the events of its account, and 0
// where it has none.
func nextSequence(ctx context.Context, tx *sql.Tx, e connect.Event) (int64, error) {
	if e.AccountID == "" {
		return 0, nil
	}
	var last int64
	const query = "SELECT coalesce(max(sequence), 0) FROM events WHERE tenant = ? AND account_id = ?"
	err := tx.QueryRowContext(ctx, query, e.Tenant, e.AccountID).Scan(&last)
	return last + 1, err
}

// ListEvents implements [connect.EventStore]. The order is that of writing; a
// malformed cursor is [connect.ErrNotFound].
func (s *Store) ListEvents(ctx context.Context, tenant string, page connect.Page) ([]connect.Event, string, error) {
	cursor := page.Cursor
	if cursor == "" {
		cursor = "0"
	}
	after, err := strconv.ParseUint(cursor, 10, 63)
	if err != nil {
		return nil, "", connect.ErrNotFound
	}
	const query = "SELECT " + eventColumns + ", position FROM events WHERE tenant = ? AND position > ? ORDER BY position LIMIT ?"
	rows, err := all(ctx, s.reader, scanEvent, query, tenant, int64(after), max(page.Limit, 0))
	if err != nil {
		return nil, "", failed(err)
	}
	if len(rows) > 0 {
		cursor = strconv.FormatInt(rows[len(rows)-1].Position, 10)
	}
	return storerow.EventsOf(rows), cursor, nil
}

// deliverable finds the undelivered events that an attempt may have: nobody
// else holds them, nor an earlier one of their account. An earlier one that
// nobody holds comes first in the same answer.
const deliverable = `SELECT ` + eventColumns + `, position FROM events e
	WHERE delivered = 0 AND (lease_until <= :now OR attempt = :attempt)
	AND NOT EXISTS (
		SELECT 1 FROM events b
		WHERE b.delivered = 0 AND b.tenant = e.tenant AND b.account_id = e.account_id AND b.account_id <> ''
		AND b.position < e.position AND b.lease_until > :now AND b.attempt <> :attempt
	)
	ORDER BY position LIMIT :n`

// ClaimEvents implements [connect.EventStore]. The oldest come first, and what
// the attempt holds already comes again.
func (s *Store) ClaimEvents(ctx context.Context, n int, attempt string, lease time.Duration) ([]connect.Event, error) {
	var rows []storerow.EventRow
	err := s.write(ctx, func(tx *sql.Tx) error {
		now := s.clock()
		var err error
		rows, err = all(ctx, tx, scanEvent, deliverable,
			sql.Named("now", now.UnixMicro()), sql.Named("attempt", attempt), sql.Named("n", max(n, 0)))
		if err != nil {
			return err
		}
		until := now.Add(lease).UnixMicro()
		for _, row := range rows {
			_, err := tx.ExecContext(ctx, "UPDATE events SET attempt = ?, lease_until = ? WHERE position = ?", attempt, until, row.Position)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return storerow.EventsOf(rows), nil
}

// AckEvents implements [connect.EventStore]. An attempt whose lease has run out
// may still acknowledge what nobody has claimed since.
func (s *Store) AckEvents(ctx context.Context, attempt string, ids []string) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		for _, id := range ids {
			_, err := tx.ExecContext(ctx, "UPDATE events SET delivered = 1 WHERE id = ? AND attempt = ? AND attempt <> ''", id, attempt)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

package pgstore

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/storerow"
)

const eventColumns = "id, tenant, account_id, sequence, created_at, data"

// scanEvent reads eventColumns and the position.
func scanEvent(row scanner) (storerow.EventRow, error) {
	var e storerow.EventRow
	var text string
	if err := row.Scan(&e.ID, &e.Tenant, &e.AccountID, &e.Sequence, &e.CreatedAt, &text, &e.Position); err != nil {
		return storerow.EventRow{}, err
	}
	data, err := storerow.Decode[storerow.Event](text)
	if err != nil {
		return storerow.EventRow{}, err
	}
	data.Fill(&e.Event)
	utc(&e.CreatedAt)
	return e, nil
}

const insertEvent = `INSERT INTO connect.events (` + eventColumns + `) VALUES (
	@id, @tenant, @account::text, CASE WHEN @account <> '' THEN
		(SELECT coalesce(max(sequence), 0) + 1 FROM connect.events WHERE tenant = @tenant AND account_id = @account)
	ELSE 0 END, @created_at, @data
) ON CONFLICT DO NOTHING`

// putEvents queues events, and counts those of accounts. It leads to
// [connect.ErrConflict] where an event's id is taken.
//
// Positions come from a sequence, which hands out numbers before the
// transactions that take them are committed, and not in that order: a reader
// could see number 8, go on from there, and never see 7. So a transaction holds
// the lock of its tenant's events from before it takes a number until it has
// ended, and within a tenant, which is as far as a cursor goes, the order of
// the numbers is that of the commits.
func (s *Store) putEvents(b *pgx.Batch, events []connect.Event) error {
	var tenants []string
	for _, e := range events {
		tenants = append(tenants, e.Tenant)
	}
	slices.Sort(tenants)
	for _, tenant := range slices.Compact(tenants) {
		s.alone(b, eventsLock, tenant)
	}
	for _, e := range events {
		data, err := storerow.Encode(storerow.EventOf(e))
		if err != nil {
			return err
		}
		b.Queue(insertEvent, s.with(values{
			"id": e.ID, "tenant": e.Tenant, "account": e.AccountID, "created_at": micros(e.CreatedAt), "data": data,
		})).Exec(oneRowOr(connect.ErrConflict))
	}
	return nil
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
	const query = "SELECT " + eventColumns + ", position FROM connect.events WHERE tenant = @tenant AND position > @after ORDER BY position LIMIT @limit"
	rows, err := list(ctx, s, scanEvent, query, values{"tenant": tenant, "after": int64(after), "limit": max(page.Limit, 0)})
	if err != nil {
		return nil, "", err
	}
	if len(rows) > 0 {
		cursor = strconv.FormatInt(rows[len(rows)-1].Position, 10)
	}
	return storerow.EventsOf(rows), cursor, nil
}

// claimEvents claims the undelivered events that an attempt may have: nobody
// else holds them, nor an earlier one of their account. An earlier one that
// nobody holds comes first in the same answer. One that is being acknowledged
// is waited for, since what comes after it may only go out if it did.
const claimEvents = `WITH ` + clock + `, deliverable AS (
	SELECT tenant, id FROM connect.events e
	WHERE NOT delivered AND (lease_until <= (SELECT now FROM clock) OR attempt = @attempt)
	AND NOT EXISTS (
		SELECT FROM connect.events b
		WHERE NOT b.delivered AND b.tenant = e.tenant AND b.account_id = e.account_id AND b.account_id <> ''
		AND b.position < e.position AND b.lease_until > (SELECT now FROM clock) AND b.attempt <> @attempt
	)
	ORDER BY position LIMIT @n FOR UPDATE
), claimed AS (
	UPDATE connect.events e SET attempt = @attempt, lease_until = (SELECT now FROM clock) + @lease::interval
	FROM deliverable d WHERE e.tenant = d.tenant AND e.id = d.id
	RETURNING e.*
)
SELECT ` + eventColumns + `, position FROM claimed ORDER BY position`

// ClaimEvents implements [connect.EventStore]. The oldest come first, and what
// the attempt holds already comes again.
func (s *Store) ClaimEvents(ctx context.Context, n int, attempt string, lease time.Duration) ([]connect.Event, error) {
	var rows []storerow.EventRow
	err := s.once(ctx, func(b *pgx.Batch) {
		s.turn(b, deliveryTurn, "")
		b.Queue(claimEvents, s.with(values{"n": max(n, 0), "attempt": attempt, "lease": lease})).Query(into(&rows, scanEvent))
	})
	return storerow.EventsOf(rows), err
}

// AckEvents implements [connect.EventStore]. An attempt whose lease has run out
// may still acknowledge what nobody has claimed since.
func (s *Store) AckEvents(ctx context.Context, attempt string, ids []string) error {
	return s.once(ctx, func(b *pgx.Batch) {
		b.Queue(`UPDATE connect.events SET delivered = true
			WHERE NOT delivered AND attempt = @attempt AND attempt <> '' AND id = ANY(@ids::text[])`,
			s.with(values{"attempt": attempt, "ids": ids}))
	})
}

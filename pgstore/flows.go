package pgstore

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/storerow"
)

const flowColumns = "id, tenant, user_id, platform, method, status, version, " +
	"link, session, ticket, created_at, expires_at, data"

// flowValues returns f as flowColumns.
func flowValues(f connect.Flow) (values, error) {
	data, err := storerow.Encode(storerow.FlowOf(f))
	return values{
		"id": f.ID, "tenant": f.Tenant, "user_id": f.User, "platform": f.Platform, "method": f.Method,
		"status": string(f.Status), "version": f.Version,
		"link": blob(f.Link), "session": blob(f.Session), "ticket": blob(f.Ticket),
		"created_at": micros(f.CreatedAt), "expires_at": micros(f.ExpiresAt), "data": data,
	}, err
}

// scanFlow is the reverse of flowValues.
func scanFlow(row scanner) (connect.Flow, error) {
	var f connect.Flow
	var text string
	err := row.Scan(&f.ID, &f.Tenant, &f.User, &f.Platform, &f.Method, &f.Status, &f.Version,
		&f.Link, &f.Session, &f.Ticket, &f.CreatedAt, &f.ExpiresAt, &text)
	if err != nil {
		return connect.Flow{}, err
	}
	data, err := storerow.Decode[storerow.Flow](text)
	if err != nil {
		return connect.Flow{}, fmt.Errorf("flow %s: %w", f.ID, err)
	}
	data.Fill(&f)
	utc(&f.CreatedAt, &f.ExpiresAt)
	return f, nil
}

// CreateFlow implements [connect.FlowStore]. It returns [connect.ErrConflict]
// where the id or a handle is taken.
func (s *Store) CreateFlow(ctx context.Context, flow connect.Flow, caps connect.FlowCaps) error {
	row, err := flowValues(flow)
	if err != nil {
		return failed(err)
	}
	return s.write(ctx, func(tx pgx.Tx) error {
		b := &pgx.Batch{}
		s.alone(b, tenantLock, flow.Tenant) // the count and the row are one step
		s.queueEnded(b, flow.Tenant)
		s.queueCaps(b, flow, caps)
		b.Queue(insertInto("connect.flows", flowColumns), s.with(row)).Exec(oneRowOr(connect.ErrConflict))
		return tx.SendBatch(ctx, b).Close()
	})
}

// oneRowOr returns what checks that a statement has written its row.
func oneRowOr(otherwise error) func(pgconn.CommandTag) error {
	return func(tag pgconn.CommandTag) error {
		if tag.RowsAffected() != 1 {
			return otherwise
		}
		return nil
	}
}

// noneOr returns what checks that a query, which asks for true or false, has
// said false.
func noneOr(otherwise error) func(pgx.Row) error {
	return func(row pgx.Row) error {
		found, err := scanBool(row)
		if err == nil && found {
			err = otherwise
		}
		return err
	}
}

// isOpen is what [connect.FlowStatus.Open] is in SQL. The indexes of open flows
// hold for exactly this text.
const isOpen = "status IN ('started', 'claimed', 'parked', 'pending')"

// overCap asks whether a flow would be one too many.
const overCap = `SELECT
	@per_user::bigint > 0 AND @per_user <= (SELECT count(*) FROM connect.flows
		WHERE tenant = @tenant AND user_id = @user AND ` + isOpen + `)
	OR @per_tenant::bigint > 0 AND @per_tenant <= (SELECT count(*) FROM connect.flows
		WHERE tenant = @tenant AND ` + isOpen + `)
	OR @recent::bigint > 0 AND @recent <= (SELECT count(*) FROM connect.flows
		WHERE tenant = @tenant AND user_id = @user AND platform = @platform AND method = @method
		AND created_at > (SELECT ` + now + ` - @window::interval))`

// queueCaps queues the error [connect.ErrTooMany] for a flow that would be one
// too many.
func (s *Store) queueCaps(b *pgx.Batch, f connect.Flow, caps connect.FlowCaps) {
	b.Queue(overCap, s.with(values{
		"tenant": f.Tenant, "user": f.User, "platform": f.Platform, "method": f.Method,
		"per_user": caps.OpenPerUser, "per_tenant": caps.OpenPerTenant, "recent": caps.Recent, "window": caps.Window,
	})).QueryRow(noneOr(connect.ErrTooMany))
}

// ReadFlow implements [connect.FlowStore].
func (s *Store) ReadFlow(ctx context.Context, key connect.FlowKey) (connect.Flow, error) {
	column, name := storerow.FlowName(key)
	if column == "" {
		return connect.Flow{}, connect.ErrNotFound
	}
	query := "SELECT " + flowColumns + " FROM connect.flows WHERE " + column + " = @name AND (tenant = @tenant OR @tenant = '')"
	return read(ctx, s, scanFlow, query, values{"name": name, "tenant": key.Tenant})
}

const flowOfTenant = "SELECT " + flowColumns + " FROM connect.flows WHERE tenant = @tenant AND id = @id"

// MoveFlow implements [connect.FlowStore]. It returns [connect.ErrNotFound]
// where the tenant has no such flow.
func (s *Store) MoveFlow(ctx context.Context, from connect.FlowStatus, next connect.Flow) (connect.Flow, error) {
	var moved []connect.Flow
	query, row, err := putFlow(from, next)
	if err != nil {
		return connect.Flow{}, failed(err)
	}
	err = s.once(ctx, func(b *pgx.Batch) {
		b.Queue(query, s.with(row)).Query(into(&moved, scanFlow))
	})
	if err == nil && len(moved) == 1 {
		return moved[0], nil
	}
	if err != nil && !taken(err) {
		return connect.Flow{}, err
	}
	stored, err := read(ctx, s, scanFlow, flowOfTenant, values{"tenant": next.Tenant, "id": next.ID})
	if err == nil {
		err = connect.ErrConflict
	}
	return stored, err
}

// putFlow returns the statement that stores the next version of a flow where
// it may move, and returns it as stored.
func putFlow(from connect.FlowStatus, flow connect.Flow) (query string, row values, err error) {
	before := flow.Version
	flow.Version++
	row, err = flowValues(flow)
	row["from"], row["before"] = string(from), before
	return update("connect.flows", flowColumns) +
		" WHERE id = @id AND tenant = @tenant AND status = @from AND version = @before RETURNING " + flowColumns, row, err
}

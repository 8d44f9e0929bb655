package pgstore

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/storerow"
)

const clientColumns = "tenant, platform, name, version, created_at, updated_at, data"

// clientValues returns c as clientColumns.
func clientValues(c connect.ClientRecord) (values, error) {
	data, err := storerow.Encode(storerow.ClientOf(c))
	return values{
		"tenant": c.Tenant, "platform": c.Platform, "name": c.Name, "version": c.Version,
		"created_at": micros(c.CreatedAt), "updated_at": micros(c.UpdatedAt), "data": data,
	}, err
}

// scanClient is the reverse of clientValues.
func scanClient(row scanner) (connect.ClientRecord, error) {
	var c connect.ClientRecord
	var text string
	err := row.Scan(&c.Tenant, &c.Platform, &c.Name, &c.Version, &c.CreatedAt, &c.UpdatedAt, &text)
	if err != nil {
		return connect.ClientRecord{}, err
	}
	data, err := storerow.Decode[storerow.Client](text)
	if err != nil {
		return connect.ClientRecord{}, err
	}
	data.Fill(&c)
	utc(&c.CreatedAt, &c.UpdatedAt)
	return c, nil
}

const clientByKey = "tenant = @tenant AND platform = @platform AND name = @name"

// ReadClient implements [connect.ClientStore].
func (s *Store) ReadClient(ctx context.Context, tenant, platform, name string) (connect.ClientRecord, error) {
	const query = "SELECT " + clientColumns + " FROM connect.clients WHERE " + clientByKey
	return read(ctx, s, scanClient, query, values{"tenant": tenant, "platform": platform, "name": name})
}

// PutClient implements [connect.ClientStore].
func (s *Store) PutClient(ctx context.Context, client connect.ClientRecord) error {
	row, err := clientValues(client)
	if err != nil {
		return failed(err)
	}
	query := insertInto("connect.clients", clientColumns)
	if client.Version != 1 {
		query = update("connect.clients", clientColumns) + " WHERE " + clientByKey + " AND version = @version - 1"
	}
	return s.write(ctx, func(tx pgx.Tx) error {
		b := &pgx.Batch{}
		s.beside(b, tenantLock, client.Tenant)
		s.queueEnded(b, client.Tenant)
		b.Queue(query, s.with(row)).Exec(oneRowOr(connect.ErrStale))
		return tx.SendBatch(ctx, b).Close()
	})
}

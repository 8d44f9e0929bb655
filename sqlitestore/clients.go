package sqlitestore

import (
	"context"
	"database/sql"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/storerow"
)

const clientColumns = "tenant, platform, name, version, created_at, updated_at, data"

// scanClient reads clientColumns.
func scanClient(row scanner) (connect.ClientRecord, error) {
	var c connect.ClientRecord
	var created, updated int64
	var text string
	err := row.Scan(&c.Tenant, &c.Platform, &c.Name, &c.Version, &created, &updated, &text)
	if err != nil {
		return connect.ClientRecord{}, err
	}
	data, err := storerow.Decode[storerow.Client](text)
	if err != nil {
		return connect.ClientRecord{}, err
	}
	data.Fill(&c)
	c.CreatedAt, c.UpdatedAt = moment(created), moment(updated)
	return c, nil
}

// ReadClient implements [connect.ClientStore].
func (s *Store) ReadClient(ctx context.Context, tenant, platform, name string) (connect.ClientRecord, error) {
	const query = "SELECT " + clientColumns + " FROM clients WHERE tenant = ? AND platform = ? AND name = ?"
	c, err := one(s.reader.QueryRowContext(ctx, query, tenant, platform, name), scanClient)
	return c, failed(err)
}

// PutClient implements [connect.ClientStore].
func (s *Store) PutClient(ctx context.Context, client connect.ClientRecord) error {
	data, err := storerow.Encode(storerow.ClientOf(client))
	if err != nil {
		return failed(err)
	}
	values := []any{
		client.Tenant, client.Platform, client.Name, client.Version,
		client.CreatedAt.UnixMicro(), client.UpdatedAt.UnixMicro(), data,
	}
	return s.write(ctx, func(tx *sql.Tx) error {
		if err := checkTenant(ctx, tx, client.Tenant); err != nil {
			return err
		}
		if client.Version == 1 {
			return staleIfTaken(insert(ctx, tx, "clients", clientColumns, values))
		}
		const isBefore = "tenant = ? AND platform = ? AND name = ? AND version = ?"
		key := []any{client.Tenant, client.Platform, client.Name, client.Version - 1}
		found, err := exists(ctx, tx, "SELECT 1 FROM clients WHERE "+isBefore, key...)
		if err != nil {
			return err
		}
		if !found {
			return connect.ErrStale
		}
		return replace(ctx, tx, "clients", clientColumns, values, isBefore, key...)
	})
}

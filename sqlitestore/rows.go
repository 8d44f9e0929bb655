package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/seed944197df/connect"
)

// querier is what reads: the pool of readers, or the transaction of a write.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// scanner is one row of an answer.
type scanner interface{ Scan(dest ...any) error }

// one reads the only row of an answer, or returns [connect.ErrNotFound].
func one[T any](row *sql.Row, scan func(scanner) (T, error)) (T, error) {
	v, err := scan(row)
	if errors.Is(err, sql.ErrNoRows) {
		return v, connect.ErrNotFound
	}
	return v, err
}

// all reads the rows of a query.
func all[T any](ctx context.Context, q querier, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var values []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, rows.Err()
}

// readable is all, but for rows that cannot be read: unread says which.
func readable[T any](ctx context.Context, q querier, scan func(scanner) (T, error), query string, args ...any) (values []T, unread, err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		if v, err := scan(rows); err == nil {
			values = append(values, v)
		} else {
			unread = errors.Join(unread, err)
		}
	}
	return values, unread, rows.Err()
}

// exists reports whether the query, which begins with SELECT 1, has a row.
func exists(ctx context.Context, q querier, query string, args ...any) (bool, error) {
	var found int
	err := q.QueryRowContext(ctx, "SELECT EXISTS ("+query+")", args...).Scan(&found)
	return found == 1, err
}

// insert adds a row; values are those of the columns.
func insert(ctx context.Context, tx *sql.Tx, table, columns string, values []any) error {
	marks := strings.TrimSuffix(strings.Repeat("?,", len(values)), ",")
	query := "INSERT INTO " + table + " (" + columns + ") VALUES (" + marks + ")" //nolint:gosec // both are constants
	_, err := tx.ExecContext(ctx, query, values...)
	return err
}

// replace overwrites the columns of the row that key, a condition, finds.
func replace(ctx context.Context, tx *sql.Tx, table, columns string, values []any, key string, keyValues ...any) error {
	marks := strings.TrimSuffix(strings.Repeat("?,", len(values)), ",")
	query := "UPDATE " + table + " SET (" + columns + ") = (" + marks + ") WHERE " + key //nolint:gosec // all three are constants
	_, err := tx.ExecContext(ctx, query, append(values, keyValues...)...)
	return err
}

// moment returns the time that a column holds.
func moment(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

// nullable returns the column for t.
func nullable(t *time.Time) sql.Null[int64] {
	if t == nil {
		return sql.Null[int64]{}
	}
	return sql.Null[int64]{V: t.UnixMicro(), Valid: true}
}

// optional is the reverse of nullable.
func optional(column sql.Null[int64]) *time.Time {
	if !column.Valid {
		return nil
	}
	t := moment(column.V)
	return &t
}

// blob returns the column for a hash; an empty one is absent.
func blob(hash []byte) any {
	if len(hash) == 0 {
		return nil
	}
	return hash
}

package pgstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed944197df/connect"
)

// querier is what reads: the pool, or a transaction.
type querier interface {
	Query(ctx context.Context, query string, args ...any) (pgx.Rows, error)
}

// scanner is one row of an answer.
type scanner interface{ Scan(dest ...any) error }

// values are what the names in a statement (@tenant) stand for.
type values map[string]any

// with returns what a statement is sent with. The statement is written for the
// schema connect, and may ask for the time as now does.
func (s *Store) with(v values) pgx.QueryRewriter { return rewriter{s, v} }

type rewriter struct {
	store  *Store
	values values
}

// RewriteQuery implements [pgx.QueryRewriter].
func (r rewriter) RewriteQuery(ctx context.Context, conn *pgx.Conn, query string, _ []any) (rewritten string, args []any, err error) {
	st, err := r.store.statement(ctx, conn, query, r.values)
	for _, name := range st.names {
		if name == "now" {
			args = append(args, r.store.clock())
		} else {
			args = append(args, r.values[name])
		}
	}
	return st.text, args, err
}

// statement is one as the server takes it: names are what $1 and so on are
// called in ours.
type statement struct {
	text  string
	names []string
}

// statement returns what query is to the server. To find out takes longer than
// to send it, so it is done once.
func (s *Store) statement(ctx context.Context, conn *pgx.Conn, query string, v values) (statement, error) {
	known, _ := s.statements.Load(query)
	if st, ok := known.(*statement); ok {
		return *st, nil
	}
	self := pgx.NamedArgs{"now": "now"}
	for name := range v {
		self[name] = name
	}
	text, args, err := self.RewriteQuery(ctx, conn, strings.ReplaceAll(query, defaultSchema+".", s.schema+"."), nil)
	if err != nil {
		return statement{}, err
	}
	st := statement{text: text}
	for _, arg := range args {
		name, ok := arg.(string)
		if !ok {
			return statement{}, fmt.Errorf("pgstore: a name without a value in %s", query)
		}
		st.names = append(st.names, name)
	}
	s.statements.Store(query, &st)
	return st, nil
}

// now is the store's time in SQL. It is that of the moment, not of the
// transaction's beginning, because a statement may have waited for a lock.
const now = "coalesce(@now::timestamptz, clock_timestamp())"

// clock makes now a constant that an index can be searched for.
const clock = "clock AS MATERIALIZED (SELECT " + now + " AS now)"

// clock returns what @now is.
func (s *Store) clock() any {
	if s.now == nil {
		return nil
	}
	return micros(s.now())
}

// one reads the only row of an answer, or returns [connect.ErrNotFound]. A name
// that no text column can hold is no row's.
func one[T any](ctx context.Context, s *Store, q querier, scan func(scanner) (T, error), query string, v values) (T, error) {
	rows, err := all(ctx, s, q, scan, query, v)
	if codeOf(err) == badCharacter || err == nil && len(rows) == 0 {
		err = connect.ErrNotFound
	}
	if err != nil {
		var none T
		return none, err
	}
	return rows[0], nil
}

// all reads the rows of a query.
func all[T any](ctx context.Context, s *Store, q querier, scan func(scanner) (T, error), query string, v values) ([]T, error) {
	rows, err := q.Query(ctx, query, s.with(v))
	if err != nil {
		return nil, err
	}
	return collect(rows, scan)
}

func collect[T any](rows pgx.Rows, scan func(scanner) (T, error)) ([]T, error) {
	return pgx.AppendRows([]T(nil), rows, func(row pgx.CollectableRow) (T, error) { return scan(row) })
}

// readable is collect, but for rows that cannot be read: unread says which.
func readable[T any](rows pgx.Rows, scan func(scanner) (T, error)) (values []T, unread, err error) {
	for rows.Next() {
		if v, err := scan(rows); err == nil {
			values = append(values, v)
		} else {
			unread = errors.Join(unread, err)
		}
	}
	return values, unread, rows.Err()
}

// into returns what reads the answer to a statement of a batch into rows.
func into[T any](rows *[]T, scan func(scanner) (T, error)) func(pgx.Rows) error {
	return func(answer pgx.Rows) error {
		var err error
		*rows, err = collect(answer, scan)
		return err
	}
}

// read is one outside of a transaction.
func read[T any](ctx context.Context, s *Store, scan func(scanner) (T, error), query string, v values) (T, error) {
	var row T
	err := retry(ctx, func(ctx context.Context) error {
		var err error
		row, err = one(ctx, s, s.pool, scan, query, v)
		return err
	})
	return row, err
}

// list is all outside of a transaction.
func list[T any](ctx context.Context, s *Store, scan func(scanner) (T, error), query string, v values) ([]T, error) {
	var rows []T
	err := retry(ctx, func(ctx context.Context) error {
		var err error
		rows, err = all(ctx, s, s.pool, scan, query, v)
		return err
	})
	return rows, err
}

// scanBool reads a column that is true or false, scanText one that is text.
func scanBool(row scanner) (bool, error) {
	var b bool
	err := row.Scan(&b)
	return b, err
}

func scanText(row scanner) (string, error) {
	var text string
	err := row.Scan(&text)
	return text, err
}

// insertInto returns the statement that adds a row where none of its keys is
// taken; its values are named as the columns are.
func insertInto(table, columns string) string {
	names := strings.ReplaceAll("@"+columns, ", ", ", @")
	return "INSERT INTO " + table + " (" + columns + ") VALUES (" + names + ") ON CONFLICT DO NOTHING"
}

// update returns the statement that overwrites columns, but for the condition.
func update(table, columns string) string {
	var sets []string
	for name := range strings.SplitSeq(columns, ", ") {
		sets = append(sets, name+" = @"+name)
	}
	return "UPDATE " + table + " SET " + strings.Join(sets, ", ")
}

// micros returns t as a column keeps it.
func micros(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// nullable is micros for a time that may be absent.
func nullable(t *time.Time) any {
	if t == nil {
		return nil
	}
	return micros(*t)
}

// utc makes the times that were read UTC.
func utc(times ...*time.Time) {
	for _, t := range times {
		if t != nil {
			*t = t.UTC()
		}
	}
}

// blob returns the column for a hash; an empty one is absent.
func blob(hash []byte) any {
	if len(hash) == 0 {
		return nil
	}
	return hash
}

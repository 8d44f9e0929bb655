package connect_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/seed944197df/connect"
)

// watched is a store that keeps every row that it is given, and that can fail.
type watched struct {
	connect.Store

	l      *leaks
	fails  string // the method whose next call does
	done   bool   // it does what it was asked, and its answer is lost
	called map[string]bool
}

// fail makes the next call of a method fail, before or after it was done. The
// error repeats the whole row.
func (s *watched) fail(method string, done bool) {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	s.fails, s.done = method, done
}

// keep does a call of the store, and files what it was given.
func keep[T any](s *watched, method string, do func() (T, error), given ...any) (T, error) {
	var row strings.Builder
	write(&row, reflect.ValueOf(given))
	s.l.add("rows", row.String())
	s.l.mu.Lock()
	if s.called == nil {
		s.called = map[string]bool{}
	}
	s.called[method] = true
	fails, done := s.fails == method, s.done
	if fails {
		s.fails = ""
		s.l.hits++
	}
	s.l.mu.Unlock()
	down := fmt.Errorf("the store is down: %s of %s", method, &row)
	var nothing T
	if fails && !done {
		return nothing, down
	}
	got, err := do()
	if fails {
		return nothing, down
	}
	return got, err
}

// write writes every text and every byte that v holds, as they are.
func write(to *strings.Builder, v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		to.WriteString(v.String() + "\n")
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			write(to, v.Elem())
		}
	case reflect.Struct:
		for _, field := range v.Fields() {
			write(to, field)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			write(to, key)
			write(to, v.MapIndex(key))
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			to.Write(append(v.Bytes(), '\n'))
			return
		}
		for i := range v.Len() {
			write(to, v.Index(i))
		}
	default: // a number says nothing
	}
}

// only is for a method that returns an error and nothing else.
func only(do func() error) func() (struct{}, error) {
	return func() (struct{}, error) { return struct{}{}, do() }
}

func (s *watched) CreateFlow(ctx context.Context, flow connect.Flow, caps connect.FlowCaps) error {
	_, err := keep(s, "CreateFlow", only(func() error { return s.Store.CreateFlow(ctx, flow, caps) }), flow)
	return err
}

func (s *watched) ReadFlow(ctx context.Context, key connect.FlowKey) (connect.Flow, error) {
	return keep(s, "ReadFlow", func() (connect.Flow, error) { return s.Store.ReadFlow(ctx, key) }, key)
}

func (s *watched) MoveFlow(ctx context.Context, from connect.FlowStatus, next connect.Flow) (connect.Flow, error) {
	return keep(s, "MoveFlow", func() (connect.Flow, error) { return s.Store.MoveFlow(ctx, from, next) }, next)
}

func (s *watched) CommitFlow(ctx context.Context, commit connect.Commit) (connect.Flow, error) {
	return keep(s, "CommitFlow", func() (connect.Flow, error) { return s.Store.CommitFlow(ctx, commit) }, commit)
}

func (s *watched) ClaimOverdueFlows(ctx context.Context, n int, lease time.Duration) ([]connect.Flow, error) {
	return keep(s, "ClaimOverdueFlows", func() ([]connect.Flow, error) { return s.Store.ClaimOverdueFlows(ctx, n, lease) })
}

func (s *watched) ReadAccount(ctx context.Context, key connect.AccountKey) (connect.Account, error) {
	return keep(s, "ReadAccount", func() (connect.Account, error) { return s.Store.ReadAccount(ctx, key) }, key)
}

func (s *watched) ListAccounts(ctx context.Context, tenant string, filter connect.AccountFilter, page connect.Page) ([]connect.Account, string, error) {
	var next string
	accounts, err := keep(s, "ListAccounts", func() (accounts []connect.Account, err error) {
		accounts, next, err = s.Store.ListAccounts(ctx, tenant, filter, page)
		return accounts, err
	}, tenant, filter, page)
	return accounts, next, err
}

func (s *watched) WriteAccount(ctx context.Context, account connect.Account, events []connect.Event) error {
	_, err := keep(s, "WriteAccount", only(func() error { return s.Store.WriteAccount(ctx, account, events) }), account, events)
	return err
}

func (s *watched) ReleaseAccount(ctx context.Context, tenant, id string, events []connect.Event) (connect.Released, error) {
	return keep(s, "ReleaseAccount", func() (connect.Released, error) { return s.Store.ReleaseAccount(ctx, tenant, id, events) }, tenant, id, events)
}

func (s *watched) ReadGrant(ctx context.Context, key connect.GrantKey) (connect.Grant, error) {
	return keep(s, "ReadGrant", func() (connect.Grant, error) { return s.Store.ReadGrant(ctx, key) }, key)
}

// ClaimGrant lets nobody wait for a lease: it is over when it is in the way.
func (s *watched) ClaimGrant(ctx context.Context, key connect.GrantKey, attempt string, lease time.Duration) (connect.ClaimedGrant, error) {
	claimed, err := keep(s, "ClaimGrant", func() (connect.ClaimedGrant, error) { return s.Store.ClaimGrant(ctx, key, attempt, lease) }, key, attempt)
	if errors.Is(err, connect.ErrConflict) {
		s.l.clock.advance(lease)
	}
	return claimed, err
}

func (s *watched) ClaimDueGrants(ctx context.Context, claim connect.DueClaim) (connect.DueGrants, error) {
	return keep(s, "ClaimDueGrants", func() (connect.DueGrants, error) { return s.Store.ClaimDueGrants(ctx, claim) }, claim)
}

func (s *watched) RenewClaims(ctx context.Context, attempt string, grants []connect.GrantKey, lease time.Duration) error {
	_, err := keep(s, "RenewClaims", only(func() error { return s.Store.RenewClaims(ctx, attempt, grants, lease) }), attempt, grants)
	return err
}

func (s *watched) MarkSent(ctx context.Context, attempt string, grants []connect.GrantKey) ([]connect.GrantKey, error) {
	return keep(s, "MarkSent", func() ([]connect.GrantKey, error) { return s.Store.MarkSent(ctx, attempt, grants) }, attempt, grants)
}

func (s *watched) SettleGrant(ctx context.Context, settlement connect.Settlement) (connect.Grant, error) {
	return keep(s, "SettleGrant", func() (connect.Grant, error) { return s.Store.SettleGrant(ctx, settlement) }, settlement)
}

func (s *watched) ClaimSubject(ctx context.Context, subjectKey, attempt string, lease time.Duration) error {
	_, err := keep(s, "ClaimSubject", only(func() error { return s.Store.ClaimSubject(ctx, subjectKey, attempt, lease) }), subjectKey, attempt)
	return err
}

func (s *watched) ReleaseSubject(ctx context.Context, subjectKey, attempt string) error {
	_, err := keep(s, "ReleaseSubject", only(func() error { return s.Store.ReleaseSubject(ctx, subjectKey, attempt) }), subjectKey, attempt)
	return err
}

func (s *watched) ReadClient(ctx context.Context, tenant, platform, name string) (connect.ClientRecord, error) {
	return keep(s, "ReadClient", func() (connect.ClientRecord, error) { return s.Store.ReadClient(ctx, tenant, platform, name) }, tenant, platform, name)
}

func (s *watched) PutClient(ctx context.Context, client connect.ClientRecord) error {
	_, err := keep(s, "PutClient", only(func() error { return s.Store.PutClient(ctx, client) }), client)
	return err
}

func (s *watched) HastenFlows(ctx context.Context, tenant, user string) (int, error) {
	return keep(s, "HastenFlows", func() (int, error) { return s.Store.HastenFlows(ctx, tenant, user) }, tenant, user)
}

func (s *watched) EndTenant(ctx context.Context, tenant string) error {
	_, err := keep(s, "EndTenant", only(func() error { return s.Store.EndTenant(ctx, tenant) }), tenant)
	return err
}

func (s *watched) EraseTenant(ctx context.Context, tenant string) (bool, error) {
	return keep(s, "EraseTenant", func() (bool, error) { return s.Store.EraseTenant(ctx, tenant) }, tenant)
}

func (s *watched) ListEvents(ctx context.Context, tenant string, page connect.Page) ([]connect.Event, string, error) {
	var next string
	events, err := keep(s, "ListEvents", func() (events []connect.Event, err error) {
		events, next, err = s.Store.ListEvents(ctx, tenant, page)
		return events, err
	}, tenant, page)
	return events, next, err
}

func (s *watched) ClaimEvents(ctx context.Context, n int, attempt string, lease time.Duration) ([]connect.Event, error) {
	return keep(s, "ClaimEvents", func() ([]connect.Event, error) { return s.Store.ClaimEvents(ctx, n, attempt, lease) }, attempt)
}

func (s *watched) AckEvents(ctx context.Context, attempt string, ids []string) error {
	_, err := keep(s, "AckEvents", only(func() error { return s.Store.AckEvents(ctx, attempt, ids) }), attempt, ids)
	return err
}

// database is everything in the file: its bytes and those of its log, and each
// cell of each table, because a long value need not lie in one piece.
func (l *leaks) database() string {
	l.t.Helper()
	if l.dbFile == "" {
		return ""
	}
	var all strings.Builder
	for _, suffix := range []string{"", "-wal"} {
		raw, err := os.ReadFile(l.dbFile + suffix)
		if err != nil {
			l.t.Fatal(err)
		}
		all.Write(raw)
	}
	db := l.open()
	defer func() { _ = db.Close() }()
	for _, table := range l.column(db, "SELECT name FROM sqlite_master WHERE type = 'table'") {
		for _, name := range l.column(db, "SELECT name FROM pragma_table_info('"+table+"')") {
			cells := l.column(db, fmt.Sprintf(`SELECT CAST(%q AS BLOB) FROM %q WHERE %q IS NOT NULL`, name, table, name))
			all.WriteString(strings.Join(cells, "\n"))
		}
	}
	return all.String()
}

// open opens the file beside the store.
func (l *leaks) open() *sql.DB {
	l.t.Helper()
	db, err := sql.Open("sqlite", "file:"+l.dbFile+"?mode=ro")
	if err != nil {
		l.t.Fatal(err)
	}
	return db
}

func (l *leaks) column(db *sql.DB, query string) []string {
	l.t.Helper()
	rows, err := db.QueryContext(l.t.Context(), query)
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var cells []string
	for rows.Next() {
		var cell string
		if err := rows.Scan(&cell); err != nil {
			l.t.Fatal(err)
		}
		cells = append(cells, cell)
	}
	if err := rows.Err(); err != nil {
		l.t.Fatal(err)
	}
	return cells
}
